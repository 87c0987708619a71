"""Settings of a program beyond its graph. A view of the environment's Configuration: what is set here is
set there under Flink's key."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from yarnflow.config.configuration import Configuration
from yarnflow.config.core import CoreOptions, PipelineOptions
from yarnflow.config.program import ProgramOptions

if TYPE_CHECKING:
    from yarnflow.common.restart_strategy import RestartStrategyConfiguration

__all__ = ["ExecutionConfig"]


class ExecutionConfig:
    """Got from `StreamExecutionEnvironment.get_config()`; setters return the object itself."""

    PARALLELISM_DEFAULT = -1
    PARALLELISM_UNKNOWN = -2

    def __init__(self, configuration: Configuration) -> None:
        self._config = configuration

    def get_parallelism(self) -> int:
        """Parallelism of operators that set none; -1: as the cluster's configuration says."""
        value = self._config.get(CoreOptions.DEFAULT_PARALLELISM)
        return self.PARALLELISM_DEFAULT if value is None else value

    def set_parallelism(self, parallelism: int) -> ExecutionConfig:
        """Set the parallelism of operators that are added from now on."""
        if parallelism == self.PARALLELISM_DEFAULT:
            self._config.remove_config(CoreOptions.DEFAULT_PARALLELISM.key)
        else:
            self._config.set(CoreOptions.DEFAULT_PARALLELISM, parallelism)
        return self

    def get_max_parallelism(self) -> int:
        """Number of key groups; -1: derived from the parallelism."""
        return self._config[PipelineOptions.MAX_PARALLELISM]

    def set_max_parallelism(self, max_parallelism: int) -> ExecutionConfig:
        """Set the number of key groups of operators that set none."""
        self._config.set(PipelineOptions.MAX_PARALLELISM, max_parallelism)
        return self

    def get_auto_watermark_interval(self) -> int:
        """Milliseconds between two watermarks of a strategy; 0: only at the end."""
        return self._config[PipelineOptions.AUTO_WATERMARK_INTERVAL] // timedelta(milliseconds=1)

    def set_auto_watermark_interval(self, interval: int) -> ExecutionConfig:
        """Set how often watermarks are made, in milliseconds. Raises ValueError when it is negative."""
        if interval < 0:
            raise ValueError(f"the interval of watermarks must not be negative: {interval} ms")
        self._config.set(PipelineOptions.AUTO_WATERMARK_INTERVAL, timedelta(milliseconds=interval))
        return self

    def set_restart_strategy(
        self, restart_strategy_configuration: RestartStrategyConfiguration
    ) -> ExecutionConfig:
        """Say what happens after a failure."""
        for key in self._config.key_set():
            if key.startswith("restart-strategy"):
                self._config.remove_config(key)
        self._config.add_all(restart_strategy_configuration.config)
        return self

    def get_restart_strategy(self) -> RestartStrategyConfiguration:
        """What happens after a failure; the cluster's way if nothing was set."""
        from yarnflow.common.restart_strategy import RestartStrategies, RestartStrategyConfiguration

        chosen = Configuration(
            {key: value for key, value in self._config.to_dict().items() if key.startswith("restart-strategy")}
        )
        if not len(chosen):
            return RestartStrategies.fall_back_restart()
        return RestartStrategyConfiguration(chosen, f"As configured: {chosen.to_dict()}")

    def get_global_job_parameters(self) -> dict[str, str]:
        """Parameters that functions read with `RuntimeContext.get_job_parameter`."""
        parameters = self._config[ProgramOptions.GLOBAL_JOB_PARAMETERS]
        return {key: parameters[key] for key in parameters}

    def set_global_job_parameters(self, global_job_parameters_dict: dict[str, str]) -> ExecutionConfig:
        """Set the parameters that functions read."""
        parameters = {str(key): str(value) for key, value in global_job_parameters_dict.items()}
        self._config.set(ProgramOptions.GLOBAL_JOB_PARAMETERS, parameters)
        return self

    def enable_auto_generated_uids(self) -> ExecutionConfig:
        """Give operators without uid an id derived from the graph (the default)."""
        self._config.set(ProgramOptions.AUTO_GENERATE_UIDS, True)
        return self

    def disable_auto_generated_uids(self) -> ExecutionConfig:
        """Refuse programs with operators that have no uid."""
        self._config.set(ProgramOptions.AUTO_GENERATE_UIDS, False)
        return self

    def has_auto_generated_uids_enabled(self) -> bool:
        """Whether operators may go without uid."""
        return self._config[ProgramOptions.AUTO_GENERATE_UIDS]

    def enable_object_reuse(self) -> ExecutionConfig:
        """Let operators of one task share records. Always so in yarnflow: set for information only."""
        self._config.set_boolean(_OBJECT_REUSE, True)
        return self

    def disable_object_reuse(self) -> ExecutionConfig:
        """Take back `enable_object_reuse`."""
        self._config.set_boolean(_OBJECT_REUSE, False)
        return self

    def is_object_reuse_enabled(self) -> bool:
        """What was set."""
        return self._config.get_boolean(_OBJECT_REUSE, False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExecutionConfig) and self._config == other._config

    def __hash__(self) -> int:
        return hash(self._config)


_OBJECT_REUSE = "pipeline.object-reuse"
