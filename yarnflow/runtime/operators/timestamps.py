"""Event times: who reads them from records, and an operator that does so in the middle of a stream."""

from __future__ import annotations

import logging
from array import array
from typing import TYPE_CHECKING, Any

from yarnflow.common.watermark_strategy import TimestampColumn, milliseconds
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch
from yarnflow.functions.expressions import VALUE_COLUMN, Expression
from yarnflow.graph.operators import Operator, TimestampsSpec
from yarnflow.runtime.checkpoint.handles import EVENT_TIME, StateKind
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator, as_rows
from yarnflow.runtime.operators.keyed import shorten
from yarnflow.runtime.operators.watermarks import EventTime

if TYPE_CHECKING:
    from yarnflow.runtime.state.restore import RestoredOperator
    from yarnflow.runtime.state.snapshot import TaskSnapshot

log = logging.getLogger(__name__)


class TimestampsOperator(StreamOperator):
    """Gives each record the time that the strategy's assigner reads, and makes watermarks. Those from before are
    dropped, and so is idleness, as in Flink: only the end of event time is passed on.

    Unlike Flink's it stores how far event time was, per subtask: the watermark, and whether it was idle."""

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        spec = operator.spec
        assert isinstance(spec, TimestampsSpec)
        self._strategy = spec.watermarks
        self._assigner = assigner_of(spec.watermarks)
        self.columnar = keeps_columns(self._assigner)
        self._time = EventTime(spec.watermarks, self, final_only=spec.final_only)
        self._restored = MIN_WATERMARK
        self._input: Any = None

    def restore(self, restored: RestoredOperator) -> None:
        self._restored = _common(restored.items(EVENT_TIME, StateKind.UNION))

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        time = self._time
        reached = MAX_WATERMARK if time.combined == MAX_WATERMARK else self._input.watermark
        snapshot.add_list(self.operator.operator_id, EVENT_TIME, [(reached, time.idle)], StateKind.UNION)

    def open(self) -> None:
        self._input = self._time.add("", self._restored)
        if getattr(self._strategy, "alignment", None) is not None:
            log.warning(
                "%s: watermark alignment has no effect in the middle of a stream: give the strategy to "
                "from_source()",
                self.operator.name,
            )
        self._time.quiet(self._input)

    def process_batch(self, batch: Batch, input_index: int) -> None:
        if self._assigner is not None:
            batch = assign(self._assigner, batch)
        self._time.pass_on(self._input, batch)
        self._time.quiet(self._input)

    def process_watermark(self, timestamp: int) -> None:
        if timestamp == MAX_WATERMARK:
            self._time.finish()

    def process_status(self, idle: bool) -> None:
        """Idleness is this operator's own to detect."""

    def next_timer(self) -> int | None:
        return self._time.next_timer()

    def advance_clock(self, now: int) -> None:
        self._time.advance(now)


def _common(reached: list[tuple[int, bool]]) -> int:
    """Event time that all subtasks start from: what operators behind them knew, the minimum over those that were
    not idle. Subtasks may get one another's records now, so none of them starts from more. Those that were at the
    end of their input hold nothing back; when all were, event time begins anew."""
    known = [each for each in reached if each[0] != MAX_WATERMARK]
    active = [watermark for watermark, idle in known if not idle]
    return min(active or [watermark for watermark, _ in known], default=MIN_WATERMARK)


def assigner_of(watermarks: Any) -> Any:
    """The timestamp assigner of a WatermarkStrategy; None when it has none, or there is no strategy."""
    return getattr(watermarks, "timestamp_assigner", None)


def keeps_columns(assigner: Any) -> bool:
    """Whether `assign` gives columns back as columns."""
    return assigner is None or isinstance(assigner, TimestampColumn)


def assign(assigner: Any, batch: Batch) -> Batch:
    """The batch with the timestamps that the assigner reads.

    Raises ProgramError, showing the record, for what is no timestamp.
    """
    if isinstance(assigner, TimestampColumn):
        return _assign_column(assigner.field, batch)
    batch = as_rows(batch)
    extract = assigner.extract_timestamp
    times = batch.timestamps
    if times is None:
        batch.timestamps = [extract(record, MIN_WATERMARK) for record in batch.rows]
    else:
        batch.timestamps = [extract(record, time) for record, time in zip(batch.rows, times, strict=True)]
    _check(batch.rows, batch.timestamps, "the timestamp assigner returned")
    return batch


def missing_timestamp(operator_name: str, record: Any) -> ProgramError:
    """The error of an operator that works in event time and gets a record without time."""
    return ProgramError(
        f"the operator '{operator_name}' works in event time, and the record {shorten(record)} has no timestamp: "
        "say where times are with assign_timestamps_and_watermarks() before it, for instance "
        "WatermarkStrategy.for_bounded_out_of_orderness(...).with_timestamp_assigner(...); or use processing time"
    )


def _assign_column(field: Any, batch: Batch) -> Batch:
    if isinstance(batch, ColumnBatch) or isinstance(field, Expression):
        # Only columnar chains need pyarrow.
        from yarnflow.runtime.operators.columns.times import column_times

        times = column_times(field, batch)
        if isinstance(batch, ColumnBatch):
            batch.timestamps = times
        else:
            batch.timestamps = times.to_pylist()
        return batch
    rows = batch.rows
    if field == VALUE_COLUMN and rows and not hasattr(rows[0], "__getitem__"):
        times = list(rows)
    else:
        try:
            times = [record[field] for record in rows]
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise ProgramError(
                f"the timestamp is to be read from the field {field!r}, which a record like {shorten(rows[0])} "
                f"does not have ({type(error).__name__}: {error})"
            ) from error
    if set(map(type, times)) != {int}:
        times = [milliseconds(time) for time in times]
    _check(rows, times, f"the timestamp field {field!r} is")
    batch.timestamps = times
    return batch


def _check(rows: list[Any], times: list[Any], what: str) -> None:
    try:
        array("q", times)
    except (TypeError, OverflowError) as error:
        record, wrong = next(pair for pair in zip(rows, times, strict=True) if _is_wrong(pair[1]))
        raise ProgramError(
            f"{what} {wrong!r} for the record {shorten(record)}: a timestamp is an int, "
            "milliseconds since 1970-01-01 UTC"
        ) from error


def _is_wrong(time: Any) -> bool:
    try:
        array("q", [time])
    except (TypeError, OverflowError):
        return True
    return False
