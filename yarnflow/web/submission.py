"""REST: what only the yarnflow client calls. Submit a job, store artifacts, fetch collected records.

    HEAD /blobs/:sha256      200 stored, 404 not
    PUT  /blobs/:sha256      the content; refused when it hashes to something else
    POST /jobs               {"jobGraph": JobGraph.to_json()} -> {"jobid": ...}; artifacts must be stored
    GET  /jobs/:jobid/collect/:collectid?token=&timeout=
                             batches of execute_and_collect, each as 4 bytes of length (big endian) and a
                             pickled list; headers X-Yarnflow-Token (for the next call) and X-Yarnflow-Ended
    GET  /jobs/:jobid/accumulators/serialized
                             the subtasks' pickled accumulators in the same form
"""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Iterable

from aiohttp import web

from yarnflow.graph.job_graph import JobGraph
from yarnflow.web.errors import BadRequest, NotFound, number_parameter
from yarnflow.web.jobs import MAX_WAIT
from yarnflow.web.keys import DISPATCHER

PAGE_HEADER = "X-Yarnflow-Token"
ENDED_HEADER = "X-Yarnflow-Ended"
_LENGTH = struct.Struct(">I")


def frame(batches: Iterable[bytes]) -> bytes:
    """Put length-prefixed batches behind each other."""
    return b"".join(_LENGTH.pack(len(batch)) + batch for batch in batches)


async def has_blob(request: web.Request) -> web.Response:
    """HEAD /blobs/:sha256."""
    stored = await request.app[DISPATCHER].has_blob(request.match_info["sha256"])
    return web.Response(status=200 if stored else 404)


async def put_blob(request: web.Request) -> web.Response:
    """PUT /blobs/:sha256."""
    expected = request.match_info["sha256"]

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in request.content.iter_chunked(1 << 20):
            yield chunk

    stored = await request.app[DISPATCHER].put_blob(chunks())
    if stored != expected:
        raise BadRequest(f"The uploaded content has sha256 {stored}, not {expected}: upload it again.")
    return web.json_response({"sha256": stored}, status=201)


async def submit(request: web.Request) -> web.Response:
    """POST /jobs."""
    try:
        document = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is not JSON: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("jobGraph"), dict):
        raise BadRequest('The body must be {"jobGraph": {...}}, as the yarnflow client sends it.')
    job_id = await request.app[DISPATCHER].submit(JobGraph.from_json(document["jobGraph"]))
    return web.json_response({"jobid": job_id, "jobUrl": f"/jobs/{job_id}"}, status=202)


async def collect(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/collect/:collectid."""
    token = int(number_parameter(request, "token", 0, 0, 2**53))
    wait = number_parameter(request, "timeout", 0.0, 0.0, MAX_WAIT)
    page = await request.app[DISPATCHER].collect(
        request.match_info["jobid"], request.match_info["collectid"], token, wait
    )
    headers = {PAGE_HEADER: str(page.token), ENDED_HEADER: "true" if page.ended else "false"}
    return web.Response(body=frame(page.batches), headers=headers, content_type="application/octet-stream")


async def serialized_accumulators(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/accumulators/serialized."""
    detail = await request.app[DISPATCHER].job(request.match_info["jobid"])
    return web.Response(body=frame(detail.accumulators), content_type="application/octet-stream")


async def get_blob(request: web.Request) -> web.StreamResponse:
    """GET /blobs/:sha256."""
    sha256 = request.match_info["sha256"]
    path = await request.app[DISPATCHER].get_blob(sha256)
    if path is None:
        raise NotFound(f"No blob {sha256} is stored.")
    return web.FileResponse(path)


ROUTES = [
    web.head("/blobs/{sha256:[0-9a-f]{64}}", has_blob),
    web.get("/blobs/{sha256:[0-9a-f]{64}}", get_blob, allow_head=False),
    web.put("/blobs/{sha256:[0-9a-f]{64}}", put_blob),
    web.post("/jobs", submit),
    web.get("/jobs/{jobid}/collect/{collectid}", collect),
    web.get("/jobs/{jobid}/accumulators/serialized", serialized_accumulators),
]
