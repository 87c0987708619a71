"""The commands savepoint, stop, cancel -s, checkpoint and run -s on a standalone cluster of real processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.test_standalone import Cluster
from tests.cluster.waiting import eventually
from yarnflow.graph import executor

pytestmark = pytest.mark.cluster

COUNT = 6_000

PROGRAM = """
import sys
import time

from pyflink.common import Encoder, Types
from pyflink.common.watermark_strategy import WatermarkStrategy
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import FileSink
from pyflink.datastream.connectors.number_seq import NumberSequenceSource
from pyflink.datastream.functions import KeyedProcessFunction
from pyflink.datastream.state import ValueStateDescriptor


class Count(KeyedProcessFunction):
    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield f"{value % 10} {count}"


def slow(value):
    time.sleep(0.001)
    return value


env = StreamExecutionEnvironment.get_execution_environment()
env.enable_checkpointing(200)
numbers = env.from_source(NumberSequenceSource(1, COUNT), WatermarkStrategy.no_watermarks(), "numbers")
slowly = numbers.uid("numbers").map(slow).uid("slow")
counts = slowly.key_by(lambda value: value % 10).process(Count(), Types.STRING()).uid("count")
counts.sink_to(FileSink.for_row_format(sys.argv[1], Encoder.simple_string_encoder()).build()).uid("files")
env.execute("counting")
"""

EXPECTED = sorted(f"{key} {count}" for key in range(10) for count in range(1, COUNT // 10 + 1))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    try:
        found.write_conf(
            **{
                "taskmanager.numberOfTaskSlots": "3",
                "execution.checkpointing.dir": (tmp_path / "checkpoints").as_uri(),
                "execution.checkpointing.savepoint-dir": (tmp_path / "savepoints").as_uri(),
                "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
            }
        )
        (tmp_path / "job.py").write_text(PROGRAM.replace("COUNT", str(COUNT)))
        found.run("start-cluster.sh")
        eventually(lambda: found.has_taskmanagers(1), what="the TaskManager has registered")
        yield found
    finally:
        executor.install(None)
        found.close()


def yarnflow(cluster: Cluster, command: str, *arguments: str, code: int = 0) -> str:
    return cluster.run("yarnflow", command, "-m", f"localhost:{cluster.rest_port}", *arguments, code=code)


def start(cluster: Cluster, output: Path, *options: str) -> str:
    """Start the job detached; returns its id when some results are committed."""
    shown = yarnflow(cluster, "run", "-d", *options, str(cluster.folder / "job.py"), str(output))
    match = re.search(r"JobID ([0-9a-f]{32})", shown)
    assert match, shown
    before = len(committed(output))
    eventually(lambda: len(committed(output)) > before, what="results are committed")
    return match[1]


def committed(output: Path) -> list[str]:
    """What is in finished files."""
    files = [path for path in output.rglob("*") if path.is_file() and not path.name.startswith((".", "_"))]
    return sorted(line for path in files for line in path.read_text().splitlines())


def path_in(shown: str) -> str:
    match = re.search(r"(?:Path:|stored in) (\S+?)\.?$", shown, re.MULTILINE)
    assert match, shown
    return match[1]


def test_a_job_is_stopped_and_goes_on_at_another_parallelism(cluster: Cluster, tmp_path: Path) -> None:
    output = tmp_path / "output"
    job_id = start(cluster, output, "-p", "2")
    savepoint = path_in(yarnflow(cluster, "savepoint", job_id))
    assert savepoint.startswith(f"file://{tmp_path}/savepoints/savepoint-{job_id[:6]}-")
    assert "Checkpoint" in yarnflow(cluster, "checkpoint", job_id)
    path = path_in(yarnflow(cluster, "stop", "-p", str(tmp_path / "elsewhere"), job_id))
    assert path.startswith(f"file://{tmp_path}/elsewhere/")
    assert cluster.client.status(job_id) == "FINISHED"
    assert 0 < len(committed(output)) < COUNT

    shown = cluster.run("yarnflow", "savepoint", "inspect", path)
    for text in ("numbers", "count", "keyed"):
        assert text in shown

    yarnflow(cluster, "run", "-s", path, "-p", "3", str(tmp_path / "job.py"), str(output))
    assert committed(output) == EXPECTED

    yarnflow(cluster, "savepoint", "-d", path)
    assert not Path(path.removeprefix("file://")).exists()
    assert "is missing" in yarnflow(cluster, "run", "-s", path, str(tmp_path / "job.py"), str(output), code=1)


def test_a_cancelled_job_goes_on_from_its_savepoint_and_from_its_retained_checkpoint(
    cluster: Cluster, tmp_path: Path
) -> None:
    job_id = start(cluster, tmp_path / "first", "-p", "2")
    path = path_in(yarnflow(cluster, "cancel", "-s", job_id))
    eventually(lambda: cluster.client.status(job_id) == "CANCELED", what="the job is cancelled")
    retained = tmp_path / "checkpoints" / job_id
    for start_from, name in ((path, "second"), (str(retained), "third")):
        output = tmp_path / name
        yarnflow(cluster, "run", "-s", start_from, str(tmp_path / "job.py"), str(output))
        rest = committed(output)
        assert f"9 {COUNT // 10}" in rest, "counting went on"
        assert 0 < len(rest) < COUNT, "what was counted before is not counted again"
        assert set(rest) <= set(EXPECTED)
