"""Sessions on a real YARN: start, find, use, stop."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.cluster.waiting import eventually
from tests.yarn.yarn_commands import SECONDS, SIZES, WORD_COUNT, Commands, application_of, line_with, url_of

ENDLESS = """
import time
from pyflink.common import WatermarkStrategy
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.number_seq import NumberSequenceSource

env = StreamExecutionEnvironment.get_execution_environment()
numbers = env.from_source(NumberSequenceSource(0, 10**9), WatermarkStrategy.no_watermarks(), "numbers")
numbers.map(lambda number: time.sleep(0.0005) or number).print()
env.execute("endless")
"""

EXCHANGE = """
import os
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
words = env.from_collection([(i % 50, 1) for i in range(20000)]).rebalance()
# Each record is sent by whoever has it to whoever owns its key, so data crosses between the TaskManagers.
sent = words.map(lambda pair: (pair[0], pair[1], os.environ["CONTAINER_ID"]))
counts = sent.key_by(lambda pair: pair[0]).map(lambda triple: (triple[2], os.environ["CONTAINER_ID"]))
with counts.execute_and_collect("exchange") as results:
    pairs = set()
    count = 0
    for pair in results:
        pairs.add(pair)
        count += 1
print(count, sorted(pairs))
"""

FAILING = """
from pyflink.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()


def invert(number):
    return 1 // (number - 2)


env.from_collection([1, 2, 3]).map(invert).name("invert").print()
env.execute("failing")
"""


def _program(folder: Path, text: str) -> str:
    path = folder / "program.py"
    path.write_text(text)
    return str(path)


def test_run_finds_the_session_by_the_properties_file(commands: Commands, yarn_session: str) -> None:
    note = next(commands.folder.glob(".yarn-properties-*")).read_text()
    assert f"applicationID={yarn_session}" in note
    done = commands.run("run", "-p", "2", "-py", WORD_COUNT)
    here = commands.run("run", "-t", "local", "-py", WORD_COUNT)
    assert len(here.stdout.splitlines()) > 10
    assert set(here.stdout.splitlines()) <= set(done.stdout.splitlines())
    assert "Job has been submitted with JobID" in done.stdout


def test_run_and_list_by_application_id(commands: Commands, yarn_session: str) -> None:
    elsewhere = {"YARNFLOW_PROPERTIES": commands.env["YARNFLOW_PROPERTIES"] + "\nyarn.properties-file.location: /"}
    for option in (("-yid", yarn_session), (f"-Dyarn.application.id={yarn_session}",)):
        done = commands.run("run", "-t", "yarn-session", *option, "-py", WORD_COUNT, env=elsewhere)
        assert len(done.stdout.splitlines()) > 10
    jobs = json.loads(commands.run("list", "-a", "-yid", yarn_session, "--output", "json", env=elsewhere).stdout)
    # Other tests run jobs of other names in this session.
    assert {job["state"] for job in jobs if job["name"] == "word count"} == {"FINISHED"}


def test_another_machine_finds_the_session_by_its_id(
    commands: Commands, yarn_session: str, tmp_path: Path
) -> None:
    stranger = Commands(commands.cluster, tmp_path)
    done = stranger.run("list", "-a", "-yid", yarn_session)
    assert "jobs" in done.stdout.lower()


def test_a_detached_job_is_listed_and_cancelled(
    commands: Commands, yarn_session: str, tmp_path: Path
) -> None:
    done = commands.run("run", "-d", "-py", _program(tmp_path, ENDLESS))
    job_id = done.stdout.split("JobID ")[1].split()[0]
    eventually(
        lambda: f"{job_id} : endless (RUNNING)" in commands.run("list", "-r").stdout,
        SECONDS,
        "the job to run",
    )
    assert f"Cancelled job {job_id}." in commands.run("cancel", job_id).stdout
    eventually(lambda: f"{job_id} : endless (CANCELED)" in commands.run("list", "-a").stdout, SECONDS, "its end")


def test_two_taskmanagers_on_two_nodes_exchange_data(
    commands: Commands, yarn_session: str, tmp_path: Path
) -> None:
    done = commands.run("run", "-p", "4", "-py", _program(tmp_path, EXCHANGE))
    count, _, pairs = done.stdout.strip().splitlines()[-1].partition(" ")
    assert count == "20000"
    containers = {container for pair in eval(pairs) for container in pair}
    assert len(containers) == 2, pairs
    assert len(eval(pairs)) == 4, "every TaskManager sends to both"
    nodes = {node["id"]: int(node["numContainers"]) for node in commands.ask("nodes")["nodes"]["node"]}
    assert all(number >= 1 for number in nodes.values()), f"one TaskManager on each node: {nodes}"


def test_a_failed_job_shows_the_users_traceback(
    commands: Commands, yarn_session: str, tmp_path: Path
) -> None:
    done = commands.run("run", "-py", _program(tmp_path, FAILING), code=1)
    assert "ZeroDivisionError" in done.stderr
    assert "return 1 // (number - 2)" in done.stderr
    assert "invert" in done.stderr
    assert "yarnflow/cli" not in done.stderr


def test_interrupted_with_sae_the_job_is_cancelled(
    commands: Commands, yarn_session: str, tmp_path: Path
) -> None:
    with commands.start("run", "-sae", "-py", _program(tmp_path, ENDLESS)) as process:
        assert process.stdout is not None
        job_id = line_with(process.stdout, "JobID ").split("JobID ")[1].split()[0]
        eventually(
            lambda: f"{job_id} : endless (RUNNING)" in commands.run("list", "-r").stdout,
            SECONDS,
            "the job to run",
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 130
    eventually(lambda: f"{job_id} : endless (CANCELED)" in commands.run("list", "-a").stdout, SECONDS, "its end")


def test_the_jobmanager_shows_jobs_and_logs(commands: Commands, yarn_session: str) -> None:
    done = commands.run("session", "-d", "-id", yarn_session)
    url = url_of(done.stdout)
    with urllib.request.urlopen(f"{url}/jobmanager/log", timeout=20) as answer:
        assert b"JobManager Web Interface" in answer.read()
    with urllib.request.urlopen(f"{url}/jobmanager/config", timeout=20) as answer:
        config = {entry["key"]: entry["value"] for entry in json.load(answer)}
    assert config["yarn.application.id"] == yarn_session


def test_yarns_tracking_url_leads_to_the_jobmanager(commands: Commands, yarn_session: str) -> None:
    """By way of the ResourceManager's proxy and skein's pages, which show the JobManager's web server."""
    tracking = commands.application(yarn_session)["trackingUrl"].rstrip("/")
    with urllib.request.urlopen(f"{tracking}/", timeout=20) as answer:
        assert "./pages/jobmanager/" in answer.read().decode()
    with urllib.request.urlopen(f"{tracking}/pages/jobmanager/overview", timeout=20) as answer:
        assert json.load(answer)["taskmanagers"] >= 0


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("way", ["stop", "interrupt"])
def test_an_attached_session_ends_by_command_and_by_interrupt(
    commands: Commands, tmp_path: Path, way: str
) -> None:
    own = Commands(commands.cluster, tmp_path)
    with own.start("session", *SIZES, "-Dslotmanager.number-of-slots.min=1") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        line_with(process.stdout, "JobManager Web Interface")
        application_id = application_of(line_with(process.stderr, "Attached to"))
        if way == "stop":
            process.stdin.write("help\n")
            process.stdin.flush()
            for _ in range(2):  # once as a greeting, once as the answer
                line_with(process.stderr, "stop the YARN session")
            process.stdin.write("stop\n")
            process.stdin.flush()
        else:
            process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    report = own.application(application_id)
    assert (report["state"], report["finalStatus"]) == ("FINISHED", "SUCCEEDED")
    assert not list(tmp_path.glob(".yarn-properties-*"))
    assert not list((tmp_path / "home/.yarnflow/applications").iterdir())
    assert "has ended" in own.run("list", "-yid", application_id, code=1).stderr


def test_query_shows_what_the_cluster_offers(commands: Commands) -> None:
    answer = json.loads(commands.run("session", "-q", "--output", "json").stdout)
    assert len(answer["nodes"]) == 2
    assert {queue["name"] for queue in answer["queues"]} == {"default", "batch"}
