"""map, flat_map, filter, functions as lambdas and as classes with open and close.

python examples/basic_operations.py
"""

from __future__ import annotations

from yarnflow.common import Row, Types
from yarnflow.datastream import FilterFunction, MapFunction, RuntimeContext, StreamExecutionEnvironment

ORDERS = [
    ("lamp", 2, 34.90),
    ("chair", 1, 120.00),
    ("candle", 12, 0.95),
    ("desk", 1, 310.50),
    ("candle", 40, 0.95),
]


class Price(MapFunction):
    """(item, pieces, price) to a Row with the sum; `open` runs once in each subtask."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.subtask = runtime_context.get_index_of_this_subtask()

    def map(self, value: tuple[str, int, float]) -> Row:
        item, pieces, price = value
        return Row(item=item, total=round(pieces * price, 2), subtask=self.subtask)


class AtLeast(FilterFunction):
    """Keep orders over a limit; constructor arguments travel with the function."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def filter(self, value: Row) -> bool:
        return value["total"] >= self.limit


def main() -> None:
    """Print the orders that are worth a letter."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    totals = env.from_collection(ORDERS).map(Price()).filter(AtLeast(50.0)).name("worth a letter")
    letters = totals.flat_map(
        lambda row: [f"{row['item']}: {row['total']:.2f}", f"thank you for the {row['item']}"],
        output_type=Types.STRING(),
    )
    with letters.execute_and_collect("basic operations") as lines:
        for line in lines:
            print(line)


if __name__ == "__main__":
    main()
