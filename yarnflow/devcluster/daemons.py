"""The daemons of a devcluster: main class, heap, arguments and ports of each."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from yarnflow.devcluster import processes
from yarnflow.devcluster.launchers import JAVA_ARGUMENTS
from yarnflow.devcluster.settings import Site

ZOOKEEPER = "zookeeper"
NAMENODE = "namenode"
DATANODE = "datanode"
RESOURCEMANAGER = "resourcemanager"

_HDFS = "org.apache.hadoop.hdfs.server"
_YARN = "org.apache.hadoop.yarn.server"


@dataclass(frozen=True)
class Daemon:
    """How one daemon is started."""

    #: Its name in state, status and logs.
    role: str
    main_class: str
    heap_mb: int
    arguments: tuple[str, ...] = ()

    def ports(self, site: Site) -> dict[str, int]:
        """The ports it listens on, by use (`rpc`, `web`, ...)."""
        prefix = f"{self.role}-"
        return {name[len(prefix) :]: port for name, port in site.ports.items() if name.startswith(prefix)}


def nodemanager(index: int) -> str:
    """Return the role of NodeManager number `index`, counted from 0."""
    return f"nodemanager-{index}"


def daemons(site: Site) -> tuple[Daemon, ...]:
    """Return the daemons of a site, in the order in which they are started."""
    hasty = "-Dipc.client.connect.retry.interval=100"
    found = [
        Daemon(NAMENODE, f"{_HDFS}.namenode.NameNode", 256),
        Daemon(RESOURCEMANAGER, f"{_YARN}.resourcemanager.ResourceManager", 384),
        # All start at once, so DataNode and NodeManagers knock before NameNode and ResourceManager listen:
        # they try again at once, not after a second, and give up no sooner than start does.
        Daemon(
            DATANODE,
            f"{_HDFS}.datanode.DataNode",
            256,
            (hasty, "-Dipc.client.connect.max.retries=1200"),
        ),
    ]
    for index in range(site.settings.nodes):
        role = nodemanager(index)
        found.append(
            Daemon(
                role,
                f"{_YARN}.nodemanager.NodeManager",
                256,
                (
                    hasty,
                    "-Dyarn.resourcemanager.connect.retry-interval.ms=200",
                    # With a bind host, the name in the address is what the node is called, whatever the
                    # machine's own name is; the port makes it one of a kind.
                    "-Dyarn.nodemanager.bind-host=127.0.0.1",
                    f"-Dyarn.nodemanager.address={site.address(f'{role}-rpc')}",
                    f"-Dyarn.nodemanager.localizer.address={site.address(f'{role}-localizer')}",
                    f"-Dyarn.nodemanager.webapp.address={site.address(f'{role}-web')}",
                    f"-Dyarn.nodemanager.local-dirs={site.data}/{role}/local",
                    f"-Dyarn.nodemanager.log-dirs={site.data}/{role}/logs",
                ),
            )
        )
    if site.settings.zookeeper:
        found.append(
            Daemon(
                ZOOKEEPER,
                "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                128,
                (f"{site.conf}/zoo.cfg",),
            )
        )
    return tuple(found)


def command(daemon: Daemon, site: Site) -> list[str]:
    """Return the command line of a daemon. Serial GC and C1 alone: less CPU and memory at start."""
    return [
        str(site.java_home / "bin" / "java"),
        f"-Xmx{daemon.heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:-UsePerfData",
        f"-XX:ErrorFile={site.logs}/{daemon.role}.crash",
        *JAVA_ARGUMENTS,
        "-Djava.net.preferIPv4Stack=true",
        f"-Djava.io.tmpdir={site.scratch}",
        f"-Dyarnflow.role={daemon.role}",
        "-cp",
        site.classpath,
        daemon.main_class,
        *daemon.arguments,
    ]


def environment(daemon: Daemon, site: Site) -> dict[str, str]:
    """Return a daemon's whole environment.

    Built from nothing: as on a real node, daemons and containers must see neither the virtual environment
    nor the credentials of the shell that happened to start the devcluster.
    """
    user = pwd.getpwuid(os.getuid())
    system_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    zone = {"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}
    return {
        **zone,
        "PATH": f"{site.bin}:{site.java_home}/bin:{system_path}",
        "JAVA_HOME": str(site.java_home),
        "HADOOP_CONF_DIR": str(site.conf),
        "HOME": os.environ.get("HOME", user.pw_dir),
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "LANG": "C.UTF-8",
        processes.MARK: str(site.directory),
        processes.ROLE_MARK: daemon.role,
    }
