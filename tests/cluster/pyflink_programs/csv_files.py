import glob
import os
import tempfile
from pathlib import Path

from pyflink.common import WatermarkStrategy
from pyflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import FileSink, FileSource
from pyflink.datastream.formats.csv import CsvBulkWriters, CsvReaderFormat, CsvSchema
from pyflink.table import DataTypes

d = tempfile.mkdtemp()
Path(d + "/a.csv").write_text('1,"a, b",1.5\n2,c,2.5\n')
env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
env.set_runtime_mode(RuntimeExecutionMode.BATCH)
schema = (
    CsvSchema.builder()
    .add_number_column("id", number_type=DataTypes.BIGINT())
    .add_string_column("name")
    .add_number_column("x", number_type=DataTypes.DOUBLE())
    .build()
)
ds = env.from_source(
    FileSource.for_record_stream_format(CsvReaderFormat.for_schema(schema), d + "/a.csv").build(),
    WatermarkStrategy.no_watermarks(),
    "csv",
)
ds.map(lambda r: (r.id, r.name, r["x"])).print("fields")
out = tempfile.mkdtemp()
ds.sink_to(FileSink.for_bulk_format(out, CsvBulkWriters.for_schema(schema)).build())
env.execute("csv")
for f in glob.glob(out + "/**", recursive=True):
    if os.path.isfile(f):
        print("file", Path(f).read_text().splitlines())
