"""The peers: where their virtual environments are, how they are made, and how an engine script is run.

Each peer has an environment of its own below benchmarks/.cache (apache-flink pins old versions of pyarrow,
numpy and protobuf). Without `--install-peers` only those that are there take part.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("YARNFLOW_BENCHMARK_CACHE", HERE / ".cache"))
ENGINES = HERE / "engines"
#: What pip installs for a peer.
PACKAGES = {"flink": "apache-flink==2.3.0", "bytewax": "bytewax==0.21.1"}


@dataclass(frozen=True)
class Engine:
    """One engine: a name in the table and the command that runs a workload in it."""

    name: str
    command: tuple[str, ...]
    env: dict[str, str]
    positional: bool = False

    def arguments(self, workload: str, slots: int, sizes: str, repeat: int, data: Path) -> list[str]:
        """The whole command line of one call."""
        if self.positional:
            return [*self.command, workload, str(slots), sizes, str(repeat), str(data)]
        return [
            *self.command,
            *("--workload", workload, "--slots", str(slots), "--sizes", sizes),
            *("--repeat", str(repeat), "--data", str(data)),
        ]


def environment(peer: str) -> Path:
    """The virtual environment of a peer."""
    return CACHE / "venv" / peer


def install(peer: str) -> None:
    """Make a peer's virtual environment."""
    venv.create(environment(peer), with_pip=True)
    python = environment(peer) / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", PACKAGES[peer]], check=True)


def flink_home() -> Path | None:
    """Flink's own distribution, which comes inside the package apache-flink-libraries."""
    found = sorted(environment("flink").glob("lib/python3*/site-packages/pyflink/bin/config.sh"))
    return found[0].parents[1] if found else None


def flink_java() -> Engine | None:
    """Compile and describe the Java jobs; None without Flink or a JDK."""
    home = flink_home()
    javac = shutil.which("javac")
    if home is None or javac is None:
        return None
    classes = CACHE / "flink-classes"
    class_path = f"{home}/lib/*"
    classes.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [javac, "-nowarn", "-cp", class_path, "-d", classes, ENGINES / "flink" / "FlinkJob.java"],
        check=True,
        capture_output=True,
    )
    opens = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in ("java.util", "java.lang", "java.time")]
    return Engine(
        "Flink (Java)",
        ("java", "-Xmx2g", *opens, "-cp", f"{classes}:{class_path}", "FlinkJob"),
        dict(os.environ),
        positional=True,
    )


def _script(name: str, script: str, python: Path) -> Engine:
    env = dict(os.environ)
    # As if the environment were activated: PyFlink's thread mode looks for it.
    env["VIRTUAL_ENV"] = str(python.parents[1])
    env["PATH"] = f"{python.parent}{os.pathsep}{env['PATH']}"
    return Engine(name, (str(python), str(ENGINES / script)), env)


def engines() -> dict[str, Engine]:
    """All engines that can run here, by short name."""
    this = Path(sys.executable)
    found = {
        "yarnflow": _script("yarnflow", "yarnflow_jobs.py", this),
        "python": _script("plain Python loop", "plain_python.py", this),
    }
    found["yarnflow"].env["PYTHONPATH"] = str(HERE.parent)
    if (environment("bytewax") / "bin" / "python").exists():
        found["bytewax"] = _script("bytewax", "bytewax_flow.py", environment("bytewax") / "bin" / "python")
    if flink_home() is not None:
        found["pyflink"] = _script(
            "PyFlink, thread mode", "pyflink_job.py", environment("flink") / "bin" / "python"
        )
    java = flink_java()
    if java is not None:
        found["flink"] = java
    return found
