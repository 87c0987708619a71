"""An application for one job, on a real YARN."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.yarn.test_session import FAILING
from tests.yarn.yarn_commands import RUN_SIZES, WORD_COUNT, Commands, application_of
from yarnflow import fs

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize("target", [("-m", "yarn-cluster"), ("-t", "yarn-per-job")], ids=["-m", "-t"])
def test_attached(commands: Commands, target: tuple[str, str]) -> None:
    done = commands.run("run", *target, *RUN_SIZES, "-ynm", "counting", "-p", "2", "-py", WORD_COUNT)
    assert len(done.stdout.splitlines()) > 10
    report = commands.until_ended(application_of(done.stderr))
    assert (report["name"], report["finalStatus"]) == ("counting", "SUCCEEDED")
    assert "yarnflow" in report["applicationTags"]


@pytest.mark.usefixtures("devcluster_env")
def test_detached_writes_to_hdfs(commands: Commands) -> None:
    output = f"{commands.cluster.hdfs_uri}/per-job/detached"
    done = commands.run(
        "run", "-m", "yarn-cluster", "-yd", *RUN_SIZES, "-yqu", "batch", "-py", WORD_COUNT, "--output", output
    )
    application_id = application_of(done.stdout)
    report = commands.until_ended(application_id)
    assert (report["queue"], report["finalStatus"]) == ("root.batch", "SUCCEEDED")
    files, path = fs.get(output)
    written = [file for file in files.list(path, recursive=True) if file.length]
    text = b"".join(files.open_read(file.path).read() for file in written).decode()
    assert len(text.splitlines()) > 10


def test_failed_job_makes_a_failed_application(commands: Commands, tmp_path: Path) -> None:
    program = tmp_path / "failing.py"
    program.write_text(FAILING)
    done = commands.run("run", "-m", "yarn-cluster", *RUN_SIZES, "-py", str(program), code=1)
    assert "ZeroDivisionError" in done.stderr
    report = commands.until_ended(application_of(done.stderr))
    assert report["finalStatus"] == "FAILED"
    assert "ZeroDivisionError" in report["diagnostics"]
