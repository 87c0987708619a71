"""The client's Hadoop configuration: core-site.xml, yarn-site.xml and what they mean to us.

Read with the XML parser of the standard library, so that no JVM is needed to know where the ResourceManager is.
"""

from __future__ import annotations

import getpass
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

from yarnflow.config import Configuration
from yarnflow.config.core import CoreOptions
from yarnflow.errors import ConfigurationError

_FILES = ("core-default.xml", "core-site.xml", "hdfs-site.xml", "yarn-default.xml", "yarn-site.xml")
_VARIABLE = re.compile(r"\$\{([^}$\s]+)\}")
#: Hadoop's own limit on substitutions within substitutions (Configuration.MAX_SUBST).
_MAX_SUBSTITUTIONS = 20


class HadoopConf:
    """Properties of one configuration directory.

    Args:
        directory: where yarn-site.xml is.
        properties: as written in the files, before substitution.
    """

    def __init__(self, directory: Path, properties: Mapping[str, str]) -> None:
        self.directory = directory
        self._properties = dict(properties)

    def get(self, key: str, default: str = "") -> str:
        """The value of `key` with ${...} substituted, as Hadoop does it."""
        value = self._properties.get(key, default)
        for _ in range(_MAX_SUBSTITUTIONS):
            match = _VARIABLE.search(value)
            if match is None:
                break
            name = match[1]
            found = os.environ.get(name[4:]) if name.startswith("env.") else self._properties.get(name)
            if found is None:
                break
            value = value[: match.start()] + found + value[match.end() :]
        return value

    @property
    def default_fs(self) -> str:
        """URI of the default file system, without a slash at the end."""
        return self.get("fs.defaultFS", "file:///").removesuffix("/")

    @property
    def secure(self) -> bool:
        """Whether the cluster demands Kerberos."""
        return self.get("hadoop.security.authentication", "simple").lower() == "kerberos"

    @property
    def web_secure(self) -> bool:
        """Whether the cluster's web pages and REST APIs demand SPNEGO."""
        return self.get("hadoop.http.authentication.type", "simple").lower() == "kerberos" or self.secure

    def web_addresses(self) -> tuple[str, ...]:
        """http(s)://host:port of every ResourceManager, one each for a highly available pair.

        Keys and defaults are those of yarn-default.xml.
        """
        https = self.get("yarn.http.policy", "HTTP_ONLY") == "HTTPS_ONLY"
        scheme, kind, port = ("https", "webapp.https", "8090") if https else ("http", "webapp", "8088")
        suffixes = [""]
        if self.get("yarn.resourcemanager.ha.enabled", "false") == "true":
            ids = [part.strip() for part in self.get("yarn.resourcemanager.ha.rm-ids").split(",")]
            suffixes = [f".{part}" for part in ids if part] or suffixes
        addresses = []
        for suffix in suffixes:
            host = self.get(f"yarn.resourcemanager.hostname{suffix}") or self.get(
                "yarn.resourcemanager.hostname", "0.0.0.0"  # noqa: S104 yarn-default.xml's value, never bound
            )
            address = self.get(f"yarn.resourcemanager.{kind}.address{suffix}") or f"{host}:{port}"
            if address.startswith("0.0.0.0:"):
                # What an unconfigured client gets; only a ResourceManager on this machine can be meant.
                address = address.replace("0.0.0.0", "localhost", 1)  # noqa: S104
            addresses.append(f"{scheme}://{address}")
        return tuple(addresses)


def conf_directory(config: Configuration, environ: Mapping[str, str] = os.environ) -> Path:
    """The directory with yarn-site.xml.

    Options `env.yarn.conf.dir` and `env.hadoop.conf.dir`, then YARN_CONF_DIR, HADOOP_CONF_DIR, HADOOP_HOME.

    Raises:
        ConfigurationError: none is set, or what is set is not a directory.
    """
    home = environ.get("HADOOP_HOME")
    places = {
        CoreOptions.YARN_CONF_DIR.key: config[CoreOptions.YARN_CONF_DIR],
        CoreOptions.HADOOP_CONF_DIR.key: config[CoreOptions.HADOOP_CONF_DIR],
        "YARN_CONF_DIR": environ.get("YARN_CONF_DIR"),
        "HADOOP_CONF_DIR": environ.get("HADOOP_CONF_DIR"),
        "HADOOP_HOME": f"{home}/etc/hadoop" if home else None,
    }
    for name, place in places.items():
        if place:
            directory = Path(place)
            if not directory.is_dir():
                raise ConfigurationError(
                    f"{name} says that Hadoop's configuration is in {place}, which is not a directory"
                )
            return directory
    raise ConfigurationError(
        "no YARN cluster is configured: set HADOOP_CONF_DIR to the directory with its yarn-site.xml and "
        "core-site.xml (for the test cluster: eval \"$(yarnflow devcluster env)\")"
    )


def load(config: Configuration, environ: Mapping[str, str] = os.environ) -> HadoopConf:
    """Read the configuration.

    Raises:
        ConfigurationError: there is none, or a file cannot be read; names the file.
    """
    directory = conf_directory(config, environ)
    if not (directory / "yarn-site.xml").is_file():
        raise ConfigurationError(
            f"{directory} has no yarn-site.xml: set HADOOP_CONF_DIR to the directory that has it"
        )
    properties: dict[str, str] = {}
    for name in _FILES:
        path = directory / name
        if path.is_file():
            properties.update(_read(path))
    return HadoopConf(directory, properties)


def _read(path: Path) -> dict[str, str]:
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 the administrator's own file
    except (OSError, ElementTree.ParseError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    found = {}
    for entry in root.iter("property"):
        name, value = entry.findtext("name"), entry.findtext("value")
        if name and value is not None:
            found[name.strip()] = value.strip()
    return found


def hadoop_user(environ: Mapping[str, str] = os.environ) -> str:
    """Who we are to a cluster without Kerberos."""
    return environ.get("HADOOP_USER_NAME") or getpass.getuser()
