"""What a devcluster is made of: chosen at the first start, remembered in its state folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: The version whose jars pom.xml resolves.
HADOOP_VERSION = "3.4.1"


@dataclass(frozen=True)
class Settings:
    """The size of a devcluster. `kerberos` will be one more field here (and more properties in hadoop_conf)."""

    #: NodeManagers, each with ports and local folders of its own.
    nodes: int = 1
    #: Whether a ZooKeeper server runs beside them.
    zookeeper: bool = False
    #: Memory that each NodeManager offers to containers. YARN books it, the operating system need not have it.
    node_memory_mb: int = 8192
    #: Virtual cores that each NodeManager offers.
    node_vcores: int = 8


@dataclass(frozen=True)
class Site:
    """One devcluster in its place: everything that configuration files, launchers and daemons depend on."""

    directory: Path
    settings: Settings
    #: Ports by the names of `ports.names_for`.
    ports: Mapping[str, int]
    #: Folder with Hadoop's jars.
    lib: Path
    java_home: Path
    #: Name under which everything is bound and advertised. Loopback only: without Kerberos, whoever reaches
    #: a ResourceManager can run programs as this user.
    host: str = field(default="localhost")

    @property
    def conf(self) -> Path:
        """The Hadoop configuration folder (HADOOP_CONF_DIR)."""
        return self.directory / "conf"

    @property
    def bin(self) -> Path:
        """The folder of the `yarn`, `hdfs` and `hadoop` launchers."""
        return self.directory / "bin"

    @property
    def logs(self) -> Path:
        """One log file per daemon."""
        return self.directory / "logs"

    @property
    def data(self) -> Path:
        """HDFS blocks and names, ZooKeeper's data, local folders of the NodeManagers."""
        return self.directory / "data"

    @property
    def scratch(self) -> Path:
        """Temporary files of the daemons, and their working folder."""
        return self.directory / "tmp"

    def address(self, port: str) -> str:
        """Return host:port of a named port."""
        return f"{self.host}:{self.ports[port]}"

    @property
    def hdfs_uri(self) -> str:
        """The default file system."""
        return f"hdfs://{self.address('namenode-rpc')}"

    @property
    def classpath(self) -> str:
        """Java class path of every daemon and of the containers that ask for YARN's."""
        return f"{self.conf}:{self.lib}/*"
