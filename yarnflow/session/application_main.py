"""`python -m yarnflow.session.application_main`: the program's process in application mode.

Started by the ApplicationMaster in its container's folder. Runs main() with an executor that submits to the
JobManager beside it, and writes how it ended to a file.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path

from yarnflow.config import Configuration
from yarnflow.config.execution import ExecutionOptions
from yarnflow.errors import JobCancelledError, YarnflowError
from yarnflow.session import program
from yarnflow.session.executor import RestExecutor
from yarnflow.session.rest_client import RestClient
from yarnflow.yarn.deployment import Deployment
from yarnflow.yarn.processes import log_to_stderr


def main() -> int:
    """Run the program; returns the exit code."""
    parser = argparse.ArgumentParser()
    for name in ("configuration", "deployment", "jobmanager", "result"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    config = Configuration(json.loads(Path(arguments.configuration).read_text(encoding="utf-8")))
    log_to_stderr(config)
    # execute() returns when the job has ended: the application ends with main().
    config.set(ExecutionOptions.ATTACHED, True)
    deployment = Deployment.read(Path(arguments.deployment))
    status, message = "SUCCEEDED", ""
    try:
        program.run(
            program.Program(
                deployment.program_file, deployment.program_module, deployment.program_arguments
            ),
            config,
            RestExecutor(RestClient(arguments.jobmanager)),
        )
    except JobCancelledError as error:
        status, message = "KILLED", str(error)
    except YarnflowError as error:
        status, message = "FAILED", str(error)
    except BaseException as error:
        status, message = "FAILED", "".join(traceback.format_exception(error))
        if not isinstance(error, Exception):
            raise
    finally:
        if message:
            print(message, file=sys.stderr)
        Path(arguments.result).write_text(json.dumps({"status": status, "message": message}), encoding="utf-8")
    return 0 if status == "SUCCEEDED" else 1


if __name__ == "__main__":
    sys.exit(main())
