"""`python -m yarnflow ...`: the command line. `python -m yarnflow job.py ...` means `run -py job.py ...`."""

from __future__ import annotations

import sys

from yarnflow.cli.main import run

arguments = sys.argv[1:]
if arguments and arguments[0].endswith(".py"):
    arguments = ["run", "-py", *arguments]
sys.exit(run(arguments))
