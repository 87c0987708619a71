"""Whether, and after which pause, a failed region restarts. Names, keys and defaults are Flink's.

A strategy is told of each failure and answers with the pause in seconds, or None: the job fails. Strategies
are plain objects with no clock; `now` is passed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from yarnflow.config.configuration import Configuration
from yarnflow.config.execution import RestartStrategyOptions, RestartStrategyType


class RestartStrategy(Protocol):
    """One job's strategy; it remembers the failures so far."""

    def failed(self, now: float) -> float | None:
        """A failure happened: seconds to wait before the restart, or None when there shall be none."""

    def describe(self) -> str:
        """For people."""


class NoRestart:
    """The first failure fails the job."""

    def failed(self, now: float) -> float | None:
        return None

    def describe(self) -> str:
        return "no restart"


class FixedDelay:
    """A fixed number of restarts, each after the same pause."""

    def __init__(self, attempts: int, delay: float) -> None:
        self._attempts = attempts
        self._delay = delay
        self._failures = 0

    def failed(self, now: float) -> float | None:
        self._failures += 1
        return self._delay if self._failures <= self._attempts else None

    def describe(self) -> str:
        return f"fixed delay: at most {self._attempts} restarts, each after {self._delay:g} s"


class FailureRate:
    """Restarts as long as failures are rare: at most `maximum` within any `interval` seconds."""

    def __init__(self, maximum: int, interval: float, delay: float) -> None:
        self._maximum = maximum
        self._interval = interval
        self._delay = delay
        self._failures: deque[float] = deque(maxlen=maximum + 1)

    def failed(self, now: float) -> float | None:
        self._failures.append(now)
        full = len(self._failures) > self._maximum
        return None if full and now - self._failures[0] <= self._interval else self._delay

    def describe(self) -> str:
        return (
            f"failure rate: at most {self._maximum} failures within {self._interval:g} s, "
            f"restarts after {self._delay:g} s"
        )


class ExponentialDelay:
    """Pauses that grow with each failure and shrink back after a quiet time.

    As in Flink, failures that come while a restart is still pending belong to that restart.

    Args:
        initial: first pause, seconds.
        maximum: longest pause, seconds.
        multiplier: each pause is so many times the one before.
        reset_after: seconds without a failure after which the pause is `initial` again.
        jitter: pauses vary by up to this part of their length.
        attempts: restarts before giving up, counted anew after a reset; None for no limit.
        random: returns a number in [0, 1).
    """

    def __init__(
        self,
        initial: float,
        maximum: float,
        multiplier: float,
        reset_after: float,
        jitter: float,
        attempts: int | None,
        random: Callable[[], float],
    ) -> None:
        self._initial = initial
        self._maximum = maximum
        self._multiplier = multiplier
        self._reset_after = reset_after
        self._jitter = jitter
        self._attempts = attempts
        self._random = random
        self._backoff = initial
        self._restarts = 0
        self._restart_at = float("-inf")

    def failed(self, now: float) -> float | None:
        if now < self._restart_at:
            return self._restart_at - now
        if now - self._restart_at >= self._reset_after:
            self._backoff = self._initial
            self._restarts = 0
        self._restarts += 1
        if self._attempts is not None and self._restarts > self._attempts:
            return None
        swing = self._backoff * self._jitter * (2 * self._random() - 1)
        delay = min(max(self._backoff + swing, self._initial), self._maximum)
        self._backoff = min(self._backoff * self._multiplier, self._maximum)
        self._restart_at = now + delay
        return delay

    def describe(self) -> str:
        limit = "" if self._attempts is None else f", at most {self._attempts} restarts"
        return f"exponential delay: {self._initial:g} s to {self._maximum:g} s, x{self._multiplier:g}{limit}"


def from_config(config: Configuration, checkpointing: bool, random: Callable[[], float]) -> RestartStrategy:
    """The strategy that the configuration names; without a name none, or exponential-delay when the job
    takes checkpoints (Flink's rule since 1.20).

    Raises ConfigurationError for values that are not accepted.
    """
    options = RestartStrategyOptions
    kind = config[options.TYPE]
    if kind is None:
        kind = RestartStrategyType.EXPONENTIAL_DELAY if checkpointing else RestartStrategyType.NONE
    if kind is RestartStrategyType.NONE:
        return NoRestart()
    if kind is RestartStrategyType.FIXED_DELAY:
        return FixedDelay(config[options.FIXED_DELAY_ATTEMPTS], config[options.FIXED_DELAY_DELAY].total_seconds())
    if kind is RestartStrategyType.FAILURE_RATE:
        return FailureRate(
            config[options.FAILURE_RATE_MAX_FAILURES],
            config[options.FAILURE_RATE_INTERVAL].total_seconds(),
            config[options.FAILURE_RATE_DELAY].total_seconds(),
        )
    return ExponentialDelay(
        config[options.EXPONENTIAL_INITIAL_BACKOFF].total_seconds(),
        config[options.EXPONENTIAL_MAX_BACKOFF].total_seconds(),
        config[options.EXPONENTIAL_MULTIPLIER],
        config[options.EXPONENTIAL_RESET_THRESHOLD].total_seconds(),
        config[options.EXPONENTIAL_JITTER],
        config[options.EXPONENTIAL_ATTEMPTS],
        random,
    )
