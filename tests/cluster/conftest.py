"""Clusters of real processes; each test leaves none behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from yarnflow.runtime.minicluster import MiniCluster
from yarnflow.testing import FaultKind, FaultPlan, mini_cluster


@pytest.fixture
def cluster() -> Iterator[MiniCluster]:
    """Two TaskManagers with one slot each; programs run on it."""
    with mini_cluster(slots=1, taskmanagers=2) as running:
        yield running


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Callable[..., FaultPlan]]:
    """Makes fault plans: plan(name, kind, *after). Checks in the end that they have been carried out.

    An attempt may end early because another split fails. So that enough records are left for the faults of one,
    it has more of them than: the sum of `after`, and its maximum once more per fault of other splits.
    """
    plans: list[FaultPlan] = []

    def make(name: str, kind: FaultKind, *after: int) -> FaultPlan:
        folder = tmp_path / name
        folder.mkdir()
        plans.append(FaultPlan(str(folder), after, kind))
        return plans[-1]

    yield make
    for made in plans:
        assert len(list(Path(made.directory).iterdir())) >= len(made.after), made
