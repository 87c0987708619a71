"""The client's side of a cluster: deploy, attach, submit, stop.

    targets.py            which cluster a command means: flags, options, the properties file
    deployment.py         a session, or an application for one job, on YARN
    running.py            clusters that run already: YARN application or standalone
    rest_client.py        the JobManager's REST API;  remote_job.py  a job there;  executor.py  execute() there
    program.py            runs the user's main();  application_main.py  the same inside the ApplicationMaster
    local.py              execute() without any cluster: the MiniCluster
    artifacts.py          files, requirements and archives that a job ships
    python_environment.py, library.py, staging.py    how Python and yarnflow reach the containers
    user_files.py, properties_file.py                what is remembered between commands
"""
