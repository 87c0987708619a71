from __future__ import annotations

import pytest

from yarnflow.config.configuration import Configuration
from yarnflow.runtime.jobmanager.restart_strategy import (
    ExponentialDelay,
    FailureRate,
    FixedDelay,
    NoRestart,
    from_config,
)


def test_fixed_delay_counts_all_failures():
    strategy = FixedDelay(2, 3.0)
    assert [strategy.failed(float(now)) for now in (0, 100, 10_000)] == [3.0, 3.0, None]


def test_failure_rate_forgets_old_failures():
    strategy = FailureRate(2, 60.0, 1.0)
    assert strategy.failed(0.0) == 1.0
    assert strategy.failed(30.0) == 1.0
    assert strategy.failed(61.0) == 1.0
    assert strategy.failed(62.0) is None


def exponential(**changes) -> ExponentialDelay:
    settings = {
        "initial": 1.0,
        "maximum": 8.0,
        "multiplier": 2.0,
        "reset_after": 100.0,
        "jitter": 0.0,
        "attempts": None,
        "random": lambda: 0.5,
    }
    return ExponentialDelay(**{**settings, **changes})


def test_exponential_delay_grows_to_its_maximum():
    strategy = exponential()
    now, delays = 0.0, []
    for _ in range(6):
        delay = strategy.failed(now)
        delays.append(delay)
        now += delay
    assert delays == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_exponential_delay_starts_over_after_a_quiet_time():
    strategy = exponential()
    assert strategy.failed(0.0) == 1.0
    assert strategy.failed(1.0) == 2.0
    # The restart was at 3.0; quiet until 103.0.
    assert strategy.failed(102.9) == 4.0
    assert strategy.failed(206.9) == 1.0


def test_failures_while_a_restart_is_pending_belong_to_it():
    strategy = exponential(initial=4.0, attempts=1)
    assert strategy.failed(0.0) == 4.0
    assert strategy.failed(1.0) == 3.0
    assert strategy.failed(4.0) is None


def test_exponential_attempts_are_counted_anew_after_a_reset():
    strategy = exponential(attempts=1)
    assert strategy.failed(0.0) == 1.0
    assert strategy.failed(101.0) == 1.0
    assert strategy.failed(110.0) is None


def test_jitter_stays_within_its_part_and_the_bounds():
    low = exponential(initial=4.0, maximum=100.0, jitter=0.25, random=lambda: 0.0)
    high = exponential(initial=4.0, maximum=100.0, jitter=0.25, random=lambda: 1.0)
    assert (low.failed(0.0), low.failed(10.0)) == (4.0, 6.0)
    assert (high.failed(0.0), high.failed(10.0)) == (5.0, 10.0)


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, NoRestart),
        ({"restart-strategy.type": "disable"}, NoRestart),
        ({"restart-strategy.type": "fixed-delay"}, FixedDelay),
        ({"restart-strategy": "failurerate"}, FailureRate),
        ({"restart-strategy.type": "exponential-delay"}, ExponentialDelay),
    ],
)
def test_strategies_from_the_configuration(settings, kind):
    assert type(from_config(Configuration(settings), False, lambda: 0.5)) is kind


def test_jobs_with_checkpoints_restart_by_default():
    assert type(from_config(Configuration(), True, lambda: 0.5)) is ExponentialDelay
