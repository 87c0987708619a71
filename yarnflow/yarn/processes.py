"""The scripts that start our processes in containers, and how those processes log."""

from __future__ import annotations

import logging
import shlex
import sys

from yarnflow.config import Configuration
from yarnflow.config.core import CoreOptions
from yarnflow.yarn.layout import LIBRARY

_FORMAT = "%(asctime)s %(levelname)-5s %(name)s - %(message)s"


def script(executable: str, module: str, name: str) -> str:
    """Return the bash script of a container.

    `exec`, since only the shell's process gets YARN's signals. Output goes where Flink's does: `<name>.out`,
    and the log to `<name>.log`.

    Args:
        executable: of Python.
        module: to run.
        name: of the log files.
    """
    executable = shlex.quote(executable)
    return f"""\
log=${{LOG_DIRS%%,*}}
export PYTHONPATH="$PWD/{LIBRARY}${{PYTHONPATH:+:$PYTHONPATH}}"
export PYTHONUNBUFFERED=1
if ! command -v {executable} >/dev/null; then
    echo "this node has no Python at "{executable}": see yarn.python-environment" | tee "$log/{name}.log"
    exit 127
fi
exec {executable} -m {module} >"$log/{name}.out" 2>"$log/{name}.log"
"""


def log_to_stderr(config: Configuration) -> None:
    """Log to standard error, which the script has sent to the log file."""
    logging.basicConfig(stream=sys.stderr, level=config[CoreOptions.LOG_LEVEL], format=_FORMAT, force=True)
    for noisy in ("urllib3", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
