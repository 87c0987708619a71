"""`-v` raises the log level of the process, which here is the tests' own: put it back."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """Levels and handlers as they were before each test."""
    root, ours = logging.getLogger(), logging.getLogger("yarnflow")
    before = root.level, ours.level, root.handlers[:]
    yield
    root.setLevel(before[0])
    ours.setLevel(before[1])
    root.handlers[:] = before[2]
