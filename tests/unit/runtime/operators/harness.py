"""Drives one running operator without a cluster: records, watermarks, clock by hand; snapshots in memory."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.columns import to_rows
from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.graph.key_groups import key_group, key_groups_of
from yarnflow.graph.operators import Operator, OperatorSpec
from yarnflow.runtime.checkpoint.handles import StateKind
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.registry import make_operator
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import Chunk, TaskSnapshot

MAX_PARALLELISM = 128


class Stored:
    """A snapshot of one subtask, as it would be read back from a file."""

    def __init__(self, snapshot: TaskSnapshot) -> None:
        self.id = snapshot.checkpoint_id
        self.keyed = {}
        for part in snapshot.keyed:
            read = (part.freeze() if part.freeze is not None else None) or part.chunks
            stored = pickle.dumps([tuple(chunk) for chunk in read()])
            self.keyed[part.name, part.kind] = stored, part.details
        self.lists = {(part.name, part.kind): pickle.dumps(part.items) for part in snapshot.lists}

    @property
    def names(self) -> set[str]:
        """Of everything stored."""
        return {name for name, _ in (*self.keyed, *self.lists)}


class MemoryRestore(RestoredOperator):
    """What a subtask gets back of several stored ones."""

    def __init__(self, stored: Iterable[Stored], subtask: int, parallelism: int) -> None:
        self.stored = list(stored)
        groups = key_groups_of(subtask, parallelism, MAX_PARALLELISM)
        super().__init__(
            None, "", subtask, parallelism, groups, self.stored[0].id if self.stored else None
        )

    def keyed_names(self, kind: StateKind = StateKind.KEYED) -> list[str]:
        return sorted({name for one in self.stored for name, of_kind in one.keyed if of_kind is kind})

    def keyed(self, name: str, kind: StateKind = StateKind.KEYED) -> list[Chunk]:
        chunks = []
        for one in self.stored:
            data, _ = one.keyed.get((name, kind), (pickle.dumps([]), {}))
            for namespace, keys, values in pickle.loads(data):
                own = [at for at, key in enumerate(keys) if key_group(key, MAX_PARALLELISM) in self.key_groups]
                chunks.append(Chunk(namespace, [keys[at] for at in own], [values[at] for at in own]))
        return chunks

    def details(self, name: str) -> dict[str, str]:
        found = (one.keyed.items() for one in self.stored)
        return next((details for items in found for (known, _), (_, details) in items if known == name), {})

    def list_names(self, kind: StateKind = StateKind.SPLIT) -> list[str]:
        return sorted({name for one in self.stored for name, of_kind in one.lists if of_kind is kind})

    def items(self, name: str, kind: StateKind = StateKind.SPLIT) -> list[Any]:
        found = [pickle.loads(one.lists[name, kind]) for one in self.stored if (name, kind) in one.lists]
        if kind is StateKind.BROADCAST:
            return list(found[0]) if found else []
        items = [item for one in found for item in one]
        return items if kind is StateKind.UNION else items[self.subtask_index :: self.parallelism]


def operator_context(
    subtask: int = 0, parallelism: int = 1, config: dict[str, str] | None = None, **services: Any
) -> OperatorContext:
    """Where an operator runs in a test. Messages go nowhere, unless `services` (fields of OperatorContext) say."""
    services.setdefault("send", lambda message: None)
    return OperatorContext(
        job_id="0" * 32,
        task_name="task",
        execution_id="execution",
        subtask_index=subtask,
        parallelism=parallelism,
        max_parallelism=MAX_PARALLELISM,
        attempt=0,
        config=config or {},
        runtime_context=RuntimeContext("task", parallelism, MAX_PARALLELISM, subtask, 0),
        **services,
    )


class Harness:
    """One operator.

    Args:
        spec: what it does.
        output_type: declared type of its results.
        side: tags of side outputs that somebody reads.
        subtask, parallelism: where it runs.
        restored: snapshots that it starts from.

    Attributes:
        operator: the running one.
        out: (record, time) of the main output, and "watermark n" as ("watermark", n).
        side: records per tag.
        now: the clock, ms.
    """

    def __init__(
        self,
        spec: OperatorSpec,
        output_type: Any = None,
        side: Iterable[OutputTag] = (),
        subtask: int = 0,
        parallelism: int = 1,
        restored: Iterable[Stored] = (),
        config: dict[str, str] | None = None,
    ) -> None:
        self.now = 0
        self.out: list[Any] = []
        self.side: dict[str, list[Any]] = {}
        context = operator_context(subtask, parallelism, config, processing_time=lambda: self.now)
        self._where = (subtask, parallelism)
        self.operator = make_operator(Operator("0" * 32, "Operator", spec, output_type), context)
        self.operator.emit = self._emit
        self.operator.emit_watermark = lambda timestamp: self.out.append(("watermark", timestamp))
        for tag in side:
            self.operator.side_outputs[tag] = self._side(tag)
        self.operator.restore(MemoryRestore(restored, subtask, parallelism))
        self.operator.open()

    def send(self, *records: Any, times: list[int] | None = None, to: int = 0) -> None:
        """A batch of records to an input."""
        self.operator.process_batch(RowBatch(list(records), times), to)

    def watermark(self, timestamp: int) -> None:
        """Event time advances."""
        self.operator.process_watermark(timestamp)

    def clock(self, now: int) -> None:
        """Processing time advances; timers fire as a task would let them."""
        self.now = now
        wanted = self.operator.next_timer()
        while wanted is not None and wanted <= now:
            self.operator.advance_clock(now)
            before, wanted = wanted, self.operator.next_timer()
            assert wanted is None or wanted > before, "the same timer would fire again and again"

    def snapshot(self, checkpoint_id: int = 1) -> Stored:
        """A checkpoint."""
        subtask, parallelism = self._where
        groups = key_groups_of(subtask, parallelism, MAX_PARALLELISM)
        # As for a savepoint: whole, whatever the backend.
        snapshot = TaskSnapshot(checkpoint_id, True, MAX_PARALLELISM, (groups[0], groups[-1]))
        self.operator.prepare_snapshot()
        self.operator.snapshot(snapshot)
        return Stored(snapshot)

    def rows(self) -> list[Any]:
        """What the main output has got since the last call, without times and watermarks."""
        found, self.out = [row for row, _ in self.out if row != "watermark"], []
        return found

    def finish(self) -> list[Any]:
        """The end of input; the rows that come of it."""
        self.operator.finish()
        self.operator.close()
        return self.rows()

    def _emit(self, batch: Batch) -> None:
        rows = to_rows(batch)
        self.out += zip(rows.rows, rows.timestamps or [None] * len(rows.rows), strict=True)

    def _side(self, tag: OutputTag) -> Any:
        def emit(batch: Batch) -> None:
            rows = to_rows(batch)
            times = rows.timestamps or [None] * len(rows.rows)
            self.side.setdefault(tag.tag_id, []).extend(zip(rows.rows, times, strict=True))

        return emit
