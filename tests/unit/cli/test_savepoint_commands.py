"""savepoint, stop, cancel -s and checkpoint against the real REST API over a coordinator that goes by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.runtime.checkpoint.states import block, checkpoint, keyed_operator, sst
from tests.unit.session.web_server import serve
from tests.unit.web.test_checkpoints_rest import JOB, FakeDispatcher
from yarnflow.cli import main as cli_main
from yarnflow.runtime.checkpoint.handles import OperatorState, StateKind
from yarnflow.runtime.checkpoint.metadata import OperatorCheckpoint, write_metadata
from yarnflow.runtime.checkpoint.paths import normalized
from yarnflow.runtime.rpc.checkpoint_messages import StopMode
from yarnflow.runtime.states import ExecutionState, JobStatus


class Dispatcher(FakeDispatcher):
    """Takes whatever is asked for while it is asked how far it is."""

    def __init__(self) -> None:
        super().__init__()
        self.decline = False

    async def snapshot_outcome(self, job_id, request_id):
        harness = self.harness
        number = next(iter(harness.machine.pending), None)
        if number is not None and self.decline:
            harness.make_directories()
            harness.decline(number)
        elif number is not None:
            harness.take(number)
            if self.asked and self.asked[-1][1] is not StopMode.NO:
                for name in harness.names:
                    harness.task_moves(name, ExecutionState.FINISHED)
                harness.job_moves(JobStatus.FINISHED)
        return await super().snapshot_outcome(job_id, request_id)


@pytest.fixture
def dispatcher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Dispatcher]:
    found = Dispatcher()
    monkeypatch.setenv("YARNFLOW_CONF_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with serve(found) as url:
        found.address = url.removeprefix("http://")
        yield found


def run(dispatcher: Dispatcher, *words: str) -> int:
    command, *rest = words
    return cli_main.run([command, "-m", dispatcher.address, *rest])


def test_savepoint(dispatcher, capsys):
    assert run(dispatcher, "savepoint", JOB, "hdfs:///s") == 0
    assert dispatcher.asked == [("hdfs:///s", StopMode.NO, False)]
    assert "Savepoint completed. Path: file:///s/savepoint-r1" in capsys.readouterr().out


def test_a_relative_directory_is_meant_from_here(dispatcher, tmp_path):
    assert run(dispatcher, "savepoint", JOB, "here") == 0
    assert dispatcher.asked[0][0] == str(tmp_path / "here")


def test_a_savepoint_that_fails(dispatcher, capsys):
    dispatcher.decline = True
    assert run(dispatcher, "savepoint", JOB) == 1
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ((JOB,), (None, StopMode.SUSPEND, False)),
        (("-p", "hdfs:///s", JOB), ("hdfs:///s", StopMode.SUSPEND, False)),
        (("-d", "-p", JOB), (None, StopMode.SUSPEND, False)),
        (("--drain", JOB), (None, StopMode.DRAIN, False)),
    ],
)
def test_stop(dispatcher, capsys, words, asked):
    if "-d" in words:
        asked = (asked[0], StopMode.DRAIN, asked[2])
    assert run(dispatcher, "stop", *words) == 0
    assert dispatcher.asked == [asked]
    assert "Savepoint completed. Path: file:///s/savepoint-r1" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "directory"), [(("-s", "hdfs:///s", JOB), "hdfs:///s"), (("-s", JOB), None)])
def test_cancel_with_savepoint(dispatcher, capsys, words, directory):
    assert run(dispatcher, "cancel", *words) == 0
    assert dispatcher.asked == [(directory, StopMode.NO, True)]
    assert dispatcher.harness.cancelled == 1
    assert "Savepoint stored in file:///s/savepoint-r1." in capsys.readouterr().out


def test_checkpoint(dispatcher, capsys):
    assert run(dispatcher, "checkpoint", JOB) == 0
    assert "Checkpoint 1 completed." in capsys.readouterr().out


def test_dispose(dispatcher, capsys):
    assert run(dispatcher, "savepoint", "-d", "/good") == 0
    assert "Savepoint '/good' disposed." in capsys.readouterr().out
    assert run(dispatcher, "savepoint", "-d", "/bad") == 1
    assert "it is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("savepoint",),
        ("savepoint", "a", "b", "c"),
        ("savepoint", "-d", "x", "y"),
        ("savepoint", "inspect"),
        ("savepoint", "inspect", "path", "operator"),
        ("stop",),
        ("cancel",),
        ("checkpoint",),
    ],
)
def test_wrong_arguments(dispatcher, capsys, words):
    assert run(dispatcher, *words) == 1
    assert "--help" in capsys.readouterr().err
    assert dispatcher.asked == []


def test_an_unknown_job(dispatcher, capsys):
    assert run(dispatcher, "savepoint", "f" * 32) == 1
    assert "f" * 32 in capsys.readouterr().err


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    source = OperatorCheckpoint(
        "s" * 32,
        None,
        "Source: flights",
        "v",
        1,
        128,
        {0: OperatorState("s" * 32, (block("splits", StateKind.SPLIT),))},
    )
    folder = tmp_path / "savepoint-1"
    folder.mkdir()
    counts = keyed_operator("k" * 32, 2, uid="counts")
    write_metadata(checkpoint(source, counts, directory=normalized(str(folder))))
    return folder


def test_inspect_shows_operators_and_states(stored, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "140")
    assert cli_main.run(["savepoint", "inspect", str(stored)]) == 0
    shown = capsys.readouterr().out
    for text in ("Source: flights", "splits", "split", "counts", "keyed", "2/128", str(stored)):
        assert text in shown


def test_inspect_loses_nothing_on_a_narrow_terminal(stored, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    state = OperatorState("n" * 32, (block("delays-by-airport"),), (sst("../shared/1.sst", (0, 127)),))
    named = OperatorCheckpoint("n" * 32, "delays-by-carrier-and-airport", "Reduce, Map", "v", 1, 128, {0: state})
    write_metadata(checkpoint(named, directory=normalized(str(stored))))
    assert cli_main.run(["savepoint", "inspect", str(stored)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert normalized(str(stored)) in lines
    header = next(line for line in lines if "operator" in line)
    rows = lines[lines.index(header) + 2 :]
    uid, parallelism, states, kind, declared = map(header.index, ("uid", "par.", "state", "kind", "type"))
    assert "".join(row[uid:parallelism].strip() for row in rows) == "delays-by-carrier-and-airport"
    assert "".join(row[states:kind].strip() for row in rows) == "delays-by-airportfiles"
    assert "rocksdb's" in "".join(row[kind:declared] for row in rows)


def test_inspect_as_json(stored, capsys):
    assert cli_main.run(["savepoint", "inspect", "--output", "json", str(stored)]) == 0
    document = json.loads(capsys.readouterr().out)
    counts = document["operators"][1]
    assert counts["uid"] == "counts"
    assert {state["name"]: state["rows"] for state in counts["states"]} == {"counts": 6, "offsets": 6}
    keyed = counts["states"][0]
    assert [part["key-groups"] for part in keyed["subtasks"]] == [[0, 63], [64, 127]]
    assert sum(part["size"] for part in keyed["subtasks"]) == keyed["size"]


def test_inspect_of_a_damaged_savepoint(stored, capsys):
    (stored / "_metadata").write_bytes(b"{}")
    assert cli_main.run(["savepoint", "inspect", str(stored)]) == 1
    assert f"{stored}/_metadata" in capsys.readouterr().err
