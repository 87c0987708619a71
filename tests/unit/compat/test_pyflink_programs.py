"""Programs in PyFlink's style build under compat, in processes of their own: the import hook is global."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.compat.pyflink_names import MISSING, NAMES
from yarnflow import compat

ROOT = Path(__file__).resolve().parents[3]

WORD_COUNT = """
from pyflink.common import Configuration, Row, Types, WatermarkStrategy
from pyflink.common.typeinfo import Types as SameTypes
from pyflink.datastream import StreamExecutionEnvironment, RuntimeExecutionMode
from pyflink.datastream.data_stream import DataStream, KeyedStream

assert Types is SameTypes

def word_count():
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    env.set_parallelism(1)
    ds = env.from_collection(["to be", "or not"])
    assert isinstance(ds, DataStream)

    def split(line):
        yield from line.split()

    counts = ds.flat_map(split) \\
        .map(lambda i: (i, 1), output_type=Types.TUPLE([Types.STRING(), Types.INT()])) \\
        .key_by(lambda i: i[0]) \\
        .reduce(lambda i, j: (i[0], i[1] + j[1]))
    counts.print()
    return env

env = word_count()
print([vertex.name for vertex in env.get_job_graph().vertices])
"""

FUNCTIONS = """
from pyflink.common import Row
from pyflink.common.restart_strategy import RestartStrategies
from pyflink.common.time import Duration, Time
from pyflink.common.typeinfo import Types
from pyflink.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from pyflink.datastream import (CoMapFunction, FilterFunction, KeySelector, MapFunction, OutputTag,
                                ProcessFunction, RuntimeContext, StreamExecutionEnvironment)
from pyflink.datastream.execution_mode import RuntimeExecutionMode
from pyflink.datastream.functions import FlatMapFunction, Partitioner, ReduceFunction
from pyflink.datastream.output_tag import OutputTag as SameTag
from pyflink.datastream.slot_sharing_group import MemorySize, SlotSharingGroup
import pyflink.datastream.functions

assert OutputTag is SameTag
tag = OutputTag("small", Types.INT())

class Scale(MapFunction):
    def open(self, runtime_context: RuntimeContext):
        self.counter = runtime_context.get_metrics_group().counter("scaled")
    def map(self, value):
        self.counter.inc()
        return Row(value["id"] * 2, value["name"])

class ById(KeySelector):
    def get_key(self, value):
        return value[0]

class Route(ProcessFunction):
    def process_element(self, value, ctx: 'ProcessFunction.Context'):
        if value[0] < 2:
            yield tag, value[0]
        yield value

class Clock(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[0]

env = StreamExecutionEnvironment.get_execution_environment()
env.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, 1000))
rows = env.from_collection([(1, "a"), (2, "b")],
                           type_info=Types.ROW_NAMED(["id", "name"], [Types.INT(), Types.STRING()]))
timed = rows.assign_timestamps_and_watermarks(
    WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5)).with_timestamp_assigner(Clock()))
scaled = timed.map(Scale(), output_type=Types.ROW([Types.INT(), Types.STRING()])).slot_sharing_group("heavy")
main = scaled.process(Route()).uid("route")
main.get_side_output(tag).print("small")
main.key_by(ById(), key_type=Types.INT()).max(0).disable_chaining().print()
print([vertex.name for vertex in env.get_job_graph("functions").vertices])
"""


def run(code: str, *, install: bool = True) -> subprocess.CompletedProcess[str]:
    start = "from yarnflow import compat\ncompat.install()\n" if install else ""
    return subprocess.run(
        [sys.executable, "-c", start + code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("program", "vertices"),
    [
        (WORD_COUNT, ["Source: Collection Source -> FlatMap -> Map", "Reduce -> Sink: Print to Std. Out"]),
        (
            FUNCTIONS,
            [
                "Source: Collection Source",
                "Timestamps/Watermarks",
                "Map -> PROCESS -> Sink: Print to Std. Out",
                "Max",
                "Sink: Print to Std. Out",
            ],
        ),
    ],
)
def test_programs_build(program: str, vertices: list[str]) -> None:
    done = run(f"import os\nos.sched_getaffinity = lambda pid: {{0, 1}}\n{program}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(vertices)


def test_modules_are_yarnflows_own_and_stay_intact() -> None:
    done = run(
        """
import importlib, sys
import pyflink.datastream, pyflink.common.typeinfo, yarnflow.datastream, yarnflow.common.typeinfo
assert pyflink.datastream is yarnflow.datastream
assert pyflink.common.typeinfo is yarnflow.common.typeinfo
for module in (yarnflow.datastream, yarnflow.common.typeinfo):
    assert module.__spec__.name == module.__name__ and module.__name__.startswith("yarnflow."), module.__spec__
    importlib.reload(module)
import pickle
assert b"pyflink" not in pickle.dumps(pyflink.common.Row(1))
compat.install()
compat.uninstall()
assert not [name for name in sys.modules if name.startswith("pyflink")]
"""
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("import pyflink.table.udf", "not of the Table API"),
        ("from pyflink.table import EnvironmentSettings", "not of the Table API"),
        ("from pyflink.datastream.connectors.pulsar import PulsarSource", "has no such connector"),
        ("import pyflink.java_gateway", "yarnflow runs the DataStream API"),
        ("import pyflink.common.nothing", "yarnflow runs the DataStream API"),
        ("import pyflink.common.config_options", "Use Configuration.set_string(key, value)"),
    ],
)
def test_what_is_not_there_says_what_is(statement: str, reason: str) -> None:
    done = run(f"try:\n    {statement}\nexcept ImportError as error:\n    print(error.name, error)")
    assert done.returncode == 0, done.stderr
    assert reason in done.stdout
    assert done.stdout.startswith("pyflink.")


@pytest.mark.parametrize(
    ("module", "name", "reason"),
    [
        ("pyflink.datastream", "SinkFunction", "wraps a Java class"),
        ("pyflink.datastream", "Nonsense", "cannot import name 'Nonsense'"),
    ],
)
def test_names_that_are_not_there_say_so(module: str, name: str, reason: str) -> None:
    done = run(f"try:\n    from {module} import {name}\nexcept ImportError as error:\n    print(error)")
    assert done.returncode == 0, done.stderr
    assert reason in done.stdout


def test_every_public_name_of_pyflink_resolves_or_says_what_to_do() -> None:
    done = run(
        f"""
import importlib
for module, names in {NAMES!r}.items():
    for name in names:
        try:
            getattr(importlib.import_module(module), name)
        except ImportError as error:
            print(name, error)
"""
    )
    assert done.returncode == 0, done.stderr
    answers = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert {name for name, _, _ in answers} == MISSING
    assert all(subject == name and reason for name, subject, reason in answers), answers


def test_table_has_the_types_of_columns() -> None:
    done = run("from pyflink.table import DataTypes\nprint(DataTypes.BIGINT())")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("env.enable_iterations()", "object has no attribute 'enable_iterations'"),
        ("env.from_collection([1]).no_such_method()", "'DataStream' object has no attribute 'no_such_method'"),
    ],
)
def test_methods_that_are_not_there_say_so(call: str, reason: str) -> None:
    done = run(
        "from pyflink.datastream import StreamExecutionEnvironment\n"
        "env = StreamExecutionEnvironment.get_execution_environment()\n"
        f"try:\n    {call}\nexcept Exception as error:\n    print(error)"
    )
    assert done.returncode == 0, done.stderr
    assert reason in done.stdout


def test_without_install_pyflink_is_whatever_is_installed(tmp_path: Path) -> None:
    (tmp_path / "pyflink").mkdir()
    (tmp_path / "pyflink" / "__init__.py").write_text("real = True\n")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import yarnflow.datastream, pyflink
assert pyflink.real
from yarnflow import compat
compat.install()
import pyflink.common as common
assert common.__name__ == "yarnflow.common"
import pyflink as ours
assert not hasattr(ours, "real")
compat.uninstall()
import pyflink as again
assert again.real
"""
    done = run(code, install=False)
    assert done.returncode == 0, done.stderr


def test_names_have_homes() -> None:
    from yarnflow.compat.importer import home_of

    assert home_of("pyflink.datastream.connectors.file_system") == "yarnflow.datastream.connectors.file_system"
    assert home_of("pyflink.metrics") == "yarnflow.functions.metrics"
    assert home_of("pyflink.util.java_utils") is None
    assert callable(compat.install)
