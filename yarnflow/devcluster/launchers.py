"""The `yarn`, `hdfs` and `hadoop` commands of a devcluster: small shell scripts below its bin folder.

skein and Flink call `yarn classpath --glob`; people want `hdfs dfs -ls /` and `yarn logs`.
"""

from __future__ import annotations

import shlex

from yarnflow.devcluster.settings import Site

#: JVM arguments that Hadoop 3.4 needs from Java 17 on (harmless on 11).
JAVA_ARGUMENTS = (
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
)

_VERSION = "org.apache.hadoop.util.VersionInfo"
_SHELL = "org.apache.hadoop.fs.FsShell"
#: Launcher -> subcommand -> main class.
COMMANDS: dict[str, dict[str, str]] = {
    "yarn": {
        "application": "org.apache.hadoop.yarn.client.cli.ApplicationCLI app",
        "app": "org.apache.hadoop.yarn.client.cli.ApplicationCLI app",
        "applicationattempt": "org.apache.hadoop.yarn.client.cli.ApplicationCLI applicationattempt",
        "container": "org.apache.hadoop.yarn.client.cli.ApplicationCLI container",
        "logs": "org.apache.hadoop.yarn.client.cli.LogsCLI",
        "node": "org.apache.hadoop.yarn.client.cli.NodeCLI",
        "queue": "org.apache.hadoop.yarn.client.cli.QueueCLI",
        "rmadmin": "org.apache.hadoop.yarn.client.cli.RMAdminCLI",
        "version": _VERSION,
    },
    "hdfs": {
        "dfs": _SHELL,
        "dfsadmin": "org.apache.hadoop.hdfs.tools.DFSAdmin",
        "fsck": "org.apache.hadoop.hdfs.tools.DFSck",
        "getconf": "org.apache.hadoop.hdfs.tools.GetConf",
        "version": _VERSION,
    },
    "hadoop": {"fs": _SHELL, "version": _VERSION},
}


def script(name: str, site: Site) -> str:
    """Return the text of launcher `name`."""
    commands = COMMANDS[name]
    known = " ".join([*commands, "classpath"])
    cases = "\n".join(f"  {command}) main='{main}' ;;" for command, main in commands.items())
    arguments = shlex.join(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", *JAVA_ARGUMENTS])
    return f"""\
#!/bin/sh
# `{name}` of the yarnflow devcluster in this folder's parent; written by `yarnflow devcluster start`.
conf={shlex.quote(str(site.conf))}
lib={shlex.quote(str(site.lib))}
java={shlex.quote(str(site.java_home / "bin" / "java"))}
command=$1
[ $# -gt 0 ] && shift
case $command in
{cases}
  classpath)
    # Every jar by name: the callers put it into variables in which a wildcard would not survive.
    path=$conf
    for jar in "$lib"/*.jar; do path=$path:$jar; done
    echo "$path"
    exit 0 ;;
  *)
    echo "{name}: unknown command '$command'; this devcluster knows: {known}" >&2
    exit 2 ;;
esac
export HADOOP_CONF_DIR="${{HADOOP_CONF_DIR:-$conf}}"
# Not quoted: the word behind some main classes is their first argument.
exec "$java" {arguments} -Dhadoop.root.logger="${{HADOOP_ROOT_LOGGER:-WARN,console}}" \\
  -cp "$conf:$lib/*" $main "$@"
"""


def write(site: Site) -> None:
    """Write the bin folder.

    Raises:
        OSError: it cannot be written.
    """
    site.bin.mkdir(parents=True, exist_ok=True)
    for name in COMMANDS:
        path = site.bin / name
        path.write_text(script(name, site))
        path.chmod(0o755)
