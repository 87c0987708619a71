"""REST: the cluster, its JobManager and TaskManagers, and their logs. Paths and fields are Flink's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.jobmanager.views import LogFile, TaskManagerView
from yarnflow.web import json_views
from yarnflow.web.errors import NotFound
from yarnflow.web.keys import DISPATCHER

#: How much of a log file is read at once, in bytes.
LOG_CHUNK = 1 << 20
#: How often the dashboard asks, in ms.
REFRESH_MS = 3000

ReadLog = Callable[[int], Awaitable["bytes | None"]]


async def overview(request: web.Request) -> web.Response:
    """GET /overview."""
    return web.json_response(json_views.cluster_overview(await request.app[DISPATCHER].overview()))


async def config(request: web.Request) -> web.Response:
    """GET /config."""
    return web.json_response(json_views.web_config(REFRESH_MS))


async def jobmanager_config(request: web.Request) -> web.Response:
    """GET /jobmanager/config."""
    return web.json_response(json_views.key_values(await request.app[DISPATCHER].config()))


async def shutdown(request: web.Request) -> web.Response:
    """DELETE /cluster."""
    await request.app[DISPATCHER].shutdown(FinalStatus.SUCCEEDED, "stopped through the REST API")
    return web.json_response({}, status=202)


async def taskmanagers(request: web.Request) -> web.Response:
    """GET /taskmanagers."""
    views = await request.app[DISPATCHER].taskmanagers()
    return web.json_response({"taskmanagers": [json_views.taskmanager(view) for view in views]})


async def _taskmanager(request: web.Request) -> TaskManagerView:
    wanted = request.match_info["id"]
    view = await request.app[DISPATCHER].taskmanager(wanted)
    if view is None:
        raise NotFound(f"No TaskManager {wanted} is registered. GET /taskmanagers lists those that are.")
    return view


async def taskmanager(request: web.Request) -> web.Response:
    """GET /taskmanagers/:id."""
    return web.json_response(json_views.taskmanager(await _taskmanager(request)))


async def taskmanager_logs(request: web.Request) -> web.Response:
    """GET /taskmanagers/:id/logs."""
    view = await _taskmanager(request)
    files = await request.app[DISPATCHER].taskmanager_logs(view.taskmanager_id)
    return web.json_response(json_views.log_list(files or ()))


async def _send_log(request: web.Request, name: str, read: ReadLog) -> web.StreamResponse:
    """Stream a log file as plain text, so that a large one needs no memory."""
    first = await read(0)
    if first is None:
        raise NotFound(f"There is no log file {name!r} here.")
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    await response.prepare(request)
    chunk, offset = first, 0
    while chunk:
        await response.write(chunk)
        offset += len(chunk)
        chunk = await read(offset) or b""
    await response.write_eof()
    return response


def _main_log(files: tuple[LogFile, ...], ending: str) -> str:
    """The file that Flink's .../log (ending .log) and .../stdout (.out) show: the process's own.

    Those of slot workers have longer names: taskmanager.log, taskmanager-slot0.log."""
    names = [file.name for file in files if file.name.endswith(ending)]
    if not names:
        raise NotFound(f"There is no {ending} file here.")
    return min(names, key=len)


async def _taskmanager_file(request: web.Request, name: str) -> web.StreamResponse:
    taskmanager_id = request.match_info["id"]
    dispatcher = request.app[DISPATCHER]
    return await _send_log(
        request, name, lambda offset: dispatcher.taskmanager_log(taskmanager_id, name, offset, LOG_CHUNK)
    )


async def taskmanager_file(request: web.Request) -> web.StreamResponse:
    """GET /taskmanagers/:id/logs/:name."""
    await _taskmanager(request)
    return await _taskmanager_file(request, request.match_info["name"])


async def taskmanager_main(request: web.Request) -> web.StreamResponse:
    """GET /taskmanagers/:id/log and /taskmanagers/:id/stdout."""
    view = await _taskmanager(request)
    files = await request.app[DISPATCHER].taskmanager_logs(view.taskmanager_id)
    return await _taskmanager_file(request, _main_log(files or (), _ending(request)))


async def jobmanager_logs(request: web.Request) -> web.Response:
    """GET /jobmanager/logs."""
    return web.json_response(json_views.log_list(await request.app[DISPATCHER].jobmanager_logs()))


async def _jobmanager_file(request: web.Request, name: str) -> web.StreamResponse:
    dispatcher = request.app[DISPATCHER]
    return await _send_log(request, name, lambda offset: dispatcher.jobmanager_log(name, offset, LOG_CHUNK))


async def jobmanager_file(request: web.Request) -> web.StreamResponse:
    """GET /jobmanager/logs/:name."""
    return await _jobmanager_file(request, request.match_info["name"])


async def jobmanager_main(request: web.Request) -> web.StreamResponse:
    """GET /jobmanager/log and /jobmanager/stdout."""
    files = await request.app[DISPATCHER].jobmanager_logs()
    return await _jobmanager_file(request, _main_log(files, _ending(request)))


def _ending(request: web.Request) -> str:
    return ".out" if request.path.endswith("/stdout") else ".log"


ROUTES = [
    web.get("/overview", overview),
    web.get("/config", config),
    web.get("/jobmanager/config", jobmanager_config),
    web.get("/jobmanager/logs", jobmanager_logs),
    web.get("/jobmanager/logs/{name}", jobmanager_file),
    web.get("/jobmanager/log", jobmanager_main),
    web.get("/jobmanager/stdout", jobmanager_main),
    web.get("/taskmanagers", taskmanagers),
    web.get("/taskmanagers/{id}", taskmanager),
    web.get("/taskmanagers/{id}/logs", taskmanager_logs),
    web.get("/taskmanagers/{id}/logs/{name}", taskmanager_file),
    web.get("/taskmanagers/{id}/log", taskmanager_main),
    web.get("/taskmanagers/{id}/stdout", taskmanager_main),
    web.delete("/cluster", shutdown),
]
