"""ProcessFunction with a side output for what cannot be used, and an accumulator that counts it.

python examples/side_outputs.py
"""

from __future__ import annotations

from collections.abc import Iterator

from yarnflow.common import Types
from yarnflow.datastream import OutputTag, ProcessFunction, RuntimeContext, StreamExecutionEnvironment
from yarnflow.datastream.functions import IntCounter

REJECTED = OutputTag("rejected", Types.STRING())
LINES = ["4", "8", "fifteen", "16", "", "23", "42"]


class Parse(ProcessFunction):
    """Lines to numbers; what is none goes to the side output."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.rejected = IntCounter()
        runtime_context.add_accumulator("rejected", self.rejected)

    def process_element(self, value: str, ctx: ProcessFunction.Context) -> Iterator[object]:
        if value.isdigit():
            yield int(value)
        else:
            self.rejected.add(1)
            yield REJECTED, value


def main() -> None:
    """Print the numbers and what was rejected."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    numbers = env.from_collection(LINES, type_info=Types.STRING()).process(Parse(), output_type=Types.INT())
    numbers.map(lambda number: f"number {number}", output_type=Types.STRING()).print()
    numbers.get_side_output(REJECTED).map(lambda line: f"rejected {line!r}", output_type=Types.STRING()).print()
    result = env.execute("side outputs")
    print("accumulators:", result.get_all_accumulator_results())


if __name__ == "__main__":
    main()
