"""Columns stay columns: Parquet in, expressions and built-in sums on Arrow, Parquet out. No record becomes a
Python object on the way.

    python examples/columnar.py [--input trips.parquet]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from yarnflow.common import WatermarkStrategy
from yarnflow.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from yarnflow.datastream.connectors.parquet import ParquetSource
from yarnflow.datastream.expressions import col


def sample(folder: str) -> str:
    """Write a million trips to a Parquet file in the folder and return its path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = 1_000_000
    path = Path(folder) / "trips.parquet"
    trips = {
        "city": pa.array(["Oslo", "Porto", "Quito", "Riga"] * (count // 4)),
        "miles": pa.array([number % 97 for number in range(count)]),
        "minutes": pa.array([number % 61 for number in range(count)]),
    }
    pq.write_table(pa.table(trips), path)
    return str(path)


def double(batch):  # type: ignore[no-untyped-def]
    """A vectorised function of your own: a pyarrow RecordBatch in and out."""
    import pyarrow.compute as pc

    return batch.set_column(1, "kilometres", pc.multiply(batch.column(1), 2))


def main() -> None:
    """Kilometres of the longer trips per city."""
    parser = argparse.ArgumentParser(description="Sum trips per city on columns.")
    parser.add_argument("--input")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="yarnflow-") as folder:
        run(arguments.input or sample(folder))


def run(path: str) -> None:
    """Print kilometres per city."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    source = ParquetSource.for_paths(path).columns(["city", "miles", "minutes"]).build()
    trips = env.from_source(source, WatermarkStrategy.no_watermarks(), "trips")
    sums = (
        trips.filter((col("miles") > 5) & (col("minutes") > 10))
        .select(city=col("city"), kilometres=col("miles") * 1.609)
        .map_batches(double)
        .key_by("city")
        .sum("kilometres")
    )
    with sums.execute_and_collect("columnar") as rows:
        for row in sorted(rows, key=lambda row: row["city"]):
            print(f"{row['city']:6} {row['kilometres']:14,.1f}")


if __name__ == "__main__":
    main()
