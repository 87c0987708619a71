import glob
import os
import tempfile
from pathlib import Path

from pyflink.common import Encoder, Row, Types, WatermarkStrategy
from pyflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import (
    BucketAssigner,
    FileSink,
    FileSource,
    OutputFileConfig,
    RollingPolicy,
    StreamFormat,
)

d = tempfile.mkdtemp()
Path(d + "/a.txt").write_text("one\ntwo\n\nthree")
os.mkdir(d + "/sub")
Path(d + "/sub/b.txt").write_text("sub\r\nline\n")
Path(d + "/_hidden").write_text("hidden\n")
Path(d + "/.dot").write_text("dot\n")


def tree(p):
    for f in sorted(glob.glob(p + "/**", recursive=True)):
        if os.path.isfile(f):
            name = os.path.basename(f)
            print(
                "file",
                name if len(name) < 12 else name.split("-")[0] + ".." + name.rsplit("-", 1)[1],
                Path(f).read_text().splitlines(),
            )


for mode in (RuntimeExecutionMode.BATCH, RuntimeExecutionMode.STREAMING):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(mode)
    env.set_parallelism(1)
    src = FileSource.for_record_stream_format(StreamFormat.text_line_format(), d).process_static_file_set().build()
    ds = env.from_source(src, WatermarkStrategy.no_watermarks(), "files")
    ds.print("line")
    env.execute()
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    env.set_parallelism(1)
    out = tempfile.mkdtemp()
    env.from_collection([(1, "a"), (2, "b")], type_info=Types.TUPLE([Types.INT(), Types.STRING()])).sink_to(
        FileSink.for_row_format(out, Encoder.simple_string_encoder())
        .with_output_file_config(
            OutputFileConfig.builder().with_part_prefix("pre").with_part_suffix(".ext").build()
        )
        .with_rolling_policy(RollingPolicy.default_rolling_policy())
        .with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())
        .build()
    )
    env.execute()
    tree(out)
    out = tempfile.mkdtemp()
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(mode)
    env.set_parallelism(1)
    env.from_collection(
        [Row(a=1.0, b=None)], type_info=Types.ROW_NAMED(["a", "b"], [Types.DOUBLE(), Types.STRING()])
    ).sink_to(FileSink.for_row_format(out, Encoder.simple_string_encoder("utf-8")).build())
    env.execute()
    tree(out)
env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)
