"""The configuration files of one devcluster, as functions from a `Site` to properties.

Whoever adds a variant (Kerberos) adds a function that returns more properties and merges it in `files`. What
differs between NodeManagers is not here but in `daemons`, given to each as -D arguments: the files are for
every daemon and client alike.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from xml.sax.saxutils import escape

from yarnflow.devcluster import processes
from yarnflow.devcluster.settings import Site

#: The smallest container, and (with the CapacityScheduler) the step in which sizes are rounded up.
MINIMUM_ALLOCATION_MB = 128
#: The CapacityScheduler places one off-switch container per node heartbeat. A real cluster has many nodes
#: and so many heartbeats a second; here one or two must make up for them. 250 ms stands for four nodes at
#: YARN's default of 1000 ms and costs a percent of a core.
NODE_HEARTBEAT_MS = 250
#: A killed NodeManager counts as lost after this (YARN: 10 minutes), so that node loss can be watched.
NODE_EXPIRY_MS = 20_000
#: Attempts of an ApplicationMaster (YARN: 2), so that applications may ask for up to this many.
AM_MAX_ATTEMPTS = 4
#: Queues below root: share of the cluster in percent. Each may grow into the whole cluster when it is idle.
QUEUES: Mapping[str, int] = {"default": 70, "batch": 30}
#: What containers take over from their NodeManager's environment unless the application sets it. All else they
#: do not inherit, so the marks by which stop finds them must be here.
ENVIRONMENT_WHITELIST = (
    "JAVA_HOME",
    "HADOOP_CONF_DIR",
    "PATH",
    "LANG",
    "TZ",
    processes.MARK,
    processes.ROLE_MARK,
)

#: NameNode and DataNode look for their pages on the class path and stop without; the jars carry none.
_PAGES = ("hdfs", "datanode", "secondary")

_LOG4J = """\
hadoop.root.logger=INFO,console
log4j.rootLogger=${hadoop.root.logger}
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %-5p %c{2} [%t] %m%n
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
"""


def core_site(site: Site) -> dict[str, str]:
    """Properties of core-site.xml."""
    return {
        "fs.defaultFS": site.hdfs_uri,
        "hadoop.tmp.dir": str(site.scratch),
        # The default implementation asks the network's name service for the groups of unknown users.
        "hadoop.security.group.mapping": "org.apache.hadoop.security.ShellBasedUnixGroupsMapping",
    }


def hdfs_site(site: Site) -> dict[str, str]:
    """Properties of hdfs-site.xml: one copy of each block, and no waiting for more DataNodes."""
    return {
        "dfs.namenode.rpc-address": site.address("namenode-rpc"),
        "dfs.namenode.http-address": site.address("namenode-web"),
        "dfs.namenode.name.dir": f"file://{site.data}/namenode",
        "dfs.datanode.address": site.address("datanode-data"),
        "dfs.datanode.ipc.address": site.address("datanode-ipc"),
        "dfs.datanode.http.address": site.address("datanode-web"),
        "dfs.datanode.hostname": site.host,
        "dfs.datanode.data.dir": f"file://{site.data}/datanode",
        "dfs.replication": "1",
        "dfs.namenode.safemode.extension": "0",
        "dfs.namenode.safemode.min.datanodes": "1",
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.heartbeat.interval": "1",
    }


def yarn_site(site: Site) -> dict[str, str]:
    """Properties of yarn-site.xml."""
    settings = site.settings
    return {
        "yarn.resourcemanager.hostname": site.host,
        "yarn.resourcemanager.address": site.address("resourcemanager-rpc"),
        "yarn.resourcemanager.scheduler.address": site.address("resourcemanager-scheduler"),
        "yarn.resourcemanager.resource-tracker.address": site.address("resourcemanager-tracker"),
        "yarn.resourcemanager.admin.address": site.address("resourcemanager-admin"),
        "yarn.resourcemanager.webapp.address": site.address("resourcemanager-web"),
        "yarn.resourcemanager.am.max-attempts": str(AM_MAX_ATTEMPTS),
        "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": str(NODE_HEARTBEAT_MS),
        "yarn.nm.liveness-monitor.expiry-interval-ms": str(NODE_EXPIRY_MS),
        "yarn.resourcemanager.scheduler.class": (
            "org.apache.hadoop.yarn.server.resourcemanager.scheduler.capacity.CapacityScheduler"
        ),
        "yarn.scheduler.minimum-allocation-mb": str(MINIMUM_ALLOCATION_MB),
        "yarn.scheduler.maximum-allocation-mb": str(settings.node_memory_mb),
        "yarn.scheduler.maximum-allocation-vcores": str(settings.node_vcores),
        "yarn.nodemanager.resource.memory-mb": str(settings.node_memory_mb),
        "yarn.nodemanager.resource.cpu-vcores": str(settings.node_vcores),
        "yarn.nodemanager.env-whitelist": ",".join(ENVIRONMENT_WHITELIST),
        "yarn.application.classpath": f"{site.conf},{site.lib}/*",
        # A laptop's disk is often nearly full: what counts is that some space is left.
        "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "100",
        "yarn.nodemanager.disk-health-checker.min-free-space-per-disk-mb": "256",
        "yarn.nodemanager.pmem-check-enabled": "false",
        "yarn.nodemanager.vmem-check-enabled": "false",
        "yarn.nodemanager.delete.debug-delay-sec": "5",
        "yarn.log-aggregation-enable": "true",
        "yarn.log-aggregation.retain-seconds": "604800",
        "yarn.nodemanager.remote-app-log-dir": "/tmp/logs",  # noqa: S108 a folder in HDFS
    }


def capacity_scheduler() -> dict[str, str]:
    """Properties of capacity-scheduler.xml: `QUEUES`, each of which one user may fill."""
    prefix = "yarn.scheduler.capacity"
    properties = {
        f"{prefix}.root.queues": ",".join(QUEUES),
        # ApplicationMasters are a large part of a small cluster (YARN: 0.1).
        f"{prefix}.maximum-am-resource-percent": "0.9",
    }
    for queue, capacity in QUEUES.items():
        properties[f"{prefix}.root.{queue}.capacity"] = str(capacity)
        properties[f"{prefix}.root.{queue}.maximum-capacity"] = "100"
        # A user may take this many times the queue's share (YARN: 1), that is, the whole cluster.
        properties[f"{prefix}.root.{queue}.user-limit-factor"] = "100"
    return properties


def zoo_cfg(site: Site) -> str:
    """The text of zoo.cfg: one server, short ticks so that sessions of 1 s and more can be asked for."""
    return "\n".join(
        [
            "tickTime=500",
            "maxSessionTimeout=60000",
            f"dataDir={site.data}/zookeeper",
            f"clientPort={site.ports['zookeeper-client']}",
            "clientPortAddress=127.0.0.1",
            "maxClientCnxns=0",
            "admin.enableServer=false",
            "4lw.commands.whitelist=srvr,stat,ruok,mntr",
            "",
        ]
    )


def files(site: Site) -> dict[str, str]:
    """Return every configuration file: its name in the conf folder and its text."""
    rendered = {
        "core-site.xml": to_xml(core_site(site)),
        "hdfs-site.xml": to_xml(hdfs_site(site)),
        "yarn-site.xml": to_xml(yarn_site(site)),
        "capacity-scheduler.xml": to_xml(capacity_scheduler()),
        "log4j.properties": _LOG4J,
    }
    if site.settings.zookeeper:
        rendered["zoo.cfg"] = zoo_cfg(site)
    return rendered


def write(site: Site) -> None:
    """Write the conf folder anew.

    Raises:
        OSError: it cannot be written.
    """
    shutil.rmtree(site.conf, ignore_errors=True)
    for page in _PAGES:
        (site.conf / "webapps" / page).mkdir(parents=True)
    for name, text in files(site).items():
        (site.conf / name).write_text(text)


def to_xml(properties: Mapping[str, str]) -> str:
    """Render properties as a Hadoop configuration file."""
    lines = ['<?xml version="1.0"?>', "<configuration>"]
    for name, value in properties.items():
        lines.append(f"  <property><name>{escape(name)}</name><value>{escape(value)}</value></property>")
    return "\n".join([*lines, "</configuration>", ""])
