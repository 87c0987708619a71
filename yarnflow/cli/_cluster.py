"""Options that several commands share: which cluster, and what an application on YARN looks like.

Every option has the spellings of Flink's command line. Those of YARN exist twice there: in yarn-session.sh as they
are (`-jm`), in `flink run` with a `y` in front (`-yjm`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from yarnflow.cli._common import config_dir_option, dynamic_properties, load_configuration, memory
from yarnflow.config import Configuration
from yarnflow.config.execution import ExecutionOptions
from yarnflow.config.jobmanager import JobManagerOptions
from yarnflow.config.option import Option
from yarnflow.config.taskmanager import TaskManagerOptions
from yarnflow.config.values import LIST
from yarnflow.config.yarn import YarnOptions

if TYPE_CHECKING:
    from yarnflow.session.rest_client import RestClient

F = TypeVar("F", bound=Callable[..., Any])

#: Argument of the command -> the option it sets.
_YARN_KEYS: Mapping[str, Option[Any]] = {
    "jobmanager_memory": JobManagerOptions.PROCESS_MEMORY,
    "taskmanager_memory": TaskManagerOptions.PROCESS_MEMORY,
    "slots": TaskManagerOptions.NUM_TASK_SLOTS,
    "name": YarnOptions.APPLICATION_NAME,
    "queue": YarnOptions.APPLICATION_QUEUE,
    "application_type": YarnOptions.APPLICATION_TYPE,
    "node_label": YarnOptions.APPLICATION_NODE_LABEL,
    "application_id": YarnOptions.APPLICATION_ID,
}


def yarn_options(prefix: str = "") -> Callable[[F], F]:
    """Options that describe an application on YARN; they arrive as one dict `yarn`: option key -> text.

    Args:
        prefix: "y" for the spellings of `run`.
    """
    long = "--yarn" if prefix else "--"
    session = not prefix

    def name(words: str) -> str:
        # --yarnslots beside --slots, --yarnjobManagerMemory beside --jobManagerMemory.
        return f"{long}{words}"

    declared: list[Callable[[Any], Any]] = [
        click.option(
            f"-{prefix}jm",
            name("jobManagerMemory"),
            "jobmanager_memory",
            type=memory,
            metavar="SIZE",
            help="Memory of the JobManager's container: 1024m, or megabytes as a bare number.",
        ),
        click.option(
            f"-{prefix}tm",
            name("taskManagerMemory"),
            "taskmanager_memory",
            type=memory,
            metavar="SIZE",
            help="Memory of each TaskManager's container.",
        ),
        click.option(
            f"-{prefix}s",
            name("slots"),
            "slots",
            type=click.IntRange(min=1),
            metavar="N",
            help="Slots of each TaskManager.",
        ),
        click.option(
            f"-{prefix}nm", name("name"), "name", metavar="NAME", help="Name of the application, as YARN shows it."
        ),
        click.option(f"-{prefix}qu", name("queue"), "queue", metavar="QUEUE", help="YARN queue."),
        click.option(
            f"-{prefix}t",
            name("ship"),
            "ship",
            multiple=True,
            metavar="PATH",
            help="File or directory that every container gets. Can be repeated.",
        ),
        click.option(
            f"-{prefix}at",
            name("applicationType"),
            "application_type",
            metavar="TYPE",
            help="Type of the application; skein cannot set it, so it becomes a tag.",
        ),
        click.option(
            f"-{prefix}nl", name("nodeLabel"), "node_label", metavar="LABEL", help="Label of the nodes to run on."
        ),
        click.option(
            f"-{prefix}id",
            name("applicationId"),
            "application_id",
            metavar="ID",
            help="Attach to this running application." if session else "Use this running application.",
        ),
    ]

    def decorate(function: F) -> F:
        def command(*args: Any, **kwargs: Any) -> Any:
            kwargs["yarn"] = _texts(kwargs)
            return function(*args, **kwargs)

        command.__name__, command.__doc__ = function.__name__, function.__doc__
        command.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        for option in reversed(declared):
            command = option(command)
        return command  # type: ignore[return-value]

    return decorate


def _texts(arguments: dict[str, Any]) -> dict[str, str]:
    """Take the options' values out of the command's arguments."""
    texts = {}
    for argument, option in _YARN_KEYS.items():
        value = arguments.pop(argument)
        if value is not None:
            texts[option.key] = str(value)
    ship = arguments.pop("ship")
    if ship:
        texts[YarnOptions.SHIP_FILES.key] = LIST.format(list(ship))
    return texts


def target_options(function: F) -> F:
    """-t, -m: which cluster. They arrive as `target` and `jobmanager`."""
    for option in reversed(
        [
            click.option(
                "-t",
                "--target",
                "target",
                metavar="TARGET",
                help="Where: local, remote, yarn-session, yarn-per-job or yarn-application.",
            ),
            click.option(
                "-m",
                "--jobmanager",
                "jobmanager",
                default="",
                metavar="HOST:PORT",
                help="JobManager of a standalone cluster; yarn-cluster for an application of its own on YARN.",
            ),
        ]
    ):
        function = option(function)
    return function


@dataclass(frozen=True)
class ClusterOptions:
    """What the options say about the running cluster that a command asks."""

    target: str | None
    jobmanager: str
    application_id: str | None
    properties: dict[str, str]
    config_dir: Path | None

    def configuration(self) -> Configuration:
        """The configuration of this command; file systems get it too. Raises ConfigurationError."""
        return cluster_configuration(self.config_dir, self.properties, self.target, self.application_id)

    def client(self) -> RestClient:
        """A client of the cluster's JobManager. Raises as session.targets.attach."""
        from yarnflow.session import targets  # not at the top: --help needs none of it

        return targets.attach(self.configuration(), self.jobmanager).client


def cluster_options(function: F) -> F:
    """Options of commands that ask a running cluster: -t, -m, -yid, -D, --configDir. They arrive as `cluster`."""

    def command(*args: Any, **kwargs: Any) -> Any:
        given = {field.name: kwargs.pop(field.name) for field in fields(ClusterOptions)}
        return function(*args, cluster=ClusterOptions(**given), **kwargs)

    command.__name__, command.__doc__ = function.__name__, function.__doc__
    command.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    command = config_dir_option(command)
    command = dynamic_properties("-D", "-yD")(command)
    command = click.option(
        "-yid", "--yarnapplicationId", "application_id", metavar="ID", help="The application on YARN."
    )(command)
    return target_options(command)  # type: ignore[return-value]


def cluster_configuration(
    config_dir: Path | None, properties: dict[str, str], target: str | None, application_id: str | None
) -> Configuration:
    """The configuration of a command that asks a running cluster: file, -D, then -t and -yid."""
    config = load_configuration(config_dir, properties)
    if target:
        config.set(ExecutionOptions.TARGET, target)
    if application_id:
        config.set(YarnOptions.APPLICATION_ID, application_id)
    return config


def tell(message: str) -> None:
    """Say what goes on, apart from what the program prints."""
    click.echo(message, err=True)


def detached_hint(application_id: str) -> str:
    """How to end an application that was started detached."""
    return (
        f"The application {application_id} was started in detached mode. To stop it gracefully:\n"
        f'$ echo "stop" | yarn-session.sh -id {application_id}\n'
        f"If that is not possible:\n$ yarn application -kill {application_id}"
    )
