"""Several streams: union of equal types, connect of different ones with CoMapFunction and CoFlatMapFunction.

python examples/union_and_connect.py
"""

from __future__ import annotations

from collections.abc import Iterable

from yarnflow.common import Types
from yarnflow.datastream import CoFlatMapFunction, CoMapFunction, StreamExecutionEnvironment


class Celsius(CoMapFunction):
    """One thermometer reports Celsius, the other one Fahrenheit."""

    def map1(self, value: float) -> float:
        return value

    def map2(self, value: float) -> float:
        return round((value - 32) / 1.8, 1)


class Alarms(CoFlatMapFunction):
    """Readings pass when they are too high; messages always."""

    def flat_map1(self, value: float) -> Iterable[str]:
        if value > 30:
            yield f"hot: {value}"

    def flat_map2(self, value: str) -> Iterable[str]:
        yield f"message: {value}"


def main() -> None:
    """Print what comes out."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    indoors = env.from_collection([21.5, 31.0], type_info=Types.FLOAT())
    outdoors = env.from_collection([18.0], type_info=Types.FLOAT())
    fahrenheit = env.from_collection([50.0, 95.0], type_info=Types.FLOAT())
    messages = env.from_collection(["battery low"], type_info=Types.STRING())

    celsius = indoors.union(outdoors).connect(fahrenheit).map(Celsius(), output_type=Types.FLOAT())
    alarms = celsius.connect(messages).flat_map(Alarms(), output_type=Types.STRING())
    with alarms.execute_and_collect("union and connect") as lines:
        for line in sorted(lines):
            print(line)


if __name__ == "__main__":
    main()
