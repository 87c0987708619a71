"""What a container finds: files in its working folder and variables in its environment.

Written by session/ (deployment), read by am/ and container/, whose `environment` modules alone read the variables.
No secret is ever in a variable or an argument: the cluster's secret is a file that YARN localises privately.
"""

from __future__ import annotations

#: JSON object with the effective configuration (raw strings).
CONFIGURATION = "yarnflow-configuration.json"
#: The cluster's secret; proves to each other that JobManager and TaskManagers belong together.
SECRET = "yarnflow.secret"  # noqa: S105 a file's name
#: Archive with the packed Python environment (absent for python://).
ENVIRONMENT = "environment"
#: Archive with the package yarnflow itself, the same as the client's.
LIBRARY = "yarnflow-library"
#: Jar with settings for the ApplicationMaster's JVM alone. The prefix lets it sort, and so load, first.
MASTER_SETTINGS = "00-yarnflow-master.jar"
#: JSON object that says what the JobManager is for (am/environment.py).
DEPLOYMENT = "yarnflow-deployment.json"
#: Folder with the job of a per-job application: the graph as JSON, and its files by hash below blobs/.
JOB = "yarnflow-job"
#: Folder with the user's program and its files, in application mode: an archive.
USER_CODE = "usrlib"

#: Names that shipped files must not have; nor may they begin with ".skein". "taskmanager" is its working folder.
RESERVED = frozenset(
    (CONFIGURATION, SECRET, ENVIRONMENT, LIBRARY, MASTER_SETTINGS, DEPLOYMENT, JOB, USER_CODE, "taskmanager")
)

#: Variable: directory below the user's staging directory with this deployment's files.
STAGING_VARIABLE = "YARNFLOW_STAGING"

#: Key in the application's key-value store: "host:port" of the JobManager's RPC server.
RPC_ADDRESS_KEY = "yarnflow.jobmanager.rpc"
#: Key: the URL of its REST server.
REST_ADDRESS_KEY = "yarnflow.jobmanager.rest"
#: Name of the file in the staging directory with the same URL, for clients that have not deployed it themselves.
ADDRESS_FILE = "jobmanager.json"

#: The service whose containers are TaskManagers.
WORKER_SERVICE = "taskmanager"
#: Tag of every application of ours; YARN shows skein's own type, which cannot be set.
TAG = "yarnflow"
