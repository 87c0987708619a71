"""Clusters of real processes; each test leaves none behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from yarnflow.runtime.minicluster import MiniCluster
from yarnflow.testing import mini_cluster


@pytest.fixture
def cluster() -> Iterator[MiniCluster]:
    """Two TaskManagers with one slot each; programs run on it."""
    with mini_cluster(slots=1, taskmanagers=2) as running:
        yield running
