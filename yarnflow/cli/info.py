"""`yarnflow info`: the plan of a program, without running it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from yarnflow.cli._common import (
    FlinkCommand,
    config_dir_option,
    dynamic_properties,
    load_configuration,
    output_option,
    print_answer,
)
from yarnflow.cli._program import PROGRAM_OPTIONS, program_of, program_options
from yarnflow.config import Configuration
from yarnflow.config.execution import ExecutionOptions
from yarnflow.graph.executor import SubmittedJob
from yarnflow.graph.job_graph import JobGraph


class _PlanKnown(BaseException):
    """Leaves main() at its first execute(). No Exception, so that programs do not catch it."""

    def __init__(self, plan: dict[str, Any]) -> None:
        super().__init__()
        self.plan = plan


class _PlanExecutor:
    def submit(self, job: JobGraph, config: Configuration) -> SubmittedJob:
        raise _PlanKnown(job.plan)


@click.command(cls=FlinkCommand, takes_program=True, program_options=PROGRAM_OPTIONS)
@program_options
@dynamic_properties()
@config_dir_option
@output_option
def command(
    file: str | None,
    module: str | None,
    words: tuple[str, ...],
    python: dict[str, str],
    properties: dict[str, str],
    config_dir: Path | None,
    output: str,
) -> None:
    """Show the plan of a program's first job as JSON."""
    from yarnflow.session import program as runner  # not at the top: --help needs none of it

    config = load_configuration(config_dir, {**properties, **python})
    program = program_of(file, module, words)
    try:
        runner.run(program, config.set(ExecutionOptions.ATTACHED, True), _PlanExecutor())
    except _PlanKnown as known:
        plan = known.plan
        print_answer(
            plan,
            output,
            lambda: f"{' Execution Plan ':-^60}\n{json.dumps(plan, indent=2)}\n{'-' * 60}",
        )
