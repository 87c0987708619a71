"""Which container stands for which request: decides from what the ApplicationMaster shows.

skein calls nobody when a container starts or ends, so the shell (yarn_driver.py) asks for the containers a few
times a second and hands the answer to `seen`. That covers what a key in skein's store owned by the container could
not: a container that ends before its process can put a key.

    requested(request, name) ... seen(active, ended)  ->  Started, Ended, RequestFailed
    cancelled(request), released(worker)              ->  Kill
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from yarnflow.yarn.skein.application import WorkerContainer

_RUNNING = "RUNNING"


@dataclass(frozen=True)
class ContainerEffect:
    """Base of what the shell shall do."""


@dataclass(frozen=True)
class Started(ContainerEffect):
    """Tell the ResourceManager; `request_id` is None for a container that was requested at submission."""

    request_id: str | None
    worker_id: str


@dataclass(frozen=True)
class Ended(ContainerEffect):
    """Tell the ResourceManager."""

    worker_id: str
    diagnostics: str


@dataclass(frozen=True)
class RequestFailed(ContainerEffect):
    """Tell the ResourceManager."""

    request_id: str
    diagnostics: str


@dataclass(frozen=True)
class Kill(ContainerEffect):
    """Stop the container of this (skein) name, or take its request back."""

    name: str


class ContainersMachine:
    """All containers that are requested or run."""

    def __init__(self) -> None:
        #: Request of each container that has not started, by skein's name of it.
        self._requests: dict[str, str | None] = {}
        #: YARN's id of each container that runs, by skein's name of it.
        self._running: dict[str, str] = {}
        #: Names that concern nobody any more: ended and told, or taken back before they started.
        self._done: set[str] = set()
        #: Names of running containers that shall end.
        self._unwanted: set[str] = set()
        self._looked = False

    @property
    def pending(self) -> int:
        """Containers that have not started."""
        return len(self._requests)

    def requested(self, request_id: str, name: str) -> None:
        """A container was asked for."""
        self._requests[name] = request_id

    def cancelled(self, request_id: str) -> list[ContainerEffect]:
        """A request is not needed any more, if its container has not started."""
        for name, request in list(self._requests.items()):
            if request == request_id:
                del self._requests[name]
                self._done.add(name)
                return [Kill(name)]
        return []

    def released(self, worker_id: str) -> list[ContainerEffect]:
        """A worker is not needed any more; `Ended` follows when it is gone."""
        names = [name for name, container_id in self._running.items() if container_id == worker_id]
        self._unwanted.update(names)
        return [Kill(name) for name in names]

    def missing(self, active: Sequence[WorkerContainer]) -> bool:
        """Whether a container that was there is not: then the shell asks for the ended ones too.

        So it does with the first look: containers that were requested at submission may have come and gone.
        """
        names = {container.name for container in active}
        return not self._looked or not names.issuperset(self._requests) or not names.issuperset(self._running)

    def seen(
        self, active: Sequence[WorkerContainer], ended: Sequence[WorkerContainer]
    ) -> list[ContainerEffect]:
        """Take what the ApplicationMaster shows.

        Args:
            active: all containers that are requested or run.
            ended: those that ended, asked for after `active`; needed only when `missing(active)`.
        """
        effects: list[ContainerEffect] = []
        self._looked = True
        for container in active:
            if container.name in self._done or container.name in self._unwanted:
                if container.state == _RUNNING:
                    # It started while it was taken back, or the order to stop it was lost.
                    effects.append(Kill(container.name))
            elif container.state == _RUNNING and container.name not in self._running and container.container_id:
                request = self._requests.pop(container.name, None)
                self._running[container.name] = container.container_id
                effects.append(Started(request, container.container_id))
            elif container.name not in self._running:
                # Unknown ones were requested at submission.
                self._requests.setdefault(container.name, None)
        # A name in neither list was requested after `active` was asked for: the next look shows it.
        for container in ended:
            if container.name in self._running:
                effects.append(Ended(self._running.pop(container.name), _diagnostics(container)))
            elif container.name not in self._done:
                effects += _ended_at_once(container, self._requests.pop(container.name, None))
            self._done.add(container.name)
            self._unwanted.discard(container.name)
        return effects

    def check(self) -> None:
        """Raise AssertionError when the state contradicts itself; tests call it after every event."""
        assert not set(self._requests) & set(self._running)
        assert not self._done & (set(self._requests) | set(self._running))
        assert self._unwanted <= set(self._running)
        assert len(set(self._running.values())) == len(self._running)


def _ended_at_once(container: WorkerContainer, request: str | None) -> list[ContainerEffect]:
    """It ended before it was seen to run."""
    diagnostics = _diagnostics(container)
    if container.container_id:
        return [Started(request, container.container_id), Ended(container.container_id, diagnostics)]
    return [] if request is None else [RequestFailed(request, diagnostics)]


def _diagnostics(container: WorkerContainer) -> str:
    where = f" on {container.node}" if container.node else ""
    said = f": {container.message}" if container.message else ""
    return f"container {container.container_id or container.name}{where} {container.state.lower()}{said}"
