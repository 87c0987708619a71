from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from yarnflow.common import (
    Configuration,
    Duration,
    Encoder,
    ExecutionConfig,
    Instant,
    RestartStrategies,
    SimpleStringSchema,
    Time,
    TimestampAssigner,
    WatermarkStrategy,
)
from yarnflow.common.watermark_strategy import TimestampColumn


def test_durations_and_times_are_values() -> None:
    assert Duration.of_days(1) == Duration.of_hours(24) == Duration.of_minutes(1440)
    assert Duration.of_seconds(2).to_millis() == 2000
    assert Duration.of_nanos(999_999).to_millis() == 0
    assert Time.days(1) == Time.hours(24)
    assert Time.minutes(1).to_milliseconds() == 60_000
    assert str(Time.seconds(1)) == "1000 ms"


@pytest.mark.parametrize("millis", [0, 1, 999, 1000, -1, -1000, -1001])
def test_instants_round_trip_through_milliseconds(millis: int) -> None:
    assert Instant.of_epoch_milli(millis).to_epoch_milli() == millis


class ByField(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value[0])


def test_watermark_strategies_carry_everything_that_was_said() -> None:
    assigner = ByField()
    strategy = (
        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5))
        .with_timestamp_assigner(assigner)
        .with_idleness(Duration.of_minutes(1))
        .with_watermark_alignment("group", Duration.of_seconds(20))
    )
    assert strategy.max_out_of_orderness == Duration.of_seconds(5)
    assert strategy.timestamp_assigner is assigner
    assert strategy.idle_timeout == Duration.of_minutes(1)
    assert strategy.alignment is not None
    assert strategy.alignment.update_interval == Duration.of_seconds(1)
    assert WatermarkStrategy.for_monotonous_timestamps().max_out_of_orderness == Duration.of_millis(0)
    assert WatermarkStrategy.no_watermarks().max_out_of_orderness is None


def test_the_timestamp_assigner_is_set_in_place_as_in_pyflink() -> None:
    strategy = WatermarkStrategy.no_watermarks()
    strategy.with_timestamp_assigner(ByField())
    assert isinstance(strategy.timestamp_assigner, ByField)
    with pytest.raises(TypeError, match="needs a TimestampAssigner"):
        strategy.with_timestamp_assigner(lambda value, time: 0)  # type: ignore[arg-type]


def test_generators_and_timestamp_columns_are_kept_too() -> None:
    strategy = WatermarkStrategy.for_generator(dict).with_timestamp_column("at")  # type: ignore[arg-type]
    assert strategy.generator is dict
    assert isinstance(strategy.timestamp_assigner, TimestampColumn)
    assert strategy.timestamp_assigner.field == "at"
    assert strategy.max_out_of_orderness is None


def test_watermark_strategies_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(-1))
    with pytest.raises(ValueError, match="greater than zero"):
        WatermarkStrategy.no_watermarks().with_idleness(Duration.of_millis(0))
    with pytest.raises(TypeError, match="for instance its class, not int"):
        WatermarkStrategy.for_generator(5)  # type: ignore[arg-type]


def test_the_interval_of_watermarks_is_an_option() -> None:
    config = ExecutionConfig(Configuration())
    assert config.get_auto_watermark_interval() == 200
    assert config.set_auto_watermark_interval(50).get_auto_watermark_interval() == 50
    with pytest.raises(ValueError, match="must not be negative: -1 ms"):
        config.set_auto_watermark_interval(-1)


def test_restart_strategies_are_flinks_options() -> None:
    assert RestartStrategies.no_restart().config.to_dict() == {"restart-strategy.type": "none"}
    assert RestartStrategies.fall_back_restart().config.to_dict() == {}
    assert RestartStrategies.fixed_delay_restart(3, 10_000).config == Configuration(
        {
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "3",
            "restart-strategy.fixed-delay.delay": "10 s",
        }
    )
    rate = RestartStrategies.failure_rate_restart(2, timedelta(minutes=5), 1500).config.to_dict()
    assert rate["restart-strategy.failure-rate.max-failures-per-interval"] == "2"
    assert rate["restart-strategy.failure-rate.delay"] == "1500 ms"
    growing = RestartStrategies.exponential_delay_restart(100, 10_000, 2.0, 60_000, 0.2).config.to_dict()
    assert growing["restart-strategy.exponential-delay.backoff-multiplier"] == "2.0"
    assert growing["restart-strategy.exponential-delay.initial-backoff"] == "100 ms"
    assert RestartStrategies.no_restart() == RestartStrategies.no_restart()


def test_a_new_restart_strategy_replaces_the_old_one() -> None:
    config = Configuration({"parallelism.default": "3"})
    settings = ExecutionConfig(config)
    settings.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, 1000))
    settings.set_restart_strategy(RestartStrategies.no_restart())
    assert config.to_dict() == {"parallelism.default": "3", "restart-strategy.type": "none"}
    assert settings.get_restart_strategy() == RestartStrategies.no_restart()
    assert ExecutionConfig(Configuration()).get_restart_strategy() == RestartStrategies.fall_back_restart()


def test_the_execution_config_is_a_view_of_the_configuration() -> None:
    config = Configuration()
    settings = ExecutionConfig(config)
    assert settings.get_parallelism() == -1
    assert settings.get_max_parallelism() == -1
    assert settings.has_auto_generated_uids_enabled()
    settings.set_parallelism(4).set_max_parallelism(256).disable_auto_generated_uids().enable_object_reuse()
    settings.set_global_job_parameters({"limit": 3, "path": "a:b,c"})  # type: ignore[dict-item]
    assert settings.get_global_job_parameters() == {"limit": "3", "path": "a:b,c"}
    assert config.get_integer("parallelism.default", 0) == 4
    assert config.get_integer("pipeline.max-parallelism", 0) == 256
    assert not settings.has_auto_generated_uids_enabled()
    assert settings.is_object_reuse_enabled()
    assert settings.set_parallelism(-1).get_parallelism() == -1


def test_strings_become_bytes_and_lines() -> None:
    schema = SimpleStringSchema("latin-1")
    assert schema.serialize("é") == b"\xe9"
    assert schema.deserialize(b"\xe9") == "é"
    assert Encoder.simple_string_encoder().encode(5) == b"5\n"
