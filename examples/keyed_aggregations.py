"""key_by with reduce, sum, min, max, min_by, max_by and count. In a STREAMING job every record gives an update.

python examples/keyed_aggregations.py
"""

from __future__ import annotations

from yarnflow.common import Types
from yarnflow.datastream import RuntimeExecutionMode, StreamExecutionEnvironment

#: (station, hour, temperature)
READINGS = [
    ("north", 8, 3),
    ("south", 8, 11),
    ("north", 9, 1),
    ("south", 9, 14),
    ("north", 10, 6),
    ("south", 10, 9),
]


def main() -> None:
    """Show what each aggregation makes of the readings."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    record = Types.TUPLE([Types.STRING(), Types.INT(), Types.INT()])
    for mode in (RuntimeExecutionMode.STREAMING, RuntimeExecutionMode.BATCH):
        env.set_runtime_mode(mode)
        print(mode.name)
        by_station = env.from_collection(READINGS, type_info=record).key_by(lambda reading: reading[0])
        aggregations = {
            "sum(2)": by_station.sum(2),
            "min(2)": by_station.min(2),
            "min_by(2)": by_station.min_by(2),
            "max_by(2)": by_station.max_by(2),
            "count": by_station.count(),
            "reduce": by_station.reduce(lambda left, right: (left[0], right[1], left[2] + right[2])),
        }
        for name, stream in aggregations.items():
            with stream.execute_and_collect(name) as results:
                print(f"  {name:10}", *results)


if __name__ == "__main__":
    main()
