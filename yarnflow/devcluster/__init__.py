"""A real single-node YARN + HDFS (+ ZooKeeper) on this machine, for demos, tests and trying things out.

`cluster.DevCluster` is the one entry point; `yarnflow devcluster` shows it on the command line. Around it:
`toolchain` finds or installs Java and Maven, `jars` gets Hadoop's jars once per user, `hadoop_conf` renders
the configuration, `launchers` the `yarn` and `hdfs` commands, `ports` chooses free ports, `daemons` says how
each daemon is started, `processes` starts and ends them, `readiness` asks them whether they work, `hdfs` makes
the file system, `logs` shows the end of logs, `state` is what one state folder remembers, `status` what is
shown of it.
"""
