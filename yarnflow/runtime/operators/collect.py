"""Sends records back to the client that called execute_and_collect()."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.graph.operators import CollectSpec, Operator
from yarnflow.runtime.network.serialization import dump_object
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.rpc.messages import CollectedRows
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot

#: Messages on their way to the client before the operator waits.
WINDOW = 4

#: Records of one message, at most, and of the first one, when their size is not known yet. A message goes as one
#: RPC to the JobManager and one REST answer.
MESSAGE_RECORDS = 10_000
FIRST_RECORDS = 256

#: Bytes that a message should have at most; a single record may be larger.
MESSAGE_BYTES = 1 << 20

#: Seconds after which records are sent although more might join them.
LATENCY = 0.05


class CollectOperator(StreamOperator):
    """Buffers records and sends them in numbered messages; waits when the client is slow."""

    def __init__(
        self, operator: Operator, context: OperatorContext, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, CollectSpec)
        self._collect_id = operator.spec.collect_id
        self._clock = clock
        self._buffer: list[Any] = []
        self._buffered_since = 0.0
        #: Records that the next message should have.
        self._wanted = FIRST_RECORDS
        self._sent = 0
        self._acknowledged = 0
        self._finishing = False
        #: The last barrier that has passed, see CollectedRows.
        self._checkpoint_id = 0

    def restore(self, restored: RestoredOperator) -> None:
        self._checkpoint_id = restored.checkpoint_id or 0

    def prepare_snapshot(self) -> None:
        # All of it, whoever is slow: a record belongs to one side of the barrier, also for the job that goes on
        # from a savepoint while a client has the results of this one.
        self._send(everything=True)

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        self._checkpoint_id = snapshot.checkpoint_id

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        if not self._buffer:
            self._buffered_since = self._clock()
        self._buffer.extend(batch.rows)
        if len(self._buffer) >= self._wanted or self._clock() - self._buffered_since >= LATENCY:
            self._send()

    def has_room(self) -> bool:
        return len(self._buffer) < self._wanted

    def drained(self) -> bool:
        return not self._buffer

    def acknowledge(self, sequence: int) -> None:
        """The client has everything up to `sequence`."""
        self._acknowledged = max(self._acknowledged, sequence + 1)
        if self._finishing or not self.has_room():
            self._send()

    def flush(self) -> None:
        self._send()

    def finish(self) -> None:
        self._finishing = True
        self._send()

    def _send(self, everything: bool = False) -> None:
        while self._buffer and (everything or self._sent - self._acknowledged < WINDOW):
            wanted = self._wanted
            rows, self._buffer = self._buffer[:wanted], self._buffer[wanted:]
            pickled = dump_object(rows)
            self._wanted = max(1, min(MESSAGE_RECORDS, 2 * wanted, MESSAGE_BYTES * len(rows) // len(pickled)))
            self.context.send(
                CollectedRows(
                    self.context.job_id,
                    self._collect_id,
                    self.context.execution_id,
                    self._sent,
                    pickled,
                    self._checkpoint_id,
                )
            )
            self._sent += 1
