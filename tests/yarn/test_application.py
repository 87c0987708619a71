"""Application mode on a real YARN: main() runs beside the JobManager."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.yarn.yarn_commands import RUN_SIZES, Commands, application_of
from yarnflow import fs

pytestmark = pytest.mark.usefixtures("nothing_left")

PROGRAM = """
import os
import sys

import helper_of_main
from pyflink.common import Encoder
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.file_system import FileSink

env = StreamExecutionEnvironment.get_execution_environment()
lines = env.from_collection(["a", "b"]).map(lambda line: helper_of_main.shout(line))
sink = FileSink.for_row_format(sys.argv[1], Encoder.simple_string_encoder()).build()
lines.sink_to(sink)
env.execute("first")
env.from_collection([os.environ["CONTAINER_ID"]]).print()
env.execute("second")
"""


@pytest.mark.usefixtures("devcluster_env")
def test_program_runs_in_the_application(commands: Commands, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    (tmp_path / "helper_of_main.py").write_text("def shout(text):\n    return text.upper()\n")
    output = f"{commands.cluster.hdfs_uri}/application/output"
    done = commands.run(
        "run-application",
        "-t",
        "yarn-application",
        *RUN_SIZES,
        "-pyfs",
        str(tmp_path / "helper_of_main.py"),
        "-py",
        str(program),
        output,
    )
    report = commands.until_ended(application_of(done.stdout))
    assert report["finalStatus"] == "SUCCEEDED", report["diagnostics"]
    files, path = fs.get(output)
    written = [file for file in files.list(path, recursive=True) if file.length]
    text = b"".join(files.open_read(file.path).read() for file in written).decode()
    assert sorted(text.split()) == ["A", "B"]


def test_failing_program_fails_the_application(commands: Commands, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("raise KeyError('no such thing')\n")
    done = commands.run("run", "-t", "yarn-application", *RUN_SIZES, "-py", str(program), code=None)
    report = commands.until_ended(application_of(done.stdout + done.stderr))
    assert report["finalStatus"] == "FAILED"
    assert "KeyError: 'no such thing'" in report["diagnostics"]
