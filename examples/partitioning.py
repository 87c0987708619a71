"""How records choose a subtask: rebalance, rescale, shuffle, broadcast, global and a partitioner of your own.

python examples/partitioning.py
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from yarnflow.common import Types
from yarnflow.datastream import DataStream, MapFunction, RuntimeContext, StreamExecutionEnvironment
from yarnflow.datastream.connectors.number_seq import NumberSequenceSource


class WithSubtask(MapFunction):
    """Replace each record by the index of the subtask that got it."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.index = runtime_context.get_index_of_this_subtask()

    def map(self, value: int) -> int:
        return self.index


def main() -> None:
    """Count how many of 1,000 records each of two subtasks gets."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(2)
    ways: dict[str, Callable[[DataStream], DataStream]] = {
        "rebalance": lambda stream: stream.rebalance(),
        "rescale": lambda stream: stream.rescale(),
        "shuffle": lambda stream: stream.shuffle(),
        "broadcast": lambda stream: stream.broadcast(),
        "global": lambda stream: stream.global_(),
        "custom": lambda stream: stream.partition_custom(lambda key, n: 0 if key < 900 else n - 1, lambda x: x),
    }
    for name, way in ways.items():
        from_one = env.from_source(NumberSequenceSource(0, 999), None, "numbers").set_parallelism(1)
        with way(from_one).map(WithSubtask(), output_type=Types.INT()).execute_and_collect(name) as subtasks:
            print(f"{name:10}", dict(sorted(Counter(subtasks).items())))


if __name__ == "__main__":
    main()
