"""Runs our commands as a user would, against a devcluster, and asks YARN what became of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from yarnflow.devcluster.cluster import DevCluster

ROOT = Path(__file__).resolve().parents[2]
WORD_COUNT = str(ROOT / "examples" / "word_count.py")
#: Small containers, one TaskManager to a node: the devcluster's nodes offer 8 GB each.
SIZES = ("-jm", "768m", "-tm", "4500m", "-s", "2")
RUN_SIZES = tuple(f"-y{word[1:]}" if word.startswith("-") else word for word in SIZES)
APPLICATION = re.compile(r"application_\d+_\d+")
SECONDS = 120.0


class Commands:
    """The command line with a home folder and environment of its own.

    Args:
        cluster: to run against.
        folder: for the home folder and the properties file.
    """

    def __init__(self, cluster: DevCluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        home = folder / "home"
        home.mkdir(exist_ok=True)
        settings = {
            "yarn.properties-file.location": str(folder),
            # Packing the environment that runs the tests takes a minute; bin/demo does it.
            "yarn.python-environment": f"python://{sys.executable}",
            "client.timeout": "60 s",
        }
        self.env = {
            **os.environ,
            **cluster.env(),
            "HOME": str(home),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PYTHONPATH": str(ROOT),
            "YARNFLOW_PROPERTIES": "\n".join(f"{key}: {value}" for key, value in settings.items()),
        }
        self.env.pop("YARNFLOW_CONF_DIR", None)

    def command(self, *arguments: str) -> list[str]:
        """The command line of `yarnflow`, or of yarn-session.sh for `session`."""
        return [sys.executable, "-m", "yarnflow.cli.main", *arguments]

    def run(
        self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None, code: int | None = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; `code` is the exit code that must come out, None for any."""
        done = subprocess.run(
            self.command(*arguments),
            env={**self.env, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=self.folder,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        )
        return done

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run beside the test, with pipes; ended when the test has not ended it."""
        process = subprocess.Popen(
            self.command(*arguments),
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        with process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
                    process.wait(SECONDS)

    # -- what YARN says ----------------------------------------------------------------------------------

    def ask(self, path: str) -> Any:
        """GET from the ResourceManager's REST API."""
        with urllib.request.urlopen(f"{self.cluster.rm_web_address}/ws/v1/cluster/{path}", timeout=20) as answer:
            return json.load(answer)

    def application(self, application_id: str) -> dict[str, Any]:
        """YARN's report."""
        report: dict[str, Any] = self.ask(f"apps/{application_id}")["app"]
        return report

    def running(self) -> set[str]:
        """Ids of all applications that have not ended."""
        answer = self.ask("apps?states=NEW,NEW_SAVING,SUBMITTED,ACCEPTED,RUNNING")
        return {app["id"] for app in (answer.get("apps") or {}).get("app", ())}

    def submitted(self) -> set[str]:
        """Ids of all applications there ever were."""
        return {app["id"] for app in (self.ask("apps").get("apps") or {}).get("app", ())}

    def until_ended(self, application_id: str) -> dict[str, Any]:
        """Wait for the end of an application and return YARN's last report."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            report = self.application(application_id)
            if report["state"] in ("FINISHED", "FAILED", "KILLED"):
                return report
            time.sleep(0.2)
        raise AssertionError(f"{application_id} does not end: {report}")


def application_of(output: str) -> str:
    """The application id in a command's output."""
    found = APPLICATION.search(output)
    assert found, f"no application id in:\n{output}"
    return found[0]


def url_of(output: str) -> str:
    """The JobManager's URL in a command's output."""
    found = re.search(r"JobManager Web Interface: (\S+)", output)
    assert found, f"no address in:\n{output}"
    return found[1]


def line_with(stream: IO[str], text: str) -> str:
    """Read lines until one has `text`."""
    seen = []
    for line in stream:
        if text in line:
            return line
        seen.append(line)
    raise AssertionError(f"{text!r} did not come:\n{''.join(seen)}")
