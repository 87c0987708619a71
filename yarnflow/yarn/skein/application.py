"""Talking to a running application: its key-value store, its containers, its pages.

Every call is one round trip of gRPC and blocks; the ApplicationMaster's Python side (am/) calls it from a thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from yarnflow.errors import ApplicationNotFoundError, ClusterError, ClusterUnreachableError
from yarnflow.yarn.layout import WORKER_SERVICE
from yarnflow.yarn.skein import skein
from yarnflow.yarn.skein.credentials import Credentials

#: Seconds for one call.
CALL_SECONDS = 20.0
_ACTIVE = ("WAITING", "REQUESTED", "RUNNING")
_ENDED = ("SUCCEEDED", "FAILED", "KILLED")


@dataclass(frozen=True)
class WorkerContainer:
    """A container as the ApplicationMaster sees it.

    Attributes:
        name: skein's id, "taskmanager_3": known as soon as it is requested.
        container_id: YARN's id; "" until it is allocated.
        state: WAITING, REQUESTED, RUNNING, SUCCEEDED, FAILED or KILLED.
        node: "host:port" of the node's web server; "" until allocated.
        message: why it ended.
    """

    name: str
    container_id: str
    state: str
    node: str
    message: str

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.state in _ENDED


class SkeinApplication:
    """A client of one application's ApplicationMaster."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @staticmethod
    def in_container() -> SkeinApplication:
        """From inside one of its containers, where skein's variables and certificate are."""
        with _calls("the application this container belongs to"):
            return SkeinApplication(_bounded(skein().ApplicationClient.from_current()))

    @staticmethod
    def connect(address: str, application_id: str, credentials: Credentials) -> SkeinApplication:
        """From anywhere, to the "host:port" that YARN reports for it."""
        return SkeinApplication(
            _bounded(skein().ApplicationClient(address, application_id, security=credentials.to_skein()))
        )

    def close(self) -> None:
        """Close the connection; the application is not touched."""
        self._client.close()

    # -- key-value store ---------------------------------------------------------------------------------

    def publish(self, key: str, value: str) -> None:
        """Put a value where every container finds it. It lives as long as this attempt of the master."""
        with _calls(self._client.id):
            self._client.kv[key] = value.encode()

    def lookup(self, key: str) -> str | None:
        """The value of `key`, or None."""
        with _calls(self._client.id):
            found = self._client.kv.get(key)
        return None if found is None else bytes(found).decode()

    # -- containers --------------------------------------------------------------------------------------

    def add_worker(self) -> str:
        """Request one more TaskManager container; returns its name."""
        with _calls(self._client.id):
            return str(self._client.add_container(WORKER_SERVICE).id)

    def active_workers(self) -> list[WorkerContainer]:
        """Containers that are requested or run."""
        return self._containers(_ACTIVE)

    def ended_workers(self) -> list[WorkerContainer]:
        """Containers that ran."""
        return self._containers(_ENDED)

    def kill_worker(self, name: str) -> None:
        """Stop a container, or take its request back. A no-op when it has ended."""
        with _calls(self._client.id), contextlib.suppress(ValueError, KeyError):
            self._client.kill_container(name)

    def _containers(self, states: tuple[str, ...]) -> list[WorkerContainer]:
        with _calls(self._client.id):
            found = self._client.get_containers(services=(WORKER_SERVICE,), states=states)
        return [
            WorkerContainer(
                name=container.id,
                container_id=container.yarn_container_id or "",
                state=str(container.state),
                node=container.yarn_node_http_address or "",
                message=(container.exit_message or "").strip(),
            )
            for container in found
        ]

    # -- the application ---------------------------------------------------------------------------------

    def add_page(self, route: str, url: str, title: str) -> str:
        """Show a web server behind YARN's tracking URL; returns the page's address there."""
        with _calls(self._client.id):
            return str(self._client.ui.add_page(route, url, link_name=title).address)

    def finish(self, status: str, diagnostics: str) -> None:
        """End the application with SUCCEEDED, FAILED or KILLED. Our own process is told to end too."""
        with _calls(self._client.id):
            self._client.shutdown(status, diagnostics)


def _bounded(client: Any) -> Any:
    """Give every call a time limit: skein 0.8.2 has none, and a hanging node answers nothing at all."""
    call = client._call

    def bounded(method: str, request: Any, timeout: float | None = None) -> Any:
        return call(method, request, timeout=timeout or CALL_SECONDS)

    client._call = bounded
    return client


@contextlib.contextmanager
def _calls(application: str) -> Iterator[None]:
    """Turn skein's errors into ours: ClusterUnreachableError, ApplicationNotFoundError, else ClusterError."""
    exceptions = skein().exceptions
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        raise ClusterUnreachableError(f"the ApplicationMaster of {application} does not answer") from error
    except exceptions.ApplicationError as error:
        raise ApplicationNotFoundError(f"{application} does not run as it should: {error}") from error
    except (ValueError, KeyError) as error:
        # What gRPC calls an invalid argument, a failed precondition and not found.
        raise ClusterError(f"the ApplicationMaster of {application} refuses: {error}") from error
