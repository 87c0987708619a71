"""A whole standalone cluster: the hosts of conf/masters and conf/workers, this one or others by ssh.

Both files have a host per line; a host that stands twice in `workers` gets two TaskManagers. Other hosts need
the installation and the configuration in the same places as this one.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yarnflow
from yarnflow.config import Configuration
from yarnflow.config.core import CoreOptions
from yarnflow.config.jobmanager import RestOptions
from yarnflow.config.loader import find_conf_dir
from yarnflow.errors import ClusterError, ConfigurationError

#: Runs the command of one kind on this host: ("jobmanager", ["start", "-Dkey=value"]).
RunHere = Callable[[str, Sequence[str]], None]

_LOCAL = ("localhost", "127.0.0.1", "::1")
_SSH_CONNECT_SECONDS = 15


def start_cluster(config: Configuration, config_dir: Path | None, arguments: Sequence[str], here: RunHere) -> None:
    """Start the JobManager and, when it works, all TaskManagers.

    Args:
        config: the cluster's.
        config_dir: as given with --configDir.
        arguments: options that every process gets, in their spelling of the command line.
        here: runs a command on this host.

    Raises:
        ConfigurationError: masters or workers say something that cannot be.
        ClusterError: a process could not be started.
    """
    folder = find_conf_dir(config_dir)
    master, port = read_master(folder)
    master_arguments = [*arguments]
    if port and RestOptions.PORT not in config and RestOptions.BIND_PORT not in config:
        master_arguments.append(f"-D{RestOptions.PORT.key}={port}")
    workers = read_hosts(folder, "workers")
    _run([master], "jobmanager", ["start", *master_arguments], config, folder, here)
    _run(workers, "taskmanager", ["start", *arguments], config, folder, here)


def stop_cluster(config: Configuration, config_dir: Path | None, arguments: Sequence[str], here: RunHere) -> None:
    """End all TaskManagers, then the JobManager, on the hosts that the files name.

    Raises as `start_cluster` does.
    """
    folder = find_conf_dir(config_dir)
    master, _ = read_master(folder)
    workers = list(dict.fromkeys(read_hosts(folder, "workers")))
    _run(workers, "taskmanager", ["stop-all", *arguments], config, folder, here)
    _run([master], "jobmanager", ["stop-all", *arguments], config, folder, here)


def read_hosts(folder: Path | None, name: str) -> list[str]:
    """The lines of a file of hosts, without comments; `localhost` when there is no such file.

    Raises ConfigurationError for a file that names none, or with more than a host in a line.
    """
    path = None if folder is None else folder / name
    if path is None or not path.is_file():
        return ["localhost"]
    lines = [line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines()]
    hosts = [line for line in lines if line]
    if not hosts:
        raise ConfigurationError(f"{path} names no host: put one in each line, for instance localhost")
    for host in hosts:
        if len(host.split()) > 1 or host.startswith("-"):
            raise ConfigurationError(f"{path}: {host!r} is not a host: there is one in each line")
    return hosts


def read_master(folder: Path | None) -> tuple[str, str]:
    """Host and port ("" without one) of the line in `masters`.

    Raises ConfigurationError when it is not exactly one.
    """
    lines = read_hosts(folder, "masters")
    if len(lines) > 1:
        raise ConfigurationError(
            f"{folder}/masters names {len(lines)} hosts ({', '.join(lines)}): a second JobManager needs high "
            "availability, which this version does not have. Leave one of them"
        )
    host, colon, port = lines[0].rpartition(":")
    if not colon or not port.isdigit():
        return lines[0], ""
    return host.strip("[]"), port


def _run(
    hosts: Sequence[str],
    kind: str,
    words: Sequence[str],
    config: Configuration,
    folder: Path | None,
    here: RunHere,
) -> None:
    """Run one command on every host: on this one in order, on the others at the same time."""
    options = shlex.split(config[CoreOptions.SSH_OPTS] or "")
    remote = [
        (host, subprocess.Popen(_ssh(host, options, kind, words, folder), stdin=subprocess.DEVNULL))
        for host in hosts
        if host not in _LOCAL
    ]
    try:
        for host in hosts:
            if host in _LOCAL:
                here(kind, words)
    finally:
        failed = [host for host, process in remote if process.wait() != 0]
    if failed:
        raise ClusterError(
            f"`{kind} {words[0]}` failed on {', '.join(failed)}: what they say stands above. It is run there by "
            f"ssh, with {CoreOptions.SSH_OPTS.key}, and needs yarnflow in the same place as here"
        )


def _ssh(host: str, options: Sequence[str], kind: str, words: Sequence[str], folder: Path | None) -> list[str]:
    script = Path(yarnflow.__file__).resolve().parents[1] / "bin" / f"{kind}.sh"
    program = [str(script)] if script.is_file() else [sys.executable, "-m", "yarnflow.cli.main", kind]
    where = [] if folder is None else [f"YARNFLOW_CONF_DIR={folder.absolute()}"]
    command = shlex.join(["env", *where, *program, *words])
    # The user's options come first: for ssh, the first one counts.
    return ["ssh", "-n", *options, "-o", f"ConnectTimeout={_SSH_CONNECT_SECONDS}", host, "--", command]
