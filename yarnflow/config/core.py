"""Options that concern every process, and the client."""

from __future__ import annotations

from datetime import timedelta

from yarnflow.config.option import Option
from yarnflow.config.values import COMMA_LIST, LIST


class CoreOptions:
    """Common settings of all processes."""

    DEFAULT_PARALLELISM = Option(
        "parallelism.default",
        int,
        1,
        "Parallelism of programs that set none themselves.",
        minimum=1,
        shown="1",
    )
    DEFAULT_FILESYSTEM = Option(
        "fs.default-scheme",
        str,
        None,
        "Scheme, and authority where it has one, of paths that are given without: `hdfs://namenode:8020`. "
        "Without it such paths are local files.",
    )
    TMP_DIRS = Option(
        "io.tmp.dirs",
        COMMA_LIST,
        (),
        "Directories for temporary files. Without it the containers' local directories on YARN, and the "
        "system's temporary directory elsewhere.",
    )
    LOG_DIR = Option(
        "env.log.dir",
        str,
        None,
        "Where standalone processes write their logs, each in a folder of its own. Without it `log/` of the "
        "installation, else `~/.yarnflow/log`.",
    )
    LOG_LEVEL = Option(
        "env.log.level",
        str,
        "INFO",
        "What is logged: this level and above.",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
    )
    PID_DIR = Option(
        "env.pid.dir",
        str,
        None,
        "Where the scripts that start standalone processes keep their process ids. Without it the system's "
        "temporary directory.",
    )
    SSH_OPTS = Option(
        "env.ssh.opts",
        str,
        None,
        "Options for ssh, which start-cluster.sh and stop-cluster.sh reach workers with.",
    )
    HADOOP_CONF_DIR = Option(
        "env.hadoop.conf.dir", str, None, "Hadoop's configuration. Without it the variable `HADOOP_CONF_DIR`."
    )
    YARN_CONF_DIR = Option(
        "env.yarn.conf.dir",
        str,
        None,
        "YARN's configuration. Without it the variable `YARN_CONF_DIR`, else Hadoop's configuration.",
    )
    JAVA_HOME = Option(
        "env.java.home",
        str,
        None,
        "The Java that submits to YARN through skein. Without it the variable `JAVA_HOME`, else `java` on "
        "the PATH.",
    )


class ClientOptions:
    """Settings of the command line and of programs that talk to a cluster."""

    TIMEOUT = Option(
        "client.timeout",
        timedelta,
        timedelta(seconds=60),
        "How long the client waits for an answer of the cluster.",
    )
    RETRY_PERIOD = Option(
        "client.retry-period",
        timedelta,
        timedelta(seconds=2),
        "Pause before the client asks again for a result.",
    )
    HEARTBEAT_INTERVAL = Option(
        "client.heartbeat.interval",
        timedelta,
        timedelta(seconds=30),
        "How often an attached client tells the cluster that it is still there.",
    )
    HEARTBEAT_TIMEOUT = Option(
        "client.heartbeat.timeout",
        timedelta,
        timedelta(seconds=180),
        "After so long without a sign of an attached client its jobs are cancelled, "
        "if `execution.shutdown-on-attached-exit` is set.",
    )


class PythonOptions:
    """Which Python code and which interpreter a job runs with. The keys and flags are PyFlink's."""

    FILES = Option(
        "python.files",
        COMMA_LIST,
        (),
        "Python files, packages, `.zip` archives and directories that become importable in the client and in "
        "every worker. Flag: `-pyfs`.",
    )
    REQUIREMENTS = Option(
        "python.requirements",
        str,
        None,
        "A requirements.txt that is installed for the job's workers, `#`, and optionally a directory with "
        "the "
        "packages. Flag: `-pyreq`.",
    )
    ARCHIVES = Option(
        "python.archives",
        COMMA_LIST,
        (),
        "Archives that are unpacked in the working directory of every worker, under their own name or under "
        "what follows `#`. Flag: `-pyarch`.",
    )
    # Flink's default is "python". Here an environment travels to the workers (yarn.python-environment), and its
    # interpreter is the one to use unless somebody asks for another.
    EXECUTABLE = Option(
        "python.executable",
        str,
        None,
        "The interpreter of the workers; a path may begin with the directory of an archive. Without it the "
        "one "
        "of the environment the cluster runs in. Flag: `-pyexec`.",
    )
    # Flink's default is "python"; the interpreter that runs the client has the packages it was installed with.
    CLIENT_EXECUTABLE = Option(
        "python.client.executable",
        str,
        None,
        "The interpreter that runs the program's `main` when the client starts it. Without it the client's "
        "own. "
        "Flag: `-pyclientexec`.",
    )
    PYTHONPATH = Option(
        "python.pythonpath",
        str,
        None,
        "Directories put in front of the workers' module search path, separated by colons. Flag: `-pypath`.",
    )


class PipelineOptions:
    """What a job is called and how its graph is built."""

    NAME = Option("pipeline.name", str, None, "Name of the job, where the program gives none.")
    MAX_PARALLELISM = Option(
        "pipeline.max-parallelism",
        int,
        -1,
        "Number of key groups, which is the highest parallelism the job can ever be rescaled to. -1 derives "
        "it "
        "from the parallelism: at least 128.",
    )
    OPERATOR_CHAINING = Option(
        "pipeline.operator-chaining.enabled",
        bool,
        True,
        "Run operators that need no exchange between them as one task.",
        fallback=("pipeline.operator-chaining",),
    )
    CACHED_FILES = Option(
        "pipeline.cached-files",
        LIST,
        (),
        "Files that every worker gets a copy of: `name:words,path:hdfs:///words.txt;name:...`.",
    )
    AUTO_WATERMARK_INTERVAL = Option(
        "pipeline.auto-watermark-interval",
        timedelta,
        timedelta(milliseconds=200),
        "How often watermarks are made from what was read. 0: only at the end of bounded input, and where a "
        "watermark generator of the program emits one in `on_event`.",
    )
