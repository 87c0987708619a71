"""Event times: who reads them from records."""

from __future__ import annotations

from array import array
from typing import Any

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.graph.operators import Operator, TimestampsSpec
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.keyed import shorten


class TimestampsOperator(StreamOperator):
    """Gives each record the time that the strategy's assigner reads."""

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, TimestampsSpec)
        self._assigner = assigner_of(operator.spec.watermarks)

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        if self._assigner is not None:
            assign(self._assigner, batch)
        self.emit(batch)


def assigner_of(watermarks: Any) -> Any:
    """The timestamp assigner of a WatermarkStrategy; None when it has none, or there is no strategy."""
    return getattr(watermarks, "timestamp_assigner", None)


def assign(assigner: Any, batch: RowBatch) -> None:
    """Replace the timestamps of a batch by what the assigner reads."""
    extract = assigner.extract_timestamp
    times = batch.timestamps
    if times is None:
        batch.timestamps = [extract(record, None) for record in batch.rows]
    else:
        batch.timestamps = [extract(record, time) for record, time in zip(batch.rows, times, strict=True)]
    try:
        array("q", batch.timestamps)
    except (TypeError, OverflowError) as error:
        record, wrong = next(pair for pair in zip(batch.rows, batch.timestamps, strict=True) if _is_wrong(pair[1]))
        raise ProgramError(
            f"the timestamp assigner returned {wrong!r} for the record {shorten(record)}: a timestamp is an int, "
            "milliseconds since 1970-01-01 UTC"
        ) from error


def _is_wrong(time: Any) -> bool:
    try:
        array("q", [time])
    except (TypeError, OverflowError):
        return True
    return False
