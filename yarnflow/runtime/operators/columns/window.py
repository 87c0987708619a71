"""Tumbling and sliding windows of built-in aggregates, on columns.

Each batch becomes a few Partials (columns/partials.py), one per pane of time; a pane keeps a list of them, which
is merged when the pane is needed or the list has grown. Windows that overlap share panes (windows/panes.py).
Records that come as rows become columns first. The state is in memory whatever the state backend, and small: a
number or two per pane, key and aggregate.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from yarnflow.config.checkpointing import StateBackendOptions
from yarnflow.config.configuration import Configuration
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch
from yarnflow.functions.columns import COLUMN_BATCH, column_index, python_values, to_columns, to_rows
from yarnflow.functions.windows.time_windows import PanedWindows
from yarnflow.functions.windows.window import TimeWindow
from yarnflow.graph.operators import Operator, WindowSpec
from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.columns.partials import (
    Measure,
    Partial,
    aggregate_rows,
    measured,
    merge,
    prepare,
    results,
)
from yarnflow.runtime.operators.stored_watermark import restored_watermark, store_watermark
from yarnflow.runtime.operators.timestamps import missing_timestamp
from yarnflow.runtime.operators.windows.base import LATE_METRIC
from yarnflow.runtime.operators.windows.layout import check_layout, store_layout
from yarnflow.runtime.operators.windows.panes import SharedPanes
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import Chunk, KeyedPart, TaskSnapshot

log = logging.getLogger(__name__)

_TABLE = "window-aggregates"
_COLUMNS = "columns"

#: Panes of one batch that are numbered by their distance; beyond, they are looked for.
_NEAR = 1 << 12


class Pane:
    """What is known of a stretch of time."""

    __slots__ = ("_compacted", "_rows", "partials")

    def __init__(self) -> None:
        self.partials: list[Partial] = []
        self._rows = self._compacted = 0

    def add(self, partial: Partial, measures: list[Measure]) -> None:
        """Take more; merged once in a while, so that a pane takes memory for its keys, not for its batches."""
        self.partials.append(partial)
        self._rows += len(partial)
        if self._rows > max(2 * self._compacted, COLUMN_BATCH):
            self.merged(measures)

    def merged(self, measures: list[Measure]) -> Partial:
        """All in one."""
        if len(self.partials) > 1:
            self.partials = [merge(measures, self.partials)]
        self._rows = self._compacted = len(self.partials[0])
        return self.partials[0]


class ColumnarWindowOperator(StreamOperator):
    """A WindowSpec with `aggregates`."""

    columnar = True

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        spec = operator.spec
        assert isinstance(spec, WindowSpec)
        assert isinstance(spec.assigner, PanedWindows)
        self.spec = spec
        self._assigner = spec.assigner
        self._in_event_time = spec.assigner.is_event_time()
        self._lateness = spec.allowed_lateness
        #: All times up to here have passed: the watermark, or 1 ms before the time of the clock.
        self._now = MIN_WATERMARK
        self._measures: list[Measure] = []
        self._key_name = ""
        self._key_type: pa.DataType | None = None
        self._panes: dict[int, Pane] = {}
        #: Starts of windows to fire, with the same as a set, and of panes to drop.
        self._to_fire: list[int] = []
        self._waiting: set[int] = set()
        self._to_drop: list[int] = []
        self._shared: SharedPanes[Partial] = SharedPanes(spec.assigner.pane, self._pane, self._merge)
        self._fired: list[tuple[int, Partial]] = []
        self._late_dropped: Any = None

    def open(self) -> None:
        if Configuration(self.context.config)[StateBackendOptions.TYPE] == "rocksdb":
            log.warning(
                "'%s' keeps the keys of its open windows in memory though state.backend.type is rocksdb: should "
                "there be too many, use an AggregateFunction instead of aggregates on columns",
                self.operator.name,
            )
        self._late_dropped = self.context.runtime_context.get_metrics_group().counter(LATE_METRIC)

    # -- records ---------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int) -> None:
        if not len(batch):
            return
        if self._in_event_time and batch.timestamps is None:
            raise missing_timestamp(self.operator.name, to_rows(batch).rows[0])
        columns = to_columns(batch)
        if columns.timestamps is not None and self._in_event_time:
            times = columns.timestamps.to_numpy()
        else:
            self._advance_clock()
            times = np.full(len(batch), self._now + 1)
        starts, panes = self._panes_of(times)
        gone = self._gone(starts)
        if gone.any():
            keep = self._without_late(columns, times, gone[panes])
            if not len(keep):
                return
            columns = ColumnBatch(columns.columns.take(pa.array(keep)), None, columns.scalar)
            panes = panes[keep]
        keys = self._keys(columns.columns)
        if not self._measures:
            self._measures = prepare(self.spec.aggregates, columns.columns)
        partials = aggregate_rows(self._measures, columns.columns, keys, panes, len(starts))
        for start, partial in zip(starts.tolist(), partials, strict=True):
            if len(partial):
                self._add(start, partial)
        self._emit_fired()

    def _panes_of(self, times: Any) -> tuple[Any, Any]:
        """Starts of the panes that there are (and perhaps of some between), and the number of each row's pane."""
        pane, offset = self._assigner.pane, self._assigner.offset
        numbers = (times - offset) // pane
        first, last = int(numbers.min()), int(numbers.max())
        if last - first < _NEAR:
            return np.arange(first, last + 1) * pane + offset, numbers - first
        distinct, places = np.unique(numbers, return_inverse=True)
        return distinct * pane + offset, places

    def _last_end(self, starts: Any) -> Any:
        """Ends of the last windows that hold these panes."""
        return starts - (starts - self._assigner.offset) % self._assigner.slide + self._assigner.size

    def _gone(self, starts: Any) -> Any:
        """Panes of which no window is left, or which lie between windows."""
        ends = self._last_end(starts)
        between = ends <= starts
        if not self._in_event_time:
            return between
        # Written so that it cannot overflow before the first watermark.
        return between | (ends <= max(self._now, MIN_WATERMARK + self._lateness) - self._lateness + 1)

    def _without_late(self, batch: ColumnBatch, times: Any, gone: Any) -> Any:
        """Row numbers of those that are not gone; late ones go to the side output or are counted."""
        late = np.flatnonzero(gone & (times <= self._now - self._lateness)) if self._in_event_time else ()
        if len(late):
            tag = self.spec.late_tag
            if tag is None:
                self._late_dropped.inc(len(late))
            elif tag in self.side_outputs:
                at = pa.array(late)
                stamps = pa.array(times[late])
                self.side_outputs[tag](ColumnBatch(batch.columns.take(at), stamps, batch.scalar))
        return np.flatnonzero(~gone)

    def _keys(self, columns: pa.RecordBatch) -> pa.Array:
        key = self.spec.key
        if key is None:
            self._key_type = pa.int8()
            return pa.array(np.zeros(columns.num_rows, np.int8))
        at = column_index(columns, key)
        column, self._key_name = columns.column(at), columns.schema.names[at]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if self._key_type is None:
            if pa.types.is_nested(column.type):
                raise ProgramError(
                    f"'{self.operator.name}': {key!r} is a column of {column.type}, and lists, structs and maps "
                    "are no keys: use one of their fields"
                )
            self._key_type = column.type
        if column.type != self._key_type:
            try:
                if pa.types.is_string(column.type) and not pa.types.is_large_string(self._key_type):
                    raise pa.ArrowInvalid("texts are not numbers or times")
                column = column.cast(self._key_type)
            except pa.ArrowException as error:
                raise ProgramError(
                    f"'{self.operator.name}': the key {key!r} was of type {self._key_type} before, and now it is "
                    f"{column.type}: {error}"
                ) from error
        return column

    def _add(self, start: int, partial: Partial) -> None:
        pane = self._panes.get(start)
        if pane is None:
            pane = self._open(start)
        pane.add(partial, self._measures)
        self._shared.changed(start)
        if self._lateness and start + self._assigner.pane - 1 <= self._now:
            self._update_ended(start, partial.keys)

    def _update_ended(self, start: int, keys: pa.Array) -> None:
        """Windows that have fired, and stay, give a new result for these keys."""
        size = self._assigner.size
        for window in self._windows_of(start):
            end = window + size
            if end - 1 <= self._now < end - 1 + self._lateness:
                parts = map(self._pane, range(window, end, self._assigner.pane))
                whole = merge(self._measures, [part for part in parts if part is not None])
                at = np.flatnonzero(pc.is_in(whole.keys, keys).to_numpy(zero_copy_only=False))
                chosen = Partial(whole.keys.take(pa.array(at)), [array[at] for array in whole.arrays])
                self._fired.append((window, chosen))

    def _windows_of(self, pane: int) -> range:
        last = int(self._last_end(pane)) - self._assigner.size
        return range(last, pane - self._assigner.size, -self._assigner.slide)

    def _open(self, start: int) -> Pane:
        pane = self._panes[start] = Pane()
        for window in self._windows_of(start):
            if window + self._assigner.size - 1 > self._now and window not in self._waiting:
                self._waiting.add(window)
                heappush(self._to_fire, window)
        heappush(self._to_drop, start)
        return pane

    # -- time ------------------------------------------------------------------------------------------------

    def process_watermark(self, timestamp: int) -> None:
        if timestamp > self.watermark:  # a restored one may be ahead of what comes first
            self.watermark = timestamp
            if self._in_event_time:
                self._now = timestamp
                self._fire_due()
        self.emit_watermark(timestamp)

    def next_timer(self) -> int | None:
        return None if self._in_event_time or not self._to_fire else self._to_fire[0] + self._assigner.size

    def advance_clock(self, now: int) -> None:
        if not self._in_event_time:
            self._advance_clock()

    def _advance_clock(self) -> None:
        self._now = max(self._now, self.context.processing_time() - 1)
        self._fire_due()

    def finish(self) -> None:
        # As FiredByTimeOperator does it.
        if not self._in_event_time and self.spec.final_only:
            self._now = MAX_WATERMARK
            self._fire_due()

    def _fire_due(self) -> None:
        size = self._assigner.size
        while self._to_fire and self._to_fire[0] + size - 1 <= self._now:
            start = heappop(self._to_fire)
            self._waiting.discard(start)
            found = self._shared.window(start, start + size)
            if found is not None:
                self._fired.append((start, found))
            self._drop_until(min(self._now, start + size - 1))
        self._drop_until(self._now)
        self._emit_fired()

    def _drop_until(self, limit: int) -> None:
        while self._to_drop and self._last_end(self._to_drop[0]) - 1 + self._lateness <= limit:
            del self._panes[heappop(self._to_drop)]

    def _pane(self, start: int) -> Partial | None:
        pane = self._panes.get(start)
        return None if pane is None else pane.merged(self._measures)

    def _merge(self, left: Partial, right: Partial) -> Partial:
        return merge(self._measures, [left, right])

    def _emit_fired(self) -> None:
        fired, self._fired = self._fired, []
        part: list[tuple[int, Partial]] = []
        rows = 0
        for window in fired:
            part.append(window)
            rows += len(window[1])
            if rows >= COLUMN_BATCH:
                self._emit_windows(part)
                part, rows = [], 0
        if part:
            self._emit_windows(part)

    def _emit_windows(self, windows: list[tuple[int, Partial]]) -> None:
        starts, partials = [start for start, _ in windows], [partial for _, partial in windows]
        size = self._assigner.size
        arrays = results(self._measures, partials, starts, size)
        names = [self._key_name, *(measure.name for measure in self._measures)]
        if self.spec.key is None:
            arrays, names = arrays[1:], names[1:]
        ends = np.repeat(np.array(starts, np.int64) + (size - 1), [len(partial) for partial in partials])
        columns, times = pa.RecordBatch.from_arrays(arrays, names=names), pa.array(ends)
        for at in range(0, len(times), COLUMN_BATCH):
            self.emit(ColumnBatch(columns.slice(at, COLUMN_BATCH), times.slice(at, COLUMN_BATCH)))

    # -- state -----------------------------------------------------------------------------------------------

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        operator_id = self.operator.operator_id
        store_watermark(snapshot, self)
        store_layout(snapshot, self, self._layout())
        if not self._panes:
            return
        for pane in self._panes.values():
            pane.merged(self._measures)
        # Partials do not change, so the references are a picture.
        held = [(start, pane.partials[0]) for start, pane in self._panes.items()]
        chunks = self._chunks(held)
        entries = sum(len(partial) for _, partial in held)
        details = {_COLUMNS: self._schema_text()}
        part = KeyedPart(operator_id, _TABLE, StateKind.KEYED, chunks, entries, details, lambda: chunks)
        snapshot.keyed.append(part)

    def _chunks(self, held: list[tuple[int, Partial]]) -> Callable[[], Iterable[Chunk]]:
        length, keyed = self._assigner.pane, self.spec.key is not None

        def read() -> Iterable[Chunk]:
            for start, partial in held:
                keys = python_values(partial.keys) if keyed else [None]
                values = list(zip(*(array.tolist() for array in partial.arrays), strict=True))
                yield Chunk(TimeWindow(start, start + length), keys, values or [()] * len(keys))

        return read

    def _schema_text(self) -> str:
        fields = [pa.field(self._key_name, self._key_type)]
        fields += [pa.field(measure.name, measure.argument or pa.null()) for measure in self._measures]
        text: str = base64.b64encode(pa.schema(fields).serialize()).decode()
        return text

    def _layout(self) -> str:
        return f"{self._assigner!r} on columns"

    def restore(self, restored: RestoredOperator) -> None:
        check_layout(restored, self, self._layout())
        self.watermark = restored_watermark(restored)
        if self._in_event_time:
            self._now = self.watermark
        if _TABLE not in restored.keyed_names():
            return
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(restored.details(_TABLE)[_COLUMNS])))
        names = [name for name, _ in self.spec.aggregates]
        if schema.names[1:] != names:
            raise ProgramError(
                f"'{self.operator.name}': the stored windows have the aggregates {', '.join(schema.names[1:])}, "
                f"and the program now has {', '.join(names)}: give the operator another uid, or keep them as they "
                "were"
            )
        self._key_name, self._key_type = schema.names[0], schema.field(0).type
        self._measures = [
            measured(name, aggregate, None if aggregate.argument is None else schema.field(at).type)
            for at, (name, aggregate) in enumerate(self.spec.aggregates, 1)
        ]
        for window, keys, values in restored.keyed(_TABLE):
            if len(keys):
                pane = self._panes.get(window.start) or self._open(window.start)
                pane.add(self._stored(keys, values), self._measures)

    def _stored(self, keys: Any, values: Any) -> Partial:
        dtypes = [dtype for measure in self._measures for dtype in measure.dtypes]
        arrays = [np.array(column, dtype) for column, dtype in zip(zip(*values, strict=True), dtypes, strict=True)]
        return Partial(pa.array(keys if self.spec.key is not None else [0], self._key_type), arrays)
