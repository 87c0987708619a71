"""Standalone clusters: JobManager and TaskManagers as processes of their own on hosts that the user names.

secret.py       the file that lets them trust each other
instances.py    which of them run on this host (pid files)
process.py      what both have in common: background, log files, signals
jobmanager.py   one JobManager
taskmanager.py  one TaskManager
cluster.py      all of conf/masters and conf/workers
"""
