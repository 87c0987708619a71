"""Watermark alignment: how far ahead sources of one group may read.

A pure machine in the JobMaster. Tasks report where their event time stands; none may be ahead of the slowest of
the others in its group by more than its own drift. (In Flink a task counts among these itself, and can therefore
never advance by more than the drift per update.) Idle tasks and those that have ended report MAX_WATERMARK, and
hold nobody back.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from yarnflow.runtime.network.elements import MAX_WATERMARK
from yarnflow.runtime.rpc.checkpoint_messages import WatermarkLimit, WatermarkReported


@dataclass
class _Member:
    """A task of a group: what it reported, and the limit it knows."""

    watermark: int
    max_drift_ms: int
    limit: int | None = None


class WatermarkAlignment:
    """All groups of one job."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, _Member]] = {}

    def reported(self, report: WatermarkReported, running: Container[str]) -> list[WatermarkLimit]:
        """A task has reported.

        Args:
            report: its report; ignored when the task is not running any more.
            running: ids of the job's present executions; what others have reported is forgotten.

        Returns:
            The limits that have changed.
        """
        group = self._groups.setdefault(report.group, {})
        for execution_id in [name for name in group if name not in running]:
            del group[execution_id]
        if report.execution_id not in running:
            return []
        member = group.setdefault(report.execution_id, _Member(report.watermark, report.max_drift_ms))
        member.watermark = report.watermark
        slowest, second, *_ = [*sorted(other.watermark for other in group.values()), MAX_WATERMARK]
        changed = []
        for execution_id, other in group.items():
            others = second if other.watermark == slowest else slowest
            limit = min(others + other.max_drift_ms, MAX_WATERMARK)
            if limit != other.limit:
                other.limit = limit
                changed.append(WatermarkLimit(execution_id, report.group, limit))
        return changed
