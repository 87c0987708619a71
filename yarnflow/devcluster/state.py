"""What one state folder remembers between commands: settings, ports, and the processes that were started."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from yarnflow.devcluster.jars import user_cache
from yarnflow.devcluster.processes import ProcessId
from yarnflow.devcluster.settings import Settings, Site
from yarnflow.errors import DevClusterError

#: Environment variable that names the state folder to use.
DIRECTORY_VARIABLE = "YARNFLOW_DEVCLUSTER_DIR"
_FILE = "state.json"
#: Bumped when the file's fields change; a folder of another format is refused, not guessed at.
_FORMAT = 1
#: Hadoop splits folder names at commas, shells at spaces, URIs at %, and class paths at colons.
_UNUSABLE = re.compile(r"[^A-Za-z0-9_./+@=-]")


@dataclass(frozen=True)
class Started:
    """A daemon that was started."""

    process: ProcessId
    #: Unix time in seconds.
    at: float


@dataclass(frozen=True)
class State:
    """The content of a state folder's state.json."""

    settings: Settings
    ports: Mapping[str, int]
    lib: Path
    java_home: Path
    daemons: Mapping[str, Started] = field(default_factory=dict)

    def site(self, directory: Path) -> Site:
        """Return the site this state describes."""
        return Site(directory, self.settings, self.ports, self.lib, self.java_home)

    def alive(self) -> dict[str, Started]:
        """Return the daemons whose process still runs."""
        return {role: started for role, started in self.daemons.items() if started.process.is_alive()}


def default_directory() -> Path:
    """Return the state folder to use when none is given: YARNFLOW_DEVCLUSTER_DIR, else the user's cache."""
    named = os.environ.get(DIRECTORY_VARIABLE)
    return Path(named) if named else user_cache() / "devcluster"


def check_directory(directory: Path) -> Path:
    """Return the folder's absolute path.

    Raises:
        DevClusterError: its name has characters that Hadoop's configuration cannot hold.
    """
    absolute = directory.expanduser().absolute()
    bad = _UNUSABLE.search(str(absolute))
    if bad is not None:
        raise DevClusterError(
            f"the devcluster's folder {absolute} has {bad[0]!r} in its name, which Hadoop's configuration cannot "
            "hold: choose another with --dir"
        )
    return absolute


def load(directory: Path) -> State | None:
    """Return what the folder remembers; None when no devcluster was started there.

    Raises:
        DevClusterError: the file is not one of ours.
    """
    path = directory / _FILE
    try:
        raw = json.loads(path.read_text())
        if raw["format"] != _FORMAT:
            raise DevClusterError(
                f"{path} has format {raw['format']}, this yarnflow reads {_FORMAT}: stop the devcluster with "
                "the yarnflow that started it, then remove the folder"
            )
        daemons = {
            role: Started(ProcessId(entry["pid"], entry["started"]), entry["at"])
            for role, entry in raw["daemons"].items()
        }
        return State(
            Settings(**raw["settings"]), raw["ports"], Path(raw["lib"]), Path(raw["java_home"]), daemons
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise DevClusterError(
            f"{path} cannot be read ({error!r}): remove {directory} if it is not in use"
        ) from error


def save(directory: Path, state: State) -> None:
    """Write the folder's state, all or nothing."""
    raw = {
        "format": _FORMAT,
        "settings": asdict(state.settings),
        "ports": dict(state.ports),
        "lib": str(state.lib),
        "java_home": str(state.java_home),
        "daemons": {
            role: {"pid": entry.process.pid, "started": entry.process.started, "at": entry.at}
            for role, entry in state.daemons.items()
        },
    }
    temporary = directory / f"{_FILE}.new"
    temporary.write_text(json.dumps(raw, indent=2) + "\n")
    temporary.replace(directory / _FILE)
