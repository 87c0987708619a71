"""REST: jobs. Paths and fields are Flink's."""

from __future__ import annotations

from aiohttp import web

from yarnflow.runtime.jobmanager.views import JobDetail
from yarnflow.web import json_views
from yarnflow.web.errors import BadRequest, NotFound, number_parameter
from yarnflow.web.keys import DISPATCHER

#: Longest long-poll for a result, in seconds. Below the idle timeouts of common proxies.
MAX_WAIT = 30.0


async def _detail(request: web.Request) -> JobDetail:
    return await request.app[DISPATCHER].job(request.match_info["jobid"])


async def list_jobs(request: web.Request) -> web.Response:
    """GET /jobs."""
    jobs = await request.app[DISPATCHER].jobs()
    return web.json_response({"jobs": [{"id": job.job_id, "status": job.status.value} for job in jobs]})


async def jobs_overview(request: web.Request) -> web.Response:
    """GET /jobs/overview."""
    jobs = await request.app[DISPATCHER].jobs()
    return web.json_response({"jobs": [json_views.job_overview(job) for job in jobs]})


async def job(request: web.Request) -> web.Response:
    """GET /jobs/:jobid."""
    return web.json_response(json_views.job_detail(await _detail(request)))


async def job_status(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/status."""
    detail = await _detail(request)
    return web.json_response({"status": detail.overview.status.value})


async def job_config(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/config."""
    return web.json_response(json_views.job_config(await _detail(request)))


async def job_exceptions(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/exceptions?maxExceptions=20."""
    limit = int(number_parameter(request, "maxExceptions", 20, 1, 1000))
    return web.json_response(json_views.exceptions(await _detail(request), limit))


async def job_plan(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/plan."""
    return web.json_response({"plan": (await _detail(request)).plan})


async def job_accumulators(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/accumulators."""
    return web.json_response(json_views.accumulators((await _detail(request)).accumulators))


async def vertex(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/vertices/:vertexid."""
    detail = await _detail(request)
    wanted = request.match_info["vertexid"]
    for view in detail.vertices:
        if view.vertex_id == wanted:
            return web.json_response(json_views.vertex_detail(view))
    known = ", ".join(view.vertex_id for view in detail.vertices)
    raise NotFound(f"Job {detail.overview.job_id} has no vertex {wanted}. It has: {known}.")


async def result(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/execution-result?timeout=s: at once, or when the job ends within the time."""
    wait = number_parameter(request, "timeout", 0.0, 0.0, MAX_WAIT)
    ended = await request.app[DISPATCHER].result(request.match_info["jobid"], wait)
    return web.json_response(json_views.execution_result(ended))


async def cancel(request: web.Request) -> web.Response:
    """PATCH /jobs/:jobid?mode=cancel."""
    mode = request.query.get("mode", "cancel")
    if mode != "cancel":
        raise BadRequest(f"mode={mode!r} is not possible: only 'cancel' ends a job this way.")
    await request.app[DISPATCHER].cancel(request.match_info["jobid"])
    return web.json_response({}, status=202)


async def yarn_cancel(request: web.Request) -> web.Response:
    """GET /jobs/:jobid/yarn-cancel: YARN's web proxy lets no PATCH through."""
    await request.app[DISPATCHER].cancel(request.match_info["jobid"])
    return web.json_response({}, status=202)


ROUTES = [
    web.get("/jobs", list_jobs),
    web.get("/jobs/overview", jobs_overview),
    web.get("/jobs/{jobid}", job),
    web.get("/jobs/{jobid}/status", job_status),
    web.get("/jobs/{jobid}/config", job_config),
    web.get("/jobs/{jobid}/exceptions", job_exceptions),
    web.get("/jobs/{jobid}/plan", job_plan),
    web.get("/jobs/{jobid}/accumulators", job_accumulators),
    web.get("/jobs/{jobid}/execution-result", result),
    web.get("/jobs/{jobid}/vertices/{vertexid}", vertex),
    web.patch("/jobs/{jobid}", cancel),
    web.get("/jobs/{jobid}/yarn-cancel", yarn_cancel),
]
