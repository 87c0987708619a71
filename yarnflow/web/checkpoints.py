"""REST: checkpoints and savepoints. Paths and fields are Flink's.

What takes long is begun by a POST, which answers with a request-id; a GET with that id tells what became of it.
A client may choose the id ("triggerId"): then it can ask again when an answer was lost.
"""

from __future__ import annotations

import json
import re
from typing import Any

from aiohttp import web

from yarnflow.runtime.checkpoint.pending import RequestOutcome
from yarnflow.runtime.checkpoint.statistics import CheckpointRecord
from yarnflow.runtime.rpc.checkpoint_messages import StopMode
from yarnflow.web import checkpoint_views
from yarnflow.web.errors import BadRequest, NotFound
from yarnflow.web.keys import DISPATCHER

_TRIGGER_ID = re.compile("[0-9a-f]{32}")


async def _body(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body; {} for an empty one."""
    if not await request.text():
        return {}
    try:
        document = await request.json()
    except json.JSONDecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadRequest("The body must be a JSON object.")
    return document


def _field(body: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise BadRequest(f"{name}: {value!r} is not a {'boolean' if kind is bool else 'string'}.")
    return value


def _trigger_id(body: dict[str, Any]) -> str | None:
    """The id that the client has chosen for its request, if it has."""
    found: str | None = _field(body, "triggerId", str, None)
    if found is not None and not _TRIGGER_ID.fullmatch(found):
        raise BadRequest(f"triggerId: {found!r} is not 32 hex digits.")
    return found


def _accepted(request_id: str) -> web.Response:
    return web.json_response({"request-id": request_id}, status=202)


# -- savepoints ------------------------------------------------------------------------------------------


async def trigger_savepoint(request: web.Request) -> web.Response:
    """POST /jobs/:jobid/savepoints {"target-directory", "cancel-job"}."""
    body = await _body(request)
    directory = _field(body, "target-directory", str, None)
    cancel = _field(body, "cancel-job", bool, False)
    job_id, trigger_id = request.match_info["jobid"], _trigger_id(body)
    return _accepted(
        await request.app[DISPATCHER].trigger_savepoint(
            job_id, directory, cancel=cancel, request_id=trigger_id
        )
    )


async def stop(request: web.Request) -> web.Response:
    """POST /jobs/:jobid/stop {"targetDirectory", "drain"}."""
    body = await _body(request)
    directory = _field(body, "targetDirectory", str, None)
    mode = StopMode.DRAIN if _field(body, "drain", bool, False) else StopMode.SUSPEND
    job_id, trigger_id = request.match_info["jobid"], _trigger_id(body)
    return _accepted(
        await request.app[DISPATCHER].trigger_savepoint(job_id, directory, stop=mode, request_id=trigger_id)
    )


async def _outcome(request: web.Request) -> RequestOutcome:
    job_id, request_id = request.match_info["jobid"], request.match_info["triggerid"]
    outcome = await request.app[DISPATCHER].snapshot_outcome(job_id, request_id)
    if outcome is None:
        raise NotFound(f"Job {job_id} knows no request {request_id}: it is wrong, or too old.")
    return outcome


async def savepoint_status(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/savepoints/:triggerid."""
    outcome = await _outcome(request)
    return web.json_response(checkpoint_views.operation(outcome, lambda done: {"location": done.location}))


async def dispose(request: web.Request) -> web.Response:
    """POST /savepoint-disposal {"savepoint-path"}."""
    path = _field(await _body(request), "savepoint-path", str, "")
    if not path:
        raise BadRequest('The body must be {"savepoint-path": "..."}.')
    return _accepted(await request.app[DISPATCHER].dispose_savepoint(path))


async def disposal_status(request: web.Request) -> web.Response:
    """GET /savepoint-disposal/:triggerid."""
    request_id = request.match_info["triggerid"]
    outcome = await request.app[DISPATCHER].disposal_outcome(request_id)
    if outcome is None:
        raise NotFound(f"There is no request {request_id}: it is wrong, or too old.")
    return web.json_response(checkpoint_views.operation(outcome, lambda done: {}))


# -- checkpoints -----------------------------------------------------------------------------------------


async def trigger_checkpoint(request: web.Request) -> web.Response:
    """POST /jobs/:jobid/checkpoints. What Flink's body chooses (full or incremental) is the configuration's."""
    trigger_id = _trigger_id(await _body(request))
    return _accepted(
        await request.app[DISPATCHER].trigger_checkpoint(request.match_info["jobid"], request_id=trigger_id)
    )


async def checkpoint_status(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/checkpoints/:triggerid."""
    outcome = await _outcome(request)
    return web.json_response(
        checkpoint_views.operation(outcome, lambda done: {"checkpointId": done.checkpoint_id})
    )


async def list_checkpoints(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/checkpoints."""
    view = await request.app[DISPATCHER].checkpoints(request.match_info["jobid"])
    return web.json_response(checkpoint_views.checkpoints(view))


async def checkpoint_config(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/checkpoints/config."""
    settings = await request.app[DISPATCHER].checkpoint_settings(request.match_info["jobid"])
    return web.json_response(checkpoint_views.config(settings))


async def _record(request: web.Request) -> CheckpointRecord:
    job_id, text = request.match_info["jobid"], request.match_info["checkpointid"]
    if not text.isdigit():
        raise BadRequest(f"{text!r} is not the number of a checkpoint.")
    record = (await request.app[DISPATCHER].checkpoints(job_id)).find(int(text))
    if record is None:
        raise NotFound(f"Job {job_id} remembers no checkpoint {text} (web.checkpoints.history).")
    return record


async def checkpoint_details(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/checkpoints/details/:checkpointid."""
    return web.json_response(checkpoint_views.details(await _record(request)))


async def checkpoint_subtasks(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/checkpoints/details/:checkpointid/subtasks/:vertexid."""
    record = await _record(request)
    vertex = request.match_info["vertexid"]
    if vertex not in record.tasks:
        raise NotFound(f"Checkpoint {record.checkpoint_id} has no vertex {vertex}.")
    return web.json_response(checkpoint_views.subtasks(record, vertex))


ROUTES = [
    web.post("/jobs/{jobid}/savepoints", trigger_savepoint),
    web.get("/jobs/{jobid}/savepoints/{triggerid}", savepoint_status),
    web.post("/jobs/{jobid}/stop", stop),
    web.post("/savepoint-disposal", dispose),
    web.get("/savepoint-disposal/{triggerid}", disposal_status),
    web.get("/jobs/{jobid}/checkpoints", list_checkpoints),
    web.post("/jobs/{jobid}/checkpoints", trigger_checkpoint),
    web.get("/jobs/{jobid}/checkpoints/config", checkpoint_config),
    web.get("/jobs/{jobid}/checkpoints/details/{checkpointid}", checkpoint_details),
    web.get("/jobs/{jobid}/checkpoints/details/{checkpointid}/subtasks/{vertexid}", checkpoint_subtasks),
    web.get("/jobs/{jobid}/checkpoints/{triggerid}", checkpoint_status),
]
