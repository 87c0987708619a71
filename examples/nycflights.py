"""Streams of the real data that examples read: flights out of New York in 2013, the weather there,
planes and airlines.

Records are rows with the names of the columns; what is missing is None. Programs use these functions where they
build their job, so workers do not need this module.
"""

from __future__ import annotations

import argparse
import atexit
import shutil
import tempfile
from pathlib import Path

from nycflights_extract import extract

from yarnflow.common import WatermarkStrategy
from yarnflow.datastream import DataStream, StreamExecutionEnvironment
from yarnflow.datastream.connectors.file_system import FileSource
from yarnflow.datastream.formats.csv import CsvReaderFormat, CsvSchema
from yarnflow.datastream.formats.data_types import DataTypes

#: The columns of the files; those that are not numbers have a type of their own.
COLUMNS = {
    "flights": (
        "year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier flight "
        "tailnum origin dest air_time distance hour minute time_hour"
    ),
    "weather": (
        "origin year month day hour temp dewp humid wind_dir wind_speed wind_gust precip pressure visib time_hour"
    ),
    "airlines": "carrier name",
    "planes": "tailnum year type manufacturer model engines seats speed engine",
}
TEXT = {"carrier", "name", "tailnum", "origin", "dest", "type", "manufacturer", "model", "engine"}
REAL = {"temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"}


def stream(env: StreamExecutionEnvironment, folder: str, name: str, watermarks: WatermarkStrategy) -> DataStream:
    """The rows of <name>.csv in `folder`, local or hdfs://."""
    schema = CsvSchema.builder().set_use_header().set_null_value("NA")
    for column in COLUMNS[name].split():
        if column in TEXT:
            schema.add_string_column(column)
        elif column == "time_hour":
            schema.add_column(column, DataTypes.TIMESTAMP())
        else:
            schema.add_number_column(column, DataTypes.DOUBLE() if column in REAL else DataTypes.BIGINT())
    reader = CsvReaderFormat.for_schema(schema.build())
    source = FileSource.for_record_stream_format(reader, f"{folder}/{name}.csv").build()
    return env.from_source(source, watermarks, name)


def input_folder(description: str) -> str:
    """The folder that the command line names with --input; without it, a sample."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--input", help="a folder that nycflights_extract.py made, local or hdfs://")
    folder: str | None = parser.parse_args().input
    return folder or sample()


def sample() -> str:
    """Write the first week of the year into a temporary folder, which goes when the program ends."""
    folder = tempfile.mkdtemp(prefix="nycflights-")
    atexit.register(shutil.rmtree, folder)
    extract(Path(folder), days=7)
    return folder
