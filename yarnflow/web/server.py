"""The JobManager's web server: REST below / and /v1, and the dashboard.

`start_web` is the hook that the entrypoints hand to the JobManager, so that runtime knows no aiohttp.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from yarnflow.errors import ConfigurationError
from yarnflow.runtime.jobmanager.api import DispatcherGateway
from yarnflow.web import checkpoints, cluster, jobs, submission
from yarnflow.web.errors import errors_as_json
from yarnflow.web.keys import DISPATCHER

#: Largest request body that is read into memory: a job graph with its pickled code. Blobs are streamed.
MAX_BODY = 512 * 1024 * 1024
_STATIC = Path(__file__).parent / "static"


async def dashboard(request: web.Request) -> web.StreamResponse:
    """GET /: one page that reads the REST API."""
    return web.FileResponse(_STATIC / "index.html")


def make_app(dispatcher: DispatcherGateway) -> web.Application:
    """All routes over one dispatcher; each also below /v1, as in Flink."""
    app = web.Application(middlewares=[errors_as_json], client_max_size=MAX_BODY)
    app[DISPATCHER] = dispatcher
    routes = [*cluster.ROUTES, *jobs.ROUTES, *checkpoints.ROUTES, *submission.ROUTES]
    app.add_routes([web.get("/", dashboard), *routes])
    app.add_routes(
        [web.RouteDef(route.method, f"/v1{route.path}", route.handler, route.kwargs) for route in routes]
    )
    return app


@dataclass(frozen=True)
class WebServer:
    """A running server.

    Attributes:
        host: the address it is bound to.
        port: the port it got.
    """

    host: str
    port: int
    runner: web.AppRunner

    async def close(self) -> None:
        """Stop listening and end open requests."""
        await self.runner.cleanup()


def ports_of(text: str) -> Iterable[int]:
    """The ports of "8081", "50100-50200" or a list by comma, in order; 0 is any free one.

    Raises ConfigurationError.
    """
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            low, high = int(first), int(last) if dash else int(first)
        except ValueError:
            low, high = -1, -1
        if not 0 <= low <= high <= 65535:
            raise ConfigurationError(
                f"rest.bind-port: {text!r} is not a port (0 to 65535, 0 for any), a range like 50100-50200, or a "
                "list of them"
            )
        yield from range(low, high + 1)


async def start_web(dispatcher: DispatcherGateway, bind_address: str, bind_port: str) -> WebServer:
    """Serve on the first free port of `bind_port`.

    Raises ConfigurationError when all of them are taken or the address is not this machine's.
    """
    runner = web.AppRunner(make_app(dispatcher), access_log=None)
    await runner.setup()
    problem: OSError | None = None
    for port in ports_of(bind_port):
        site = web.TCPSite(runner, bind_address, port)
        try:
            await site.start()
        except OSError as error:
            problem = error
            if error.errno == errno.EADDRINUSE:
                continue
            break
        address = runner.addresses[0]
        return WebServer(str(address[0]), int(address[1]), runner)
    await runner.cleanup()
    raise ConfigurationError(
        f"the REST server cannot listen on {bind_address}, port {bind_port}: {problem}. Set rest.bind-address and "
        "rest.bind-port."
    )
