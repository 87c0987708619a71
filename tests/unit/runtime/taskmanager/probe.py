"""An operator that notes everything a task tells it, and a task that tests feed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.unit.runtime.taskmanager.slot import Slot, note
from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.graph.job_graph import Exchange
from yarnflow.graph.operators import Operator, OperatorSpec
from yarnflow.runtime.network.elements import Element
from yarnflow.runtime.network.output import OutputChannel
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.rpc.messages import Channel
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.taskmanager import chain as chain_module

make_operator = chain_module.make_operator


@dataclass(frozen=True)
class ProbeSpec(OperatorSpec):
    """Notes events under `name` and passes everything on.

    Attributes:
        name: first item of the events.
        timers: processing times at which it wants to be called; each emits ("timer", time).
        hold_back: ms by which it delays event time.
    """

    name: str = "probe"
    timers: tuple[int, ...] = ()
    hold_back: int = 0


class ProbeOperator(StreamOperator):
    """Runs a ProbeSpec. Its state is the list of rows that it has seen."""

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assert isinstance(operator.spec, ProbeSpec)
        self.spec = operator.spec
        self.timers = list(self.spec.timers)
        self.seen: list[Any] = []
        PROBES[self.spec.name] = self

    def note(self, *event: Any) -> None:
        """Remember an event of this operator."""
        note(self.spec.name, *event)

    def restore(self, restored: RestoredOperator) -> None:
        if restored.restored:
            self.seen = restored.items("seen")
            self.note("restored", list(self.seen))

    def open(self) -> None:
        self.note("open")

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        self.note("rows", list(batch.rows))
        self.seen += batch.rows
        self.emit(batch)

    def process_watermark(self, timestamp: int) -> None:
        self.note("watermark", timestamp)
        super().process_watermark(timestamp - self.spec.hold_back)

    def process_status(self, idle: bool) -> None:
        self.note("idle", idle)
        super().process_status(idle)

    def next_timer(self) -> int | None:
        return self.timers[0] if self.timers else None

    def advance_clock(self, now: int) -> None:
        while self.timers and self.timers[0] <= now:
            time = self.timers.pop(0)
            self.note("timer", time)
            self.emit(RowBatch([("timer", time)]))

    def prepare_snapshot(self) -> None:
        self.note("prepare")

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        self.note("snapshot", snapshot.checkpoint_id)
        snapshot.add_list(self.operator.operator_id, "seen", list(self.seen))

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        self.note("completed", checkpoint_id)

    def checkpoint_aborted(self, checkpoint_id: int) -> None:
        self.note("aborted", checkpoint_id)

    def end_input(self, input_index: int) -> None:
        self.note("end", input_index)

    def finish(self) -> None:
        self.note("finish")

    def close(self) -> None:
        self.note("close")


#: The probes of the last chain that was wired, by name.
PROBES: dict[str, ProbeOperator] = {}


def make_probe(operator: Operator, context: OperatorContext) -> StreamOperator:
    """What the chain calls instead of `make_operator`."""
    if isinstance(operator.spec, ProbeSpec):
        return ProbeOperator(operator, context)
    return make_operator(operator, context)


def feed(slot: Slot, edge: int, producer: str, consumer: str) -> OutputChannel:
    """The producer's end of a channel into a task of `slot`."""
    return slot.exchange.open_output(Channel(f"{edge}:{producer}:{consumer}", slot.address, 0), Exchange.PIPELINED)


def write(channel: OutputChannel, *elements: Batch | Element | Sequence[Any]) -> None:
    """Write rows (a plain list) and control elements."""
    for element in elements:
        channel.write(element if isinstance(element, (RowBatch, Element)) else RowBatch(list(element)))
