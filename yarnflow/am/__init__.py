"""The Python process in the ApplicationMaster's container: the JobManager on YARN.

`entrypoint` puts it together, `yarn_driver` gets TaskManager containers (decisions in `containers_machine`),
`application` runs the user's program in application mode.
"""
