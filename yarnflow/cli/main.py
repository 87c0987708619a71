"""The command `yarnflow`: a table of subcommands, each imported when it is used.

`main()` is the one place that turns an error into a line on stderr and an exit code. Exit codes are Flink's: 0 for
success and help, 1 for everything that went wrong, also for arguments that cannot be understood.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Sequence

import click

from yarnflow.cli._common import Invocation, verbose_option
from yarnflow.errors import YarnflowError

#: Name -> where its click command is ("module:attribute"), and the line `yarnflow --help` shows for it. The line
#: stands here so that help imports no subcommand.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("yarnflow.cli.run:command", "Run a program: here, in a session, or on YARN (per-job)."),
    "run-application": ("yarnflow.cli.run_application:command", "Run a program's main() on the cluster."),
    "info": ("yarnflow.cli.info:command", "Show the plan of a program as JSON."),
    "list": ("yarnflow.cli.list:command", "List the jobs of a cluster."),
    "cancel": ("yarnflow.cli.cancel:command", "Cancel a job."),
    "stop": ("yarnflow.cli.stop:command", "Stop a job with a savepoint."),
    "savepoint": ("yarnflow.cli.savepoint:command", "Take, delete or inspect savepoints."),
    "checkpoint": ("yarnflow.cli.checkpoint:command", "Take a checkpoint of a job now."),
    "session": (
        "yarnflow.cli.session:command",
        "Start a session on YARN, or attach to one (yarn-session.sh).",
    ),
    "jobmanager": ("yarnflow.cli.jobmanager:command", "Run, start or stop a standalone JobManager."),
    "taskmanager": ("yarnflow.cli.taskmanager:command", "Run, start or stop a standalone TaskManager."),
    "standalone": (
        "yarnflow.cli.standalone:command",
        "Start or stop a standalone cluster (start-cluster.sh).",
    ),
    "devcluster": ("yarnflow.cli.devcluster:command", "A real single-node YARN and HDFS on this machine."),
    "demo": ("yarnflow.cli.demo:demo", "Show what yarnflow does, with real data."),
}


class CommandTable(click.Group):
    """A group whose subcommands are imported by name from `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import the command; None for a name that is not in the table."""
        if name not in COMMANDS:
            return None
        module_name, _, attribute = COMMANDS[name][0].partition(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name != module_name:
                raise
            raise click.ClickException(
                f"'{name}' is not part of this installation: there is no module {module_name}"
            ) from error
        command: click.Command = getattr(module, attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest names when there is no such command."""
        name = args[0]
        if name not in COMMANDS:
            import difflib  # not at the top: only typos need it

            close = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(COMMANDS)}."
            ctx.fail(f"'{name}' is not a command; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table's own lines, so that nothing is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help) for name, (_, help) in COMMANDS.items()])


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from yarnflow import __version__

        click.echo(f"yarnflow {__version__}")
        ctx.exit()


@click.group(
    cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show it."
)
@verbose_option
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Python dataflows on Hadoop clusters. Commands and options are those of Flink's `flink`."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        raise click.UsageError("name a command")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; errors become one line on stderr.

    Args:
        arguments: without the program's name; None takes `sys.argv`.
    """
    invocation = Invocation()
    try:
        result = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="yarnflow",
            standalone_mode=False,
            obj=invocation,
        )
        return result if isinstance(result, int) and not isinstance(result, bool) else 0
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "yarnflow"
        click.echo(f"{path}: {error.format_message()}\nTry '{path} --help'.", err=True)
        return 1
    except click.ClickException as error:
        click.echo(f"yarnflow: {error.format_message()}", err=True)
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("yarnflow: interrupted", err=True)
        return 130  # what a shell reports for a process that SIGINT ended
    except BrokenPipeError:
        # The reader of our output went away (`yarnflow list | head -1`); Python must not complain as it exits.
        sys.stdout = None
        return 1
    except YarnflowError as error:
        _show(error, str(error), invocation)
        return error.exit_code
    except Exception as error:
        # A defect of ours: say so in a line, as every other error, and how to learn more.
        _show(error, f"internal error: {type(error).__name__}: {error}", invocation)
        return 1


def _show(error: Exception, message: str, invocation: Invocation) -> None:
    if invocation.verbose:
        click.echo(
            "".join(traceback.format_exception(type(error), error, error.__traceback__)), err=True, nl=False
        )
    elif not isinstance(error, YarnflowError):
        message += " (--verbose shows where)"
    click.echo(f"yarnflow: {message}", err=True)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
