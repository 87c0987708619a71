"""What the handlers find in the application."""

from __future__ import annotations

from aiohttp import web

from yarnflow.runtime.jobmanager.api import DispatcherGateway

#: The JobManager behind the API.
DISPATCHER = web.AppKey("dispatcher", DispatcherGateway)
