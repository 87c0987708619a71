"""The file system before its first use: the NameNode's format, and the folders that everybody expects."""

from __future__ import annotations

import os
import pwd
import subprocess
import urllib.request

from yarnflow.devcluster import daemons, logs
from yarnflow.devcluster.daemons import Daemon
from yarnflow.devcluster.readiness import OPENER
from yarnflow.devcluster.settings import Site
from yarnflow.devcluster.toolchain import Progress
from yarnflow.errors import DevClusterError

_FORMAT_SECONDS = 60.0
_REQUEST_SECONDS = 30.0


def is_formatted(site: Site) -> bool:
    """Whether the NameNode has names to start from."""
    return (site.data / "namenode" / "current" / "VERSION").exists()


def format_names(namenode: Daemon, site: Site) -> None:
    """Make an empty file system.

    Raises:
        DevClusterError: the NameNode could not; with the end of what it said.
    """
    log = site.logs / "format.log"
    command = [*daemons.command(namenode, site), "-format", "-force", "-nonInteractive"]
    try:
        with log.open("w") as output:
            done = subprocess.run(
                command,
                cwd=site.scratch,
                env=daemons.environment(namenode, site),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_FORMAT_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise DevClusterError(f"formatting HDFS took over {_FORMAT_SECONDS:.0f} s: see {log}") from error
    if done.returncode != 0:
        raise DevClusterError(f"formatting HDFS failed. {logs.tail(site, 'format')}")


def make_folders(site: Site, progress: Progress) -> None:
    """Make /tmp and the user's home in HDFS, once.

    Raises:
        DevClusterError: the NameNode refused.
    """
    marker = site.data / "folders-made"
    if marker.exists():
        return
    # Whom the NameNode runs as, and so HDFS's superuser: not LOGNAME, which `su` may leave wrong.
    user = pwd.getpwuid(os.getuid()).pw_name
    try:
        _make_folder(site.address("namenode-web"), "/tmp", "1777", user)  # noqa: S108 in HDFS
        _make_folder(site.address("namenode-web"), f"/user/{user}", "755", user)
    except OSError as error:
        raise DevClusterError(
            f"the NameNode refused to make /user/{user} ({error}). {logs.tail(site, daemons.NAMENODE)}"
        ) from error
    marker.touch()
    progress(f"HDFS has /tmp and /user/{user}")


def _make_folder(namenode_web: str, path: str, permission: str, user: str) -> None:
    # SETPERMISSION again: MKDIRS leaves the folder as it is when it exists.
    for operation in (f"MKDIRS&permission={permission}", f"SETPERMISSION&permission={permission}"):
        url = f"http://{namenode_web}/webhdfs/v1{path}?op={operation}&user.name={user}"
        with OPENER.open(urllib.request.Request(url, method="PUT"), timeout=_REQUEST_SECONDS):
            pass
