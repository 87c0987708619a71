"""A JobManager or TaskManager as a process of its own, for tests.

    python -m tests.cluster.processes jobmanager <folder>
    python -m tests.cluster.processes taskmanager <folder> <id> <slots>

The folder holds `secret` (mode 600), `config.json`, and, once the JobManager listens, `address.json`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.cluster.waiting import eventually
from yarnflow.config.configuration import Configuration
from yarnflow.errors import ClusterUnreachableError
from yarnflow.runtime.jobmanager.api import DispatcherGateway
from yarnflow.runtime.jobmanager.driver import FinalStatus
from yarnflow.runtime.jobmanager.main import JobManagerAddress, run_job_manager
from yarnflow.runtime.rpc.secret import read_secret, write_secret
from yarnflow.runtime.taskmanager.main import run_task_manager
from yarnflow.session.rest_client import RestClient


class ProcessCluster:
    """Starts the processes; ends every one of them."""

    def __init__(self, folder: Path, config: dict[str, str] | None = None) -> None:
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        write_secret(folder / "secret", b"the cluster's secret")
        (folder / "config.json").write_text(json.dumps(config or {}))

    def start_jobmanager(self) -> None:
        (self.folder / "address.json").unlink(missing_ok=True)
        self._start("jobmanager")
        eventually((self.folder / "address.json").exists)

    def start_taskmanager(self, name: str, slots: int = 1, secret: str = "secret") -> None:
        self._start(name, "taskmanager", name, str(slots), secret)

    def client(self) -> RestClient:
        address = json.loads((self.folder / "address.json").read_text())
        return RestClient(f"http://127.0.0.1:{address['web']}")

    def process(self, name: str) -> subprocess.Popen[bytes]:
        return self._processes[name]

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def kill(self, name: str) -> None:
        self._processes[name].kill()
        self._processes[name].wait()

    def close(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, name: str, role: str = "jobmanager", *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.processes", role, str(self.folder), *arguments],
                stdout=log,
                stderr=log,
            )


async def _job_manager(folder: Path) -> None:
    from yarnflow.web.server import start_web

    async def ready(address: JobManagerAddress, dispatcher: DispatcherGateway) -> None:
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM,
            lambda: asyncio.ensure_future(dispatcher.shutdown(FinalStatus.SUCCEEDED, "SIGTERM")),
        )
        text = json.dumps({"rpc": address.rpc, "web": address.web_port})
        (folder / "address.tmp").write_text(text)
        os.replace(folder / "address.tmp", folder / "address.json")

    await run_job_manager(
        Configuration(json.loads((folder / "config.json").read_text())),
        None,
        read_secret(folder / "secret"),
        port=0,
        host="127.0.0.1",
        web=lambda dispatcher: start_web(dispatcher, "127.0.0.1", "0"),
        ready=ready,
    )


async def _task_manager(folder: Path, name: str, slots: str, secret: str) -> None:
    async def find_leader() -> str:
        try:
            return str(json.loads((folder / "address.json").read_text())["rpc"])
        except OSError as error:
            raise ClusterUnreachableError("no JobManager has written its address") from error

    await run_task_manager(
        Configuration(json.loads((folder / "config.json").read_text())),
        find_leader,
        read_secret(folder / secret),
        taskmanager_id=name,
        host="127.0.0.1",
        slots=int(slots),
        log_directory=folder / f"{name}-logs",
    )


if __name__ == "__main__":
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    role, place, *rest = sys.argv[1:]
    main = _job_manager if role == "jobmanager" else _task_manager
    asyncio.run(main(Path(place), *rest))  # type: ignore[operator]
