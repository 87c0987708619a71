"""Options of how a job runs: where to, in which mode, and what happens after a failure."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from yarnflow.config.option import Option
from yarnflow.config.values import enum_type


class RuntimeMode(Enum):
    """Whether a job runs as a stream, as a batch, or as its sources say."""

    STREAMING = "STREAMING"
    BATCH = "BATCH"
    AUTOMATIC = "AUTOMATIC"


class RestartStrategyType(Enum):
    """What happens when a job fails."""

    NONE = "none"
    FIXED_DELAY = "fixed-delay"
    FAILURE_RATE = "failure-rate"
    EXPONENTIAL_DELAY = "exponential-delay"


class ExecutionOptions:
    """Where a program runs and how."""

    TARGET = Option(
        "execution.target",
        str,
        None,
        "Where the program runs. Without it the cluster of `-m`, else the YARN session of this user, else "
        "here. "
        "Flag: `-t`.",
        choices=(
            "local",
            "remote",
            "yarn-session",
            "yarn-per-job",
            "yarn-application",
        ),
    )
    ATTACHED = Option(
        "execution.attached",
        bool,
        False,
        "Whether the client waits for the job to end. `run` sets it, unless `-d` is given.",
    )
    SHUTDOWN_ON_ATTACHED_EXIT = Option(
        "execution.shutdown-on-attached-exit",
        bool,
        False,
        "End the cluster (per-job) or the job when an attached client goes away. Flag: `-sae`.",
    )
    RUNTIME_MODE = Option(
        "execution.runtime-mode",
        RuntimeMode,
        RuntimeMode.STREAMING,
        "Run as a stream, as a batch (bounded input, final results only), or decide by the sources.",
    )
    BUFFER_TIMEOUT_ENABLED = Option(
        "execution.buffer-timeout.enabled",
        bool,
        True,
        "Whether batches that are not full leave after `execution.buffer-timeout.interval`.",
    )
    BUFFER_TIMEOUT = Option(
        "execution.buffer-timeout.interval",
        timedelta,
        timedelta(milliseconds=100),
        "How long a record waits at most for its batch to fill before it is sent to the next worker. "
        "0 sends every record at once.",
        fallback=("execution.buffer-timeout",),
    )


class RestartStrategyOptions:
    """Whether, when and how often a failed job restarts. A program may set its own."""

    TYPE = Option(
        "restart-strategy.type",
        enum_type(
            RestartStrategyType,
            {
                "off": RestartStrategyType.NONE,
                "disable": RestartStrategyType.NONE,
                "fixeddelay": RestartStrategyType.FIXED_DELAY,
                "failurerate": RestartStrategyType.FAILURE_RATE,
                "exponentialdelay": RestartStrategyType.EXPONENTIAL_DELAY,
            },
        ),
        None,
        "The strategy. Without it none, or exponential-delay once checkpointing is on.",
        fallback=("restart-strategy",),
    )
    FIXED_DELAY_ATTEMPTS = Option(
        "restart-strategy.fixed-delay.attempts", int, 1, "Restarts before the job fails.", minimum=0
    )
    FIXED_DELAY_DELAY = Option(
        "restart-strategy.fixed-delay.delay", timedelta, timedelta(seconds=1), "Pause before each of them."
    )
    FAILURE_RATE_MAX_FAILURES = Option(
        "restart-strategy.failure-rate.max-failures-per-interval",
        int,
        1,
        "Failures allowed within the interval; one more and the job fails.",
        minimum=1,
    )
    FAILURE_RATE_INTERVAL = Option(
        "restart-strategy.failure-rate.failure-rate-interval",
        timedelta,
        timedelta(minutes=1),
        "That interval.",
    )
    FAILURE_RATE_DELAY = Option(
        "restart-strategy.failure-rate.delay", timedelta, timedelta(seconds=1), "Pause before each restart."
    )
    EXPONENTIAL_INITIAL_BACKOFF = Option(
        "restart-strategy.exponential-delay.initial-backoff",
        timedelta,
        timedelta(seconds=1),
        "Pause before the first restart.",
        minimum=timedelta(milliseconds=1),
    )
    EXPONENTIAL_MAX_BACKOFF = Option(
        "restart-strategy.exponential-delay.max-backoff",
        timedelta,
        timedelta(minutes=1),
        "Longest pause.",
        minimum=timedelta(milliseconds=1),
    )
    EXPONENTIAL_MULTIPLIER = Option(
        "restart-strategy.exponential-delay.backoff-multiplier",
        float,
        1.5,
        "Each pause is so many times the one before.",
        minimum=1.0,
    )
    EXPONENTIAL_RESET_THRESHOLD = Option(
        "restart-strategy.exponential-delay.reset-backoff-threshold",
        timedelta,
        timedelta(hours=1),
        "After so long without a failure the pause is the initial one again.",
        minimum=timedelta(milliseconds=1),
    )
    EXPONENTIAL_JITTER = Option(
        "restart-strategy.exponential-delay.jitter-factor",
        float,
        0.1,
        "Pauses vary at random by up to this part of their length.",
        minimum=0.0,
    )
    EXPONENTIAL_ATTEMPTS = Option(
        "restart-strategy.exponential-delay.attempts-before-reset-backoff",
        int,
        None,
        "Restarts before the job fails, counted anew after a reset. Without it there is no limit.",
        minimum=0,
    )
