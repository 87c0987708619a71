"""What a standalone JobManager and TaskManager have in common: log files, signals, and the way to the background.

A process that is started in the background is `start-foreground` in a session of its own, which writes to files
and tells its parent through a pipe how its start went: "ready ..." or "failed ...", one line, and closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yarnflow
from yarnflow.config import Configuration
from yarnflow.config.core import CoreOptions
from yarnflow.config.loader import find_conf_dir
from yarnflow.errors import ClusterError, ConfigurationError, YarnflowError
from yarnflow.runtime.taskmanager.worker_spawn import open_log
from yarnflow.standalone.instances import Instance, claim, pid_directory, running
from yarnflow.standalone.secret import secret_file

logger = logging.getLogger(__name__)

#: What people call the kinds of instances.
TITLES = {"jobmanager": "JobManager", "taskmanager": "TaskManager"}

_FORMAT = "%(asctime)s %(levelname)-5s %(name)s - %(message)s"
_READY, _FAILED = "ready ", "failed "


@dataclass(frozen=True)
class ProcessSetup:
    """What one of our processes starts with.

    Attributes:
        config: file < environment < -D.
        secret: of the cluster.
        log_directory: a folder of its own.
        started: call it once, with a line for people, when the process does what it is for.
    """

    config: Configuration
    secret: bytes = field(repr=False)
    log_directory: Path
    started: Callable[[str], None]


def run_process(
    kind: str,
    config: Configuration,
    config_dir: Path | None,
    report: int | None,
    get_secret: Callable[[Path], bytes],
    main: Callable[[ProcessSetup], Awaitable[None]],
) -> None:
    """Be a JobManager or TaskManager until it ends or a signal (SIGTERM, SIGINT) ends it.

    Args:
        kind: "jobmanager" or "taskmanager".
        config: its configuration.
        config_dir: as given with --configDir.
        report: pipe to the process that started this one in the background; None in the foreground.
        get_secret: reads the file of the cluster's secret.
        main: what it does.

    Raises:
        YarnflowError: it cannot start or go on; in the background the other end of the pipe knows, too.
    """
    # What gRPC's C code logs on its own is no log line of ours; its errors come as exceptions.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    parent = _Parent(report)
    try:
        instance = claim(kind, pid_directory(config))
        folder = _make_log_folder(instance, config)
        if report is not None:
            _redirect(folder / f"{kind}.out", 1)
            _redirect(folder / f"{kind}.log", 2)
        _set_up_logging(config, config_dir)
        logger.info("%s with pid %d, log in %s", TITLES[kind], instance.pid, folder)
        secret = get_secret(secret_file(config, config_dir))
        asyncio.run(_until_signal(main(ProcessSetup(config, secret, folder, parent.ready))))
    except YarnflowError as error:
        parent.tell(_FAILED + str(error))
        raise


class _Parent:
    """The process that waits for the start of this one, if there is one."""

    def __init__(self, report: int | None) -> None:
        self._report = report

    def ready(self, line: str) -> None:
        logger.info("%s", line)
        self.tell(_READY + line)

    def tell(self, line: str) -> None:
        if self._report is not None:
            # The parent may be gone already; that is no reason to end.
            with contextlib.suppress(BrokenPipeError):
                os.write(self._report, " ".join(line.split()).encode() + b"\n")
            os.close(self._report)
            self._report = None


async def _until_signal(main: Awaitable[None]) -> None:
    task = asyncio.ensure_future(main)
    signals: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        # Once: a second signal must not cut short how the first one is carried out.
        if not signals:
            logger.info("%s: ending", number.name)
            task.cancel()
        signals.append(number)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end, number)
    try:
        await task
    except asyncio.CancelledError:
        if not signals:
            raise


def start_in_background(kind: str, arguments: Sequence[str]) -> str:
    """Start a process and wait until it works; returns a line that says where it is.

    Args:
        kind: "jobmanager" or "taskmanager".
        arguments: of its command: --configDir, -D, ...

    Raises:
        ClusterError: it ended before it worked; says why.
    """
    program = [sys.executable, "-m", "yarnflow.cli.main", kind]
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8") as answers:
        try:
            # It writes to files of its own as soon as it knows their names; before, it has nothing to say.
            process = subprocess.Popen(
                [*program, "start-foreground", "--report", str(writing), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(writing,),
                start_new_session=True,
            )
        finally:
            os.close(writing)
        answer = answers.readline().strip()
    if answer.startswith(_READY):
        return f"{TITLES[kind]} with pid {process.pid}: {answer[len(_READY) :]}"
    code = process.wait()
    if answer.startswith(_FAILED):
        raise ClusterError(f"the {TITLES[kind]} could not start: {answer[len(_FAILED) :]}")
    raise ClusterError(f"the {TITLES[kind]} ended during its start, with exit code {code}")


def describe_running(kind: str, config: Configuration) -> list[str]:
    """A line for each instance of this kind that runs on this host."""
    return [
        f"A {TITLES[kind]} runs already on {socket.gethostname()}: pid {instance.pid}, "
        f"log {log_directory(config) / instance.name}"
        for instance in running(kind, pid_directory(config))
    ]


def log_directory(config: Configuration) -> Path:
    """Where the log folders of all instances are: env.log.dir, `log` of the installation, ~/.yarnflow/log."""
    named = config[CoreOptions.LOG_DIR]
    if named:
        return Path(named).expanduser().absolute()
    checkout = Path(yarnflow.__file__).resolve().parents[1]
    home = checkout if (checkout / "bin" / "jobmanager.sh").is_file() else Path.home() / ".yarnflow"
    return home / "log"


def _make_log_folder(instance: Instance, config: Configuration) -> Path:
    folder = log_directory(config) / instance.name
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the log folder {folder} cannot be made: {error.strerror}. Set {CoreOptions.LOG_DIR.key}"
        ) from error
    return folder


def _redirect(path: Path, descriptor: int) -> None:
    log = open_log(path)
    os.dup2(log, descriptor)
    os.close(log)


def _set_up_logging(config: Configuration, config_dir: Path | None) -> None:
    """logging.yaml of the configuration's directory, else lines on stderr; env.log.level wins when it is set."""
    folder = find_conf_dir(config_dir)
    path = None if folder is None else folder / "logging.yaml"
    if path is None or not path.is_file():
        logging.basicConfig(level=config[CoreOptions.LOG_LEVEL], format=_FORMAT, force=True)
        return
    # Not at the top: `start` and `stop` read no YAML.
    from logging.config import dictConfig

    import yaml

    try:
        dictConfig(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, ImportError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} is no logging configuration: {' '.join(str(error).split())}") from error
    level = config.get(CoreOptions.LOG_LEVEL)
    if level is not None:
        logging.getLogger().setLevel(level)
