"""Application mode: the user's main() runs beside the JobManager, in a process of its own.

A process, since user code may block, print, crash and exit; it submits its jobs over REST, as on any client. The
application ends with the program: SUCCEEDED when it returns and all its jobs have finished.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from pathlib import Path

from yarnflow.am.per_job import FINAL_STATUS
from yarnflow.runtime.jobmanager.api import DispatcherGateway
from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.states import JobStatus
from yarnflow.yarn.deployment import Deployment
from yarnflow.yarn.environment import ContainerEnvironment
from yarnflow.yarn.layout import CONFIGURATION, DEPLOYMENT

logger = logging.getLogger(__name__)

#: Run by name: am may not import session, where the client's code is.
_MAIN = "yarnflow.session.application_main"
RESULT = "yarnflow-program-result.json"
_KILL_SECONDS = 5.0


async def run(
    deployment: Deployment, environment: ContainerEnvironment, url: str, dispatcher: DispatcherGateway
) -> None:
    """Run the program, wait for its jobs, and shut the cluster down with the final status."""
    directory = environment.directory
    log = environment.log_directory / "program.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _MAIN,
            *("--configuration", CONFIGURATION, "--deployment", DEPLOYMENT),
            *("--jobmanager", url, "--result", RESULT),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=stderr,
            cwd=directory,
            env=os.environ,
        )
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _KILL_SECONDS)
            except asyncio.TimeoutError:
                process.kill()
                await process.wait()
        raise
    logger.info("the program ended with code %d", code)
    status, diagnostics = outcome(directory / RESULT, code)
    if status is FinalStatus.SUCCEEDED:
        status, diagnostics = await _jobs_left(dispatcher)
    await dispatcher.shutdown(status, diagnostics)


def outcome(result: Path, code: int) -> tuple[FinalStatus, str]:
    """How the program ended, from what it wrote, or else from its exit code."""
    try:
        document = json.loads(result.read_text(encoding="utf-8"))
        return FinalStatus(document["status"]), str(document["message"])
    except (OSError, ValueError, KeyError):
        # It was killed, or ended without Python's knowledge (os._exit, a crash).
        if code == 0:
            return FinalStatus.SUCCEEDED, ""
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        return FinalStatus.FAILED, f"the program's process ended {how}: see program.log in the JobManager's logs"


async def _jobs_left(dispatcher: DispatcherGateway) -> tuple[FinalStatus, str]:
    """Wait for jobs that the program started and did not wait for."""
    for job in await dispatcher.jobs():
        # Without a limit of ours: streaming jobs run for as long as they like.
        await dispatcher.result(job.job_id)
    for job in await dispatcher.jobs():
        if job.status is not JobStatus.FINISHED:
            return FINAL_STATUS[job.status], f"job {job.name!r} ({job.job_id}) ended {job.status.value}"
    return FinalStatus.SUCCEEDED, ""
