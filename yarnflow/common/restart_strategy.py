"""What a job does after a failure. A strategy is a handful of options (config/execution.py) under short names."""

from __future__ import annotations

from datetime import timedelta

from yarnflow.config.configuration import Configuration
from yarnflow.config.execution import RestartStrategyOptions as Options
from yarnflow.config.execution import RestartStrategyType

__all__ = ["RestartStrategies", "RestartStrategyConfiguration"]


class RestartStrategyConfiguration:
    """A restart strategy, made by `RestartStrategies`.

    Attributes:
        config: the options that it sets; none for "as the cluster does".
    """

    def __init__(self, config: Configuration, description: str) -> None:
        self.config = config
        self._description = description

    def get_description(self) -> str:
        """The strategy in words."""
        return self._description

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RestartStrategyConfiguration) and self.config == other.config

    def __hash__(self) -> int:
        return hash(self.config)

    def __repr__(self) -> str:
        return f"RestartStrategyConfiguration({self._description!r})"


class RestartStrategies:
    """Makes restart strategies. Intervals are in milliseconds or timedeltas."""

    @staticmethod
    def no_restart() -> RestartStrategyConfiguration:
        """Fail at the first failure."""
        return RestartStrategyConfiguration(
            Configuration().set(Options.TYPE, RestartStrategyType.NONE), "Restart deactivated."
        )

    @staticmethod
    def fall_back_restart() -> RestartStrategyConfiguration:
        """Do what the cluster is configured to do."""
        return RestartStrategyConfiguration(Configuration(), "Cluster level default restart strategy")

    @staticmethod
    def fixed_delay_restart(
        restart_attempts: int, delay_between_attempts: int | timedelta
    ) -> RestartStrategyConfiguration:
        """Restart so many times, with that pause before each."""
        delay = _interval(delay_between_attempts)
        config = Configuration().set(Options.TYPE, RestartStrategyType.FIXED_DELAY)
        config.set(Options.FIXED_DELAY_ATTEMPTS, restart_attempts).set(Options.FIXED_DELAY_DELAY, delay)
        return RestartStrategyConfiguration(
            config, f"Restart with fixed delay ({delay}). #{restart_attempts} restart attempts."
        )

    @staticmethod
    def failure_rate_restart(
        failure_rate: int, failure_interval: int | timedelta, delay_interval: int | timedelta
    ) -> RestartStrategyConfiguration:
        """Restart as long as there are at most `failure_rate` failures within `failure_interval`."""
        interval, delay = _interval(failure_interval), _interval(delay_interval)
        config = Configuration().set(Options.TYPE, RestartStrategyType.FAILURE_RATE)
        config.set(Options.FAILURE_RATE_MAX_FAILURES, failure_rate)
        config.set(Options.FAILURE_RATE_INTERVAL, interval).set(Options.FAILURE_RATE_DELAY, delay)
        return RestartStrategyConfiguration(
            config,
            f"Failure rate restart with maximum of {failure_rate} failures within interval {interval} "
            f"and fixed delay {delay}.",
        )

    @staticmethod
    def exponential_delay_restart(
        initial_backoff: int | timedelta,
        max_backoff: int | timedelta,
        backoff_multiplier: float,
        reset_backoff_threshold: int | timedelta,
        jitter_factor: float,
    ) -> RestartStrategyConfiguration:
        """Restart with pauses that grow by `backoff_multiplier` from `initial_backoff` to `max_backoff`, each
        varied by `jitter_factor` of itself; the initial one again after `reset_backoff_threshold` without
        a failure. Flink has it in Java; PyFlink only through the configuration."""
        config = Configuration().set(Options.TYPE, RestartStrategyType.EXPONENTIAL_DELAY)
        config.set(Options.EXPONENTIAL_INITIAL_BACKOFF, _interval(initial_backoff))
        config.set(Options.EXPONENTIAL_MAX_BACKOFF, _interval(max_backoff))
        config.set(Options.EXPONENTIAL_MULTIPLIER, backoff_multiplier)
        config.set(Options.EXPONENTIAL_RESET_THRESHOLD, _interval(reset_backoff_threshold))
        config.set(Options.EXPONENTIAL_JITTER, jitter_factor)
        return RestartStrategyConfiguration(
            config,
            f"Restart with exponential delay: starting at {_interval(initial_backoff)}, "
            f"increasing by {backoff_multiplier}, with maximum {_interval(max_backoff)}.",
        )


def _interval(value: int | timedelta) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(milliseconds=value)
