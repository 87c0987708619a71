"""What a task is made of: from a TaskDeployment to channels, partitions and a chain of running operators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from yarnflow.functions.accumulators import Accumulator
from yarnflow.functions.runtime_context import RuntimeContext
from yarnflow.graph.key_groups import key_groups_of
from yarnflow.graph.operators import ChainOutput, OperatorChain
from yarnflow.runtime.checkpoint.handles import TaskRestore
from yarnflow.runtime.network.exchange import DataExchange
from yarnflow.runtime.network.input import TaskInput, window_for
from yarnflow.runtime.network.partition import Partition, make_partition
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.user_functions import bind, bind_key
from yarnflow.runtime.rpc.messages import Message, ResultPartition, TaskDeployment
from yarnflow.runtime.state.restore import RestoredOperator


@dataclass(frozen=True)
class TaskServices:
    """What the worker lends to its tasks.

    Attributes:
        exchange: of the worker.
        send: passes a message to the supervisor.
        log_tail: the last lines of the worker's log.
        clock: monotonic seconds.
        wall_clock: milliseconds since the epoch.
        wake: makes the worker's loop go round once more; from any thread.
        when_readable: calls a function once in the worker's loop when a descriptor has become readable, whether
            the task is still there or not; at once when there is no descriptor. It must not raise.
    """

    exchange: DataExchange
    send: Callable[[Message], None]
    log_tail: Callable[[], str]
    clock: Callable[[], float]
    wall_clock: Callable[[], int]
    wake: Callable[[], None]
    when_readable: Callable[[int | None, Callable[[], None]], None]


@dataclass
class TaskOutputs:
    """What leaves a task.

    Attributes:
        by_edge: partitions by edge id.
        own_timeouts: buffer timeouts of outputs that have their own, in seconds.
        default_timeout: whether some have the job's.
    """

    by_edge: dict[int, Partition] = field(default_factory=dict)
    own_timeouts: list[float] = field(default_factory=list)
    default_timeout: bool = True

    @property
    def partitions(self) -> list[Partition]:
        """All of them."""
        return list(self.by_edge.values())


def open_inputs(deployment: TaskDeployment, exchange: DataExchange, task_input: TaskInput) -> Counter[int]:
    """Connect the channels of all inputs; returns how many there are of each input."""
    window = window_for(sum(len(gate.channels) for gate in deployment.inputs))
    counts: Counter[int] = Counter()
    for gate in deployment.inputs:
        counts[gate.input_index] += len(gate.channels)
        for channel in gate.channels:
            task_input.add(exchange.open_input(channel, window), gate.input_index)
    return counts


def open_outputs(
    deployment: TaskDeployment, chain: OperatorChain, exchange: DataExchange, outputs: TaskOutputs
) -> None:
    """Connect what leaves the task; `outputs` has what was made also when a later edge fails."""
    described = {output.edge_id: output for output in chain.outputs}
    for result in deployment.outputs:
        outputs.by_edge[result.edge_id] = _partition(deployment, result, described[result.edge_id], exchange)
    timeouts = [output.buffer_timeout_ms for output in chain.outputs]
    outputs.own_timeouts = [timeout / 1000 for timeout in timeouts if timeout is not None and timeout >= 0]
    outputs.default_timeout = None in timeouts or not timeouts


def _partition(
    deployment: TaskDeployment, result: ResultPartition, output: ChainOutput, exchange: DataExchange
) -> Partition:
    channels = [exchange.open_output(channel, result.exchange) for channel in result.channels]
    return make_partition(
        result.partitioning,
        channels,
        result.max_parallelism or deployment.max_parallelism,
        key=None if output.key is None else bind_key(output.key),
        columnar_key=output.key if isinstance(output.key, (int, str)) else None,
        choose=None if output.partitioner is None else bind(output.partitioner, "partition"),
        seed=hash((deployment.subtask_index, result.edge_id)),
    )


def operator_context(
    deployment: TaskDeployment,
    services: TaskServices,
    job_parameters: Mapping[str, str],
    accumulators: dict[str, Accumulator[Any]],
    call_soon: Callable[[Callable[[], None]], None],
) -> OperatorContext:
    """What operators get to know."""
    return OperatorContext(
        job_id=deployment.job_id,
        task_name=deployment.vertex_name,
        execution_id=deployment.execution_id,
        subtask_index=deployment.subtask_index,
        parallelism=deployment.parallelism,
        max_parallelism=deployment.max_parallelism,
        attempt=deployment.attempt,
        config=deployment.config,
        runtime_context=RuntimeContext(
            deployment.vertex_name,
            deployment.parallelism,
            deployment.max_parallelism,
            deployment.subtask_index,
            deployment.attempt,
            deployment.job_id,
            job_parameters,
            accumulators,
        ),
        send=services.send,
        processing_time=services.wall_clock,
        call_soon=call_soon,
        checkpointing=deployment.checkpoints is not None and deployment.checkpoints.periodic,
    )


def restored_operator(deployment: TaskDeployment, restore: TaskRestore, operator_id: str) -> RestoredOperator:
    """What one of the task's operators gets back."""
    index, parallelism, max_parallelism = (
        deployment.subtask_index,
        deployment.parallelism,
        deployment.max_parallelism,
    )
    return RestoredOperator(
        restore.operators.get(operator_id),
        restore.directory,
        index,
        parallelism,
        key_groups_of(index, parallelism, max_parallelism),
        restore.checkpoint_id,
        max_parallelism,
    )
