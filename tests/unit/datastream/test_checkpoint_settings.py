"""What a program says about checkpoints and state backends ends up in its configuration under Flink's keys."""

from __future__ import annotations

import pytest

from yarnflow.common import Configuration, Duration
from yarnflow.datastream import (
    CheckpointingMode,
    CustomCheckpointStorage,
    CustomStateBackend,
    EmbeddedRocksDBStateBackend,
    ExternalizedCheckpointRetention,
    FileSystemCheckpointStorage,
    HashMapStateBackend,
    JobManagerCheckpointStorage,
    PredefinedOptions,
    StreamExecutionEnvironment,
)
from yarnflow.errors import ConfigurationError, ProgramError


@pytest.fixture
def env():
    return StreamExecutionEnvironment.get_execution_environment(Configuration())


def settings_of(env):
    env.from_collection([1]).print()
    return env.get_job_graph().config


def test_nothing_is_taken_unless_asked_for(env):
    assert not env.get_checkpoint_config().is_checkpointing_enabled()
    assert env.get_checkpoint_interval() == -1
    assert env.get_checkpointing_mode() is CheckpointingMode.EXACTLY_ONCE
    assert env.get_state_backend() is None
    assert env.get_default_savepoint_directory() is None


def test_enable_checkpointing(env):
    assert env.enable_checkpointing(1500, CheckpointingMode.AT_LEAST_ONCE) is env
    assert env.get_checkpoint_interval() == 1500
    config = settings_of(env)
    assert config["execution.checkpointing.interval"] == "1500 ms"
    assert config["execution.checkpointing.mode"] == "AT_LEAST_ONCE"


def test_an_interval_that_is_too_short_is_refused(env):
    with pytest.raises(ConfigurationError, match="at least 10 ms"):
        env.enable_checkpointing(9)


@pytest.mark.parametrize(
    ("setter", "getter", "value", "key", "text"),
    [
        ("set_checkpoint_interval", "get_checkpoint_interval", 2000, "interval", "2 s"),
        ("set_checkpoint_timeout", "get_checkpoint_timeout", 500, "timeout", "500 ms"),
        (
            "set_min_pause_between_checkpoints",
            "get_min_pause_between_checkpoints",
            250,
            "min-pause",
            "250 ms",
        ),
        (
            "set_max_concurrent_checkpoints",
            "get_max_concurrent_checkpoints",
            3,
            "max-concurrent-checkpoints",
            "3",
        ),
        (
            "set_tolerable_checkpoint_failure_number",
            "get_tolerable_checkpoint_failure_number",
            4,
            "tolerable-failed-checkpoints",
            "4",
        ),
        (
            "set_externalized_checkpoint_retention",
            "get_externalized_checkpoint_retention",
            ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION,
            "externalized-checkpoint-retention",
            "RETAIN_ON_CANCELLATION",
        ),
        (
            "set_aligned_checkpoint_timeout",
            "get_aligned_checkpoint_timeout",
            Duration.of_seconds(3),
            "aligned-checkpoint-timeout",
            "3 s",
        ),
        ("enable_unaligned_checkpoints", "is_unaligned_checkpoints_enabled", True, "unaligned.enabled", "true"),
    ],
)
def test_settings(env, setter, getter, value, key, text):
    config = env.get_checkpoint_config()
    assert getattr(config, setter)(value) is config
    assert getattr(env.get_checkpoint_config(), getter)() == value
    assert settings_of(env)[f"execution.checkpointing.{key}"] == text


def test_failing_on_errors_is_a_number(env):
    config = env.get_checkpoint_config()
    assert config.is_fail_on_checkpointing_errors()
    config.set_fail_on_checkpointing_errors(False)
    assert config.get_tolerable_checkpoint_failure_number() == 2147483647


def test_storages(env):
    config = env.get_checkpoint_config()
    assert config.get_checkpoint_storage() is None
    config.set_checkpoint_storage_dir("hdfs:///checkpoints")
    assert config.get_checkpoint_storage().get_checkpoint_path() == "hdfs:///checkpoints"
    config.set_checkpoint_storage(FileSystemCheckpointStorage("file:///c", 1024))
    assert settings_of(env)["execution.checkpointing.data-inline-threshold"] == "1k"
    assert settings_of(env)["execution.checkpointing.dir"] == "file:///c"
    config.set_checkpoint_storage(JobManagerCheckpointStorage())
    assert settings_of(env)["execution.checkpointing.storage"] == "jobmanager"
    with pytest.raises(ProgramError, match="FileSystemCheckpointStorage"):
        config.set_checkpoint_storage("file:///c")
    with pytest.raises(ValueError, match="path"):
        FileSystemCheckpointStorage()
    with pytest.raises(ProgramError, match="1048576"):
        FileSystemCheckpointStorage("file:///c", 2 << 20)


def test_state_backends(env):
    env.set_state_backend(HashMapStateBackend())
    assert isinstance(env.get_state_backend(), HashMapStateBackend)
    backend = EmbeddedRocksDBStateBackend(True)
    backend.set_predefined_options(PredefinedOptions.FLASH_SSD_OPTIMIZED)
    backend.set_db_storage_paths("/data/rocks")
    env.set_state_backend(backend)
    config = settings_of(env)
    assert config["state.backend.type"] == "rocksdb"
    assert config["execution.checkpointing.incremental"] == "true"
    assert config["state.backend.rocksdb.predefined-options"] == "FLASH_SSD_OPTIMIZED"
    assert env.get_state_backend().get_db_storage_paths() == ["/data/rocks"]
    assert env.get_state_backend().is_incremental_checkpoints_enabled()
    with pytest.raises(ProgramError, match="HashMapStateBackend"):
        env.set_state_backend("rocksdb")


@pytest.mark.parametrize("kind", [CustomCheckpointStorage, CustomStateBackend])
def test_java_classes_are_refused(kind):
    with pytest.raises(ProgramError, match="no JVM"):
        kind(object())


def test_savepoints_have_a_default_directory(env):
    assert env.set_default_savepoint_directory("hdfs:///savepoints") is env
    assert settings_of(env)["execution.checkpointing.savepoint-dir"] == "hdfs:///savepoints"
