"""What is refused before anything is submitted."""

from __future__ import annotations

from typing import Any

import pytest

from yarnflow.config import Configuration
from yarnflow.errors import ConfigurationError, ResourceError
from yarnflow.session import submission_checks, yarn_config
from yarnflow.session.submission_checks import check, check_queue, check_sizes
from yarnflow.yarn.rm_rest import Queue, Size

QUEUES = [Queue("default", "root.default", "RUNNING"), Queue("old", "root.a.old", "STOPPED")]


@pytest.mark.parametrize("name", ["", "default", "root.default"])
def test_queues_that_take_applications(name: str) -> None:
    check_queue(name, QUEUES)


def test_queues_that_do_not() -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean 'default'\? YARN has default, old .*-qu"):
        check_queue("defualt", QUEUES)
    with pytest.raises(ConfigurationError, match="the queue 'old' is STOPPED"):
        check_queue("old", QUEUES)
    check_queue("anything", [])  # a scheduler without queues


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"jobmanager.memory.process.size": "100m"}, ConfigurationError, "too little for a JobManager: .*-jm"),
        ({"taskmanager.memory.process.size": "100m"}, ConfigurationError, "too little for a TaskManager: .*-tm"),
        ({"jobmanager.memory.process.size": "9g"}, ResourceError, "JobManager of 9216 MB can never run"),
        ({"taskmanager.memory.process.size": "9g"}, ResourceError, "largest container has 8192 MB. Lower .*-tm"),
        ({"taskmanager.memory.process.size": "5g"}, ResourceError, "the largest node has 4096 MB"),
        ({"taskmanager.numberOfTaskSlots": "9"}, ResourceError, "TaskManager of 9 virtual cores .*-s"),
        ({"yarn.appmaster.vcores": "9"}, ResourceError, "JobManager of 9 virtual cores.*yarn.appmaster.vcores"),
    ],
)
def test_sizes_that_cannot_be(options: dict[str, str], error: type[Exception], says: str) -> None:
    sizes = {"jobmanager.memory.process.size": "1g", "taskmanager.memory.process.size": "1g"}
    with pytest.raises(error, match=says):
        check_sizes(Configuration(sizes | options), Size(8192, 8), Size(4096, 4))


def test_sizes_are_not_judged_without_knowing_yarns() -> None:
    check_sizes(Configuration({"taskmanager.memory.process.size": "900g"}), None, None)


class FakeYarn:
    """A small cluster."""

    def queues(self) -> list[Queue]:
        return QUEUES

    def maximum_allocation(self) -> Size | None:
        return None

    def largest_node(self) -> Size | None:
        return Size(4096, 4)


def test_all_checks_together() -> None:
    said: list[str] = []
    yarn: Any = FakeYarn()
    check(Configuration({"yarn.application.type": "x"}), yarn, said.append)
    assert said == [
        "yarn.application.type has no effect on YARN through skein: YARN shows the type skein; a tag with this "
        "text is set instead"
    ]
    with pytest.raises(ConfigurationError, match="no queue 'x'"):
        check(Configuration({"yarn.application.queue": "x"}), yarn, said.append)
    with pytest.raises(ResourceError, match="the largest node"):
        check(Configuration({"taskmanager.memory.process.size": "8g"}), yarn, said.append)


def test_workers_for_slots() -> None:
    config = Configuration({"taskmanager.numberOfTaskSlots": "4"})
    assert [yarn_config.workers_for(slots, config) for slots in (0, 1, 4, 5)] == [0, 1, 1, 2]
    assert yarn_config.worker_vcores(config) == 4
    limited = config.merge({"slotmanager.number-of-slots.max": "4", "yarn.containers.vcores": "2"})
    assert yarn_config.workers_for(100, limited) == 1
    assert yarn_config.worker_vcores(limited) == 2
    assert submission_checks.minimum_slots(Configuration({"slotmanager.number-of-slots.min": "3"})) == 3


def test_what_only_holds_here_does_not_travel() -> None:
    config = Configuration(
        {
            "rest.address": "localhost",
            "rest.port": "8081",
            "jobmanager.rpc.address": "127.0.0.1",
            "taskmanager.host": "node7",
            "python.files": "/here/a.py",
            "env.hadoop.conf.dir": "/here/conf",
            "pipeline.name": "n",
        }
    )
    assert yarn_config.for_cluster(config).to_dict() == {"taskmanager.host": "node7", "pipeline.name": "n"}
    assert "rest.port" in config, "the client's own stays as it is"
