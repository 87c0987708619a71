"""The process in a TaskManager container on YARN: `entrypoint` runs the TaskManager.

What the container was given (variables, files) is read in yarn/environment.py, for it and for am/ alike.
"""
