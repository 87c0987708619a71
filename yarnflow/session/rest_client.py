"""A client of the JobManager's REST API, for as long as a command or program runs.

A JobManager that restarts has another address: when nobody answers, `find_address` is asked again, until
`patience` is over. Only then is the cluster reported as unreachable.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yarnflow.errors import (
    ClusterError,
    ClusterUnreachableError,
    JobNotFoundError,
    JobSubmissionError,
)
from yarnflow.graph.job_graph import JobGraph

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

#: Longest time to let the server wait for something to happen, in seconds; below what proxies tolerate.
LONG_POLL = 25.0
_READ_TIMEOUT = 30.0
_RETRY_PAUSE = 0.2
_LENGTH = struct.Struct(">I")


class RestClient:
    """Talks to one cluster's JobManager.

    Args:
        url: where it is, like "http://host:port".
        find_address: looks the URL up anew; raises when the cluster has ended for good. None: it never moves.
        patience: seconds to look for a JobManager that does not answer.
        connect_timeout: seconds for one connection.
    """

    def __init__(
        self,
        url: str,
        find_address: Callable[[], str] | None = None,
        patience: float = 30.0,
        connect_timeout: float = 5.0,
    ) -> None:
        self.url = url.rstrip("/")
        self._find_address = find_address
        self._patience = patience
        self._connect_timeout = connect_timeout
        self._pool: PoolManager | None = None

    def close(self) -> None:
        """Close connections."""
        if self._pool is not None:
            self._pool.clear()

    # -- jobs --------------------------------------------------------------------------------------------

    def submit(self, job: JobGraph, files: dict[str, Path]) -> str:
        """Upload what the cluster does not have yet, submit, and return the job's id.

        Args:
            job: its artifacts name the hashes in `files`.
            files: local file of each sha256.

        Raises:
            JobSubmissionError: the cluster refuses the job; says why.
            ClusterUnreachableError: nobody answers.
        """
        for sha256, path in files.items():
            if self._call("HEAD", f"/blobs/{sha256}").status == 404:
                self._upload(sha256, path)
        body = json.dumps({"jobGraph": job.to_json()}).encode()
        answer = self._call("POST", "/jobs", body=body)
        if answer.status >= 400:
            reason = _reason(answer) or str(answer.status)
            if self._is_running(job.job_id):
                # The first try arrived, only its answer was lost on the way.
                return job.job_id
            raise JobSubmissionError(f"the cluster refuses the job {job.name!r}: {reason}")
        return str(self._document(answer)["jobid"])

    def _upload(self, sha256: str, path: Path) -> None:
        with path.open("rb") as file:
            size = path.stat().st_size
            answer = self._call("PUT", f"/blobs/{sha256}", body=file, headers={"Content-Length": str(size)})
        if answer.status >= 400:
            raise JobSubmissionError(f"{path.name} cannot be uploaded: {_reason(answer) or answer.status}")

    def _is_running(self, job_id: str) -> bool:
        return self._call("GET", f"/jobs/{job_id}/status").status == 200

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, as GET /jobs/overview shows them."""
        return list(self._get("/jobs/overview")["jobs"])

    def status(self, job_id: str) -> str:
        """Name of the job's state. Raises JobNotFoundError."""
        return str(self._get(f"/jobs/{job_id}/status", job_id)["status"])

    def cancel(self, job_id: str) -> None:
        """Ask to cancel; returns when accepted. Raises JobNotFoundError."""
        answer = self._call("PATCH", f"/jobs/{job_id}?mode=cancel")
        _check(answer, job_id)

    def execution_result(self, job_id: str, wait: float) -> dict[str, Any] | None:
        """How the job ended, or None when it has not within `wait` seconds (25 at most).

        Raises JobNotFoundError.
        """
        wait = min(wait, LONG_POLL)
        answer = self._get(f"/jobs/{job_id}/execution-result?timeout={wait:.3f}", job_id)
        return answer["job-execution-result"] if answer["status"]["id"] == "COMPLETED" else None

    def restarts(self, job_id: str) -> list[tuple[int, str]]:
        """The newest notices of restarts, oldest first: number and text. Raises JobNotFoundError."""
        answer = self._get(f"/jobs/{job_id}/exceptions?maxExceptions=1", job_id)
        return [(int(entry["number"]), str(entry["notice"])) for entry in answer["restarts"]]

    def collect(
        self, job_id: str, collect_id: str, token: int, wait: float = LONG_POLL
    ) -> tuple[list[bytes], int, bool]:
        """One page of collected records: pickled lists, the next token, and whether that was the last page.

        Waits so many seconds for the first record. Raises JobNotFoundError.
        """
        answer = self._call("GET", f"/jobs/{job_id}/collect/{collect_id}?token={token}&timeout={wait}")
        _check(answer, job_id)
        return (
            list(_unframe(answer.data)),
            int(answer.headers["X-Yarnflow-Token"]),
            answer.headers["X-Yarnflow-Ended"] == "true",
        )

    # -- the cluster -------------------------------------------------------------------------------------

    def overview(self) -> dict[str, Any]:
        """Totals of the cluster: GET /overview."""
        answer: dict[str, Any] = self._get("/overview")
        return answer

    def application_id(self) -> str:
        """The YARN application that the JobManager belongs to, "" for none."""
        entries = self._get("/jobmanager/config")
        if not isinstance(entries, list):
            return ""  # another server's answer
        return next((str(entry["value"]) for entry in entries if entry["key"] == "yarn.application.id"), "")

    def taskmanagers(self) -> list[dict[str, Any]]:
        """All TaskManagers: GET /taskmanagers."""
        return list(self._get("/taskmanagers")["taskmanagers"])

    def shutdown(self) -> None:
        """End the cluster; returns when accepted."""
        _check(self._call("DELETE", "/cluster"))

    # -- requests ----------------------------------------------------------------------------------------

    def get(self, path: str, job_id: str = "") -> Any:
        """The document at a path of the REST API. Raises JobNotFoundError for an unknown job of that id."""
        return self._get(path, job_id)

    def post(self, path: str, document: Any, job_id: str = "") -> Any:
        """Post a document as JSON and return the answer's. Raises as `get`."""
        body = json.dumps(document).encode()
        answer = self._call("POST", path, body, {"Content-Type": "application/json"})
        _check(answer, job_id)
        return self._document(answer)

    def _get(self, path: str, job_id: str = "") -> Any:
        answer = self._call("GET", path)
        _check(answer, job_id)
        return self._document(answer)

    def _document(self, answer: BaseHTTPResponse) -> Any:
        # A redirect to a login page, or another server that has the port now.
        try:
            return json.loads(answer.data)
        except ValueError as error:
            raise ClusterUnreachableError(
                f"what answers at {self.url} is no JobManager ({answer.status}, {len(answer.data)} bytes that are "
                "no JSON): check the address"
            ) from error

    def _call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> BaseHTTPResponse:
        # Not at the top: the import takes 60 ms, which a program that runs locally need not pay.
        from urllib3 import PoolManager, Timeout
        from urllib3.exceptions import HTTPError

        if self._pool is None:
            self._pool = PoolManager(
                retries=False, timeout=Timeout(connect=self._connect_timeout, read=_READ_TIMEOUT)
            )
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._pool.request(method, self.url + path, body=body, headers=headers)
            except HTTPError as error:
                if hasattr(body, "seek"):
                    body.seek(0)
                if self._find_address is None or time.monotonic() > deadline:
                    raise ClusterUnreachableError(
                        f"the JobManager at {self.url} does not answer: {_cause(error)}. Check that the cluster "
                        "runs and that this machine can reach it"
                    ) from error
            time.sleep(_RETRY_PAUSE)
            self.url = self._find_address().rstrip("/")


def _check(answer: BaseHTTPResponse, job_id: str = "") -> None:
    if answer.status < 400:
        return
    if answer.status == 404 and job_id:
        raise JobNotFoundError(f"the cluster knows no job {job_id}: `yarnflow list -a` shows those it knows")
    reason = _reason(answer)
    if reason is not None and answer.status < 500:
        raise ClusterError(reason)  # what was asked for cannot be: its sentence says all
    raise ClusterError(f"the JobManager answers {answer.status}: {reason or answer.reason or 'without a reason'}")


def _reason(answer: BaseHTTPResponse) -> str | None:
    """What a JobManager says; None when something else has answered."""
    try:
        return "; ".join(json.loads(answer.data)["errors"])
    except (ValueError, KeyError, TypeError):
        return None


def _cause(error: BaseException) -> str:
    text = str(error)
    if "refused" in text:
        return "connection refused"
    if "timed out" in text:
        return "no answer in time"
    return text.rpartition(": ")[2] or type(error).__name__


def _unframe(data: bytes) -> Iterator[bytes]:
    """Take apart what web.submission.frame put together."""
    offset = 0
    while offset < len(data):
        (length,) = _LENGTH.unpack_from(data, offset)
        offset += _LENGTH.size
        yield data[offset : offset + length]
        offset += length


