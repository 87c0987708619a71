"""Options that a program sets for itself, mostly through its environment and ExecutionConfig."""

from __future__ import annotations

from enum import Enum

from yarnflow.config.option import Option
from yarnflow.config.values import MAP


class BatchShuffleMode(Enum):
    """When the consumers of an exchange start in batch mode."""

    ALL_EXCHANGES_BLOCKING = "ALL_EXCHANGES_BLOCKING"
    ALL_EXCHANGES_PIPELINED = "ALL_EXCHANGES_PIPELINED"



class ProgramOptions:
    """What a program says about itself."""

    GLOBAL_JOB_PARAMETERS = Option(
        "pipeline.global-job-parameters",
        MAP,
        {},
        "Parameters that functions read with `RuntimeContext.get_job_parameter`, and that the dashboard shows.",
    )
    AUTO_GENERATE_UIDS = Option(
        "pipeline.auto-generate-uids",
        bool,
        True,
        "Whether operators may go without a uid. Set it to false and a program whose operators are not all "
        "named by uid is refused, so that its state can always be mapped.",
    )
    BATCH_SHUFFLE_MODE = Option(
        "execution.batch-shuffle-mode",
        BatchShuffleMode,
        BatchShuffleMode.ALL_EXCHANGES_BLOCKING,
        "Whether, in batch mode, the consumers of an exchange wait for their producers to end.",
    )
