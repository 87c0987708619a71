"""Errors of the REST API: what a handler raises, and how every error becomes Flink's {"errors": [...]}."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from yarnflow.errors import (
    CheckpointError,
    JobNotFoundError,
    JobSubmissionError,
    ProtocolError,
    ResourceError,
    YarnflowError,
)

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: The first class that matches gives the status.
_STATUS: tuple[tuple[type[YarnflowError], int], ...] = (
    (JobNotFoundError, 404),
    (JobSubmissionError, 400),
    (ProtocolError, 400),
    (CheckpointError, 400),
    (ResourceError, 409),
)


class NotFound(YarnflowError):
    """The path names something that is not there."""


class BadRequest(YarnflowError):
    """The request cannot be understood: a parameter or body is wrong."""


def error_response(status: int, *messages: str) -> web.Response:
    """Flink's form of an error."""
    return web.json_response({"errors": list(messages)}, status=status)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every exception of a handler into a JSON answer with the right status."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return error_response(404, f"Not found: {request.path}")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return error_response(405, f"{request.method} is not possible at {request.path}, only {allowed}.")
    except web.HTTPRequestEntityTooLarge:
        return error_response(413, "The request body is larger than the server accepts.")
    except NotFound as error:
        return error_response(404, str(error))
    except BadRequest as error:
        return error_response(400, str(error))
    except YarnflowError as error:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        return error_response(status, str(error))
    except web.HTTPException:
        raise
    except Exception as error:
        _log.exception("%s %s failed", request.method, request.path)
        return error_response(500, f"Internal error: {type(error).__name__}: {error}. See the JobManager's log.")


def number_parameter(request: web.Request, name: str, default: float, low: float, high: float) -> float:
    """Read a numeric query parameter. Raises BadRequest when it is no number or out of range."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        raise BadRequest(f"Query parameter {name}={text!r} is not a number.") from None
    if not low <= value <= high:
        raise BadRequest(f"Query parameter {name}={text} is not between {low:g} and {high:g}.")
    return value
