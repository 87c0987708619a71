"""What the commands share: Flink's way of writing options, -D, memory sizes, output as JSON.

Flink's command line has long options behind a single dash (`-yjm 1024m`, `-pyfs a,b`). click understands them
once they are declared so: `@click.option("-yjm", "--yarnjobManagerMemory", ...)`. `FlinkCommand` adds what click
has not: long names behind one dash (`-detached`), values glued to such options (`-yDkey=value`), errors that
name the nearest spelling, and arguments that belong to the program from the program file on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from yarnflow.config import Configuration, MemorySize
from yarnflow.config.values import MEMORY_MB

F = TypeVar("F", bound=Callable[..., Any])


class Invocation:
    """What is known about one run of the command line; `ctx.obj` of every command."""

    def __init__(self) -> None:
        self.verbose = False


class FlinkCommand(click.Command):
    """A command whose options can be written as Flink's command line takes them.

    Use it as `@click.command(cls=FlinkCommand)`. It has -h/--help and -v/--verbose.

    Args:
        takes_program: everything from the first argument on belongs to the program: that argument is the
            program file, unless one of `program_options` named the program already.
        program_options: options that name the program in place of an argument: ("-py", "-pym").
    """

    def __init__(
        self, *args: Any, takes_program: bool = False, program_options: Sequence[str] = (), **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])
        self.context_settings["allow_interspersed_args"] = not takes_program
        self.takes_program = takes_program
        self.program_options = frozenset(program_options)
        verbose_option(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite Flink's spellings for click, then let click parse."""
        try:
            return super().parse_args(ctx, self._canonical(ctx, args))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # some of click's own do not say which command they are about
            raise

    def _canonical(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = self._spellings(ctx)
        result: list[str] = []
        rest = list(args)
        program_named = False
        while rest:
            word = rest.pop(0)
            if word == "--":
                return [*result, word, *rest]
            if not word.startswith("-") or word == "-":
                if self.takes_program:
                    return [*result, "--", word, *rest]
                result.append(word)
                continue
            words = self._option_words(word, options)
            if words is None:
                if program_named:
                    # As in Flink: with -py or -pym, the first word that is no option of ours is the program's.
                    return [*result, "--", word, *rest]
                import difflib  # not at the top: only typos need it

                name = word.partition("=")[0]
                raise click.NoSuchOption(name, possibilities=difflib.get_close_matches(name, options), ctx=ctx)
            result += words
            program_named = program_named or words[0] in self.program_options
            option = options[words[0].partition("=")[0]]
            if len(words) == 1 and "=" not in words[0] and _takes_value(option) and rest:
                # An option whose value may be left out (`flag_value`) does not swallow the next option.
                if option._flag_needs_value and rest[0].startswith("-"):
                    continue
                result.append(rest.pop(0))
        return result

    def _spellings(self, ctx: click.Context) -> dict[str, click.Option]:
        return {
            spelling: param
            for param in self.get_params(ctx)
            if isinstance(param, click.Option)
            for spelling in (*param.opts, *param.secondary_opts)
        }

    def _option_words(self, word: str, options: Mapping[str, click.Option]) -> list[str] | None:
        """The words click should see for `word`, the option's spelling first; None if it is no option."""
        name, equals, value = word.partition("=")
        if name in options:
            return [name, value] if equals else [name]
        if not word.startswith("--") and "-" + name in options:  # -detached, -parallelism=4
            return ["-" + name, value] if equals else ["-" + name]
        # A value glued to its option: -p4, -Dkey=value, -yDkey=value. The longest option that fits is meant.
        glued = [
            spelling
            for spelling, option in options.items()
            if not spelling.startswith("--") and word.startswith(spelling) and _takes_value(option)
        ]
        best = max(glued, key=len, default=None)
        # Of ordinary options only one letter takes a glued value, and not a word: -pyfsx is a typo, not "-p yfsx".
        if best is None or not (best.endswith("D") or (len(best) == 2 and not word[2:].isalpha())):
            return None
        return [best, word[len(best) :]]


def _takes_value(option: click.Option) -> bool:
    return not option.is_flag and not option.count


def _set_verbose(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Invocation).verbose = True
        import logging  # not at the top: only --verbose needs it set up

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-5s %(name)s - %(message)s")
        logging.getLogger("yarnflow").setLevel(logging.INFO)


def verbose_option(command: F) -> F:
    """-v/--verbose: stack traces with errors, and the log on stderr. A bare `FlinkCommand` has it already."""
    option = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_set_verbose,
        help="Show stack traces and what is logged.",
    )
    return option(command)


# ------------------------------------------------------------------------------------------------ options


def dynamic_properties(*spellings: str) -> Callable[[F], F]:
    """Collects `-Dkey=value` into the argument `properties`: dict[str, str]. A later one wins; `-Dkey` means true.

    Args:
        spellings: "-D" when none is given; ("-D", "-yD") takes both.
    """

    def collect(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
        properties: dict[str, str] = {}
        for entry in values:
            key, equals, value = entry.partition("=")
            if not key.strip():
                raise click.BadParameter(f"{entry!r} is not of the form key=value", ctx, param)
            properties[key.strip()] = value if equals else "true"
        return properties

    return click.option(
        *(spellings or ("-D",)),
        "properties",
        multiple=True,
        metavar="KEY=VALUE",
        callback=collect,
        help="Set an option of the configuration; docs/configuration.md lists them. Can be repeated.",
    )


def memory(text: str | MemorySize) -> MemorySize:
    """For `type=memory`: 1024m, 1g; a bare number is megabytes, as in Flink's flags. Raises click.BadParameter."""
    if isinstance(text, MemorySize):
        return text
    try:
        size = MEMORY_MB.parse(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not {MEMORY_MB.accepts}") from None
    if not size.mebibytes:
        raise click.BadParameter(f"{text!r} is less than a megabyte")
    return size


config_dir_option = click.option(
    "--configDir",
    "config_dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory of the configuration file.",
)


def load_configuration(config_dir: Path | None, properties: Mapping[str, str]) -> Configuration:
    """The configuration of this command: file < environment < -D. File systems get it too.

    Raises ConfigurationError.
    """
    from yarnflow import fs  # not at the top: `--help` needs no configuration
    from yarnflow.config.loader import load

    config = load(config_dir, properties)
    fs.initialize(config.to_dict())
    return config


# ------------------------------------------------------------------------------------------------ output

#: `--output text|json` of every command that answers a question; the argument is `output`.
output_option = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print the answer.",
)


def print_answer(answer: Any, output: str, text: Callable[[], str]) -> None:
    """Print `answer` as JSON, or what `text()` says, on stdout.

    Args:
        answer: what json can write; keys keep their order.
        output: "text" or "json", from `output_option`.
        text: makes the text for people; called for "text" only.
    """
    click.echo(json.dumps(answer, indent=2) if output == "json" else text())
