"""`StreamExecutionEnvironment`: where a program begins, and where `execute()` turns it into a job."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from yarnflow.common.execution_config import ExecutionConfig
from yarnflow.common.job_client import JobClient, result_of
from yarnflow.common.job_execution_result import DetachedJobExecutionResult, JobExecutionResult
from yarnflow.common.job_id import JobID
from yarnflow.common.typeinfo import TypeInformation
from yarnflow.common.watermark_strategy import WatermarkStrategy
from yarnflow.config.checkpointing import CheckpointingOptions
from yarnflow.config.configuration import Configuration
from yarnflow.config.core import CoreOptions, PipelineOptions, PythonOptions
from yarnflow.config.execution import ExecutionOptions, RuntimeMode
from yarnflow.config.option import Option, is_secret
from yarnflow.config.program import BatchShuffleMode, ProgramOptions
from yarnflow.datastream.arguments import check_strategy, declared
from yarnflow.datastream.checkpoint_config import CheckpointConfig
from yarnflow.datastream.checkpointing_mode import CheckpointingMode
from yarnflow.datastream.execution_mode import RuntimeExecutionMode
from yarnflow.datastream.operator_settings import check_parallelism, warn_about_resources
from yarnflow.datastream.state_backend import StateBackend, configured_backend
from yarnflow.datastream.stream import DataStream
from yarnflow.errors import ProgramError
from yarnflow.functions.collection_source import CollectionSource
from yarnflow.functions.source import Source
from yarnflow.graph import executor
from yarnflow.graph.job_graph import JobGraph
from yarnflow.graph.operators import OperatorSpec, SourceSpec
from yarnflow.graph.stream_graph import GraphSettings, StreamGraph, build_stream_graph
from yarnflow.graph.transformations import OperatorTransformation, Transformation

if TYPE_CHECKING:
    from yarnflow.common.restart_strategy import RestartStrategyConfiguration
    from yarnflow.datastream.slot_sharing_group import SlotSharingGroup

__all__ = ["StreamExecutionEnvironment"]

#: Name of a job that is given none, as in Flink.
DEFAULT_JOB_NAME = "Flink Streaming Job"

#: What a launcher was told and concerns the job. The rest (ports, memory, ...) is about the cluster.
_ABOUT_THE_JOB = ("execution.", "parallelism.", "pipeline.", "python.", "restart-strategy", "state.")


class StreamExecutionEnvironment:
    """Made by `get_execution_environment()`. The same program runs on every cluster: which one is the
    launcher's business, and without a launcher it is a MiniCluster in this process tree."""

    def __init__(self, configuration: Configuration | None = None) -> None:
        self._launch_config = executor.launch_config()
        self._config = self._launch_config.merge(configuration or Configuration())
        self._execution_config = ExecutionConfig(self._config)
        self._last_id = 0
        self._operators: list[OperatorTransformation] = []

    @staticmethod
    def get_execution_environment(configuration: Configuration | None = None) -> StreamExecutionEnvironment:
        """Make an environment; `configuration` is laid over what the launcher was told."""
        return StreamExecutionEnvironment(configuration)

    # -- settings -------------------------------------------------------------------------------------------

    def get_config(self) -> ExecutionConfig:
        """Further settings, as a view: what is set there counts here."""
        return self._execution_config

    def configure(self, configuration: Configuration) -> StreamExecutionEnvironment:
        """Take over all settings of `configuration`."""
        self._config.add_all(configuration)
        return self

    def set_parallelism(self, parallelism: int) -> StreamExecutionEnvironment:
        """Set the parallelism of operators that are added from now on and set none themselves."""
        check_parallelism(parallelism, "set_parallelism() of the environment")
        self._config.set(CoreOptions.DEFAULT_PARALLELISM, parallelism)
        return self

    def get_parallelism(self) -> int:
        """The parallelism of operators that set none: as set, or as the launcher was told; else 1 on a cluster
        and the number of cores in a program that runs by itself (as Flink's local environment)."""
        if CoreOptions.DEFAULT_PARALLELISM not in self._config and not executor.installed():
            return self.get_default_local_parallelism()
        return self._config[CoreOptions.DEFAULT_PARALLELISM]

    def get_default_local_parallelism(self) -> int:
        """The number of cores that this process may use."""
        return len(os.sched_getaffinity(0))

    def set_max_parallelism(self, max_parallelism: int) -> StreamExecutionEnvironment:
        """Set the number of key groups of operators that set none themselves."""
        self._config.set(PipelineOptions.MAX_PARALLELISM, max_parallelism)
        return self

    def get_max_parallelism(self) -> int:
        """The number of key groups, -1 when it is derived from the parallelism."""
        return self._config[PipelineOptions.MAX_PARALLELISM]

    def set_runtime_mode(self, execution_mode: RuntimeExecutionMode) -> StreamExecutionEnvironment:
        """Run as a stream (the default), as a batch, or as the sources say."""
        self._config.set(ExecutionOptions.RUNTIME_MODE, RuntimeMode[execution_mode.name])
        return self

    def set_buffer_timeout(self, timeout_millis: int) -> StreamExecutionEnvironment:
        """Set how long a record waits at most for its batch to fill; -1: until it is full, 0: not at all."""
        if timeout_millis < -1:
            raise ProgramError("the buffer timeout is -1, 0 or more milliseconds")
        self._config.set(ExecutionOptions.BUFFER_TIMEOUT_ENABLED, timeout_millis >= 0)
        if timeout_millis >= 0:
            self._config.set(ExecutionOptions.BUFFER_TIMEOUT, timedelta(milliseconds=timeout_millis))
        return self

    def get_buffer_timeout(self) -> int:
        """Milliseconds, -1 when only full batches are sent."""
        if not self._config[ExecutionOptions.BUFFER_TIMEOUT_ENABLED]:
            return -1
        return self._config[ExecutionOptions.BUFFER_TIMEOUT] // timedelta(milliseconds=1)

    def disable_operator_chaining(self) -> StreamExecutionEnvironment:
        """Run every operator as a task of its own."""
        self._config.set(PipelineOptions.OPERATOR_CHAINING, False)
        return self

    def is_chaining_enabled(self) -> bool:
        """Whether operators may share a task."""
        return self._config[PipelineOptions.OPERATOR_CHAINING]

    def set_restart_strategy(
        self, restart_strategy_configuration: RestartStrategyConfiguration
    ) -> StreamExecutionEnvironment:
        """Say what happens after a failure."""
        self._execution_config.set_restart_strategy(restart_strategy_configuration)
        return self

    def get_restart_strategy(self) -> RestartStrategyConfiguration:
        """What happens after a failure, as set here or by the launcher."""
        return self._execution_config.get_restart_strategy()

    # -- checkpoints ----------------------------------------------------------------------------------------

    def enable_checkpointing(
        self, interval: int, mode: CheckpointingMode | None = None
    ) -> StreamExecutionEnvironment:
        """Take a checkpoint every `interval` milliseconds; after a failure the job goes on from the newest one."""
        self.get_checkpoint_config().set_checkpoint_interval(interval)
        if mode is not None:
            self.get_checkpoint_config().set_checkpointing_mode(mode)
        return self

    def get_checkpoint_config(self) -> CheckpointConfig:
        """Further settings of checkpoints, as a view: what is set there counts here."""
        return CheckpointConfig(self._config)

    def get_checkpoint_interval(self) -> int:
        """Milliseconds from one checkpoint to the next, -1 when none are taken."""
        return self.get_checkpoint_config().get_checkpoint_interval()

    def get_checkpointing_mode(self) -> CheckpointingMode:
        """What checkpoints guarantee."""
        return self.get_checkpoint_config().get_checkpointing_mode()

    def get_checkpointing_consistency_mode(self) -> CheckpointingMode:
        """As `get_checkpointing_mode`, by its newer name."""
        return self.get_checkpointing_mode()

    def is_unaligned_checkpoints_enabled(self) -> bool:
        """Whether barriers may overtake records."""
        return self.get_checkpoint_config().is_unaligned_checkpoints_enabled()

    def is_force_unaligned_checkpoints(self) -> bool:
        """False: see CheckpointConfig."""
        return self.get_checkpoint_config().is_force_unaligned_checkpoints()

    def set_state_backend(self, state_backend: StateBackend) -> StreamExecutionEnvironment:
        """Say where keyed state lives while the job runs (state.backend.type)."""
        if not isinstance(state_backend, StateBackend):
            raise ProgramError(
                "set_state_backend() needs a HashMapStateBackend or an EmbeddedRocksDBStateBackend, not "
                f"{state_backend!r}"
            )
        state_backend.write_to(self._config)
        return self

    def get_state_backend(self) -> StateBackend | None:
        """Where it lives, None when nobody said so."""
        return configured_backend(self._config)

    def enable_changelog_state_backend(self, enabled: bool) -> StreamExecutionEnvironment:
        """Accepted with a warning: there is no changelog; use incremental checkpoints of rocksdb."""
        if enabled:
            import warnings  # hardly any program comes here

            warnings.warn("yarnflow keeps no changelog of state: it has no effect", stacklevel=2)
        return self

    def is_changelog_state_backend_enabled(self) -> bool:
        """False: see `enable_changelog_state_backend`."""
        return False

    def set_default_savepoint_directory(self, directory: str) -> StreamExecutionEnvironment:
        """Say where savepoints go that are taken without naming a directory."""
        self._config.set(CheckpointingOptions.SAVEPOINT_DIR, directory)
        return self

    def get_default_savepoint_directory(self) -> str | None:
        """Where they go, None when nobody said so."""
        return self._config[CheckpointingOptions.SAVEPOINT_DIR]

    # -- files and resources --------------------------------------------------------------------------------

    def register_slot_sharing_group(self, slot_sharing_group: SlotSharingGroup) -> StreamExecutionEnvironment:
        """Accepted for programs that do it; a group needs no registration, as it gets no resources of its own."""
        warn_about_resources(slot_sharing_group)
        return self

    def register_cached_file(self, file_path: str, name: str, executable: bool = False) -> None:
        """Give every worker a copy of a file (pipeline.cached-files)."""
        entry = f"name:{name},path:{file_path}" + (",executable:true" if executable else "")
        self._append(PipelineOptions.CACHED_FILES, entry)

    # -- the workers' Python --------------------------------------------------------------------------------

    def add_python_file(self, file_path: str) -> None:
        """Make a Python file, package, zip archive or directory importable in the workers (as -pyfs)."""
        self._append(PythonOptions.FILES, file_path)

    def add_python_files(self, *file_paths: str) -> None:
        """As `add_python_file`, for several."""
        for file_path in file_paths:
            self.add_python_file(file_path)

    def set_python_requirements(
        self, requirements_file_path: str, requirements_cache_dir: str | None = None
    ) -> None:
        """Install these requirements for the workers (as -pyreq); from the directory alone if one is given."""
        value = requirements_file_path + (f"#{requirements_cache_dir}" if requirements_cache_dir else "")
        self._config.set(PythonOptions.REQUIREMENTS, value)

    def add_python_archive(self, archive_path: str, target_dir: str | None = None) -> None:
        """Unpack an archive in the workers' directory, as `target_dir` if given (as -pyarch)."""
        self._append(PythonOptions.ARCHIVES, archive_path + (f"#{target_dir}" if target_dir else ""))

    def set_python_executable(self, python_exec: str) -> None:
        """Run the workers with this interpreter (as -pyexec)."""
        self._config.set(PythonOptions.EXECUTABLE, python_exec)

    def add_jars(self, *jars_path: str) -> None:
        """Accepted with a warning: no JVM touches the data, so jars have no effect."""
        self._warn_about_jars("add_jars", jars_path)

    def add_classpaths(self, *classpaths: str) -> None:
        """Accepted with a warning, as `add_jars`."""
        self._warn_about_jars("add_classpaths", classpaths)

    def _warn_about_jars(self, method: str, paths: tuple[str, ...]) -> None:
        import warnings  # hardly any program comes here

        warnings.warn(
            f"{method}({', '.join(paths)}) has no effect: yarnflow runs without a JVM",
            stacklevel=3,
        )

    def _append(self, option: Option[tuple[str, ...]], entry: str) -> None:
        self._config.set(option, (*self._config[option], entry))

    # -- sources --------------------------------------------------------------------------------------------

    def from_collection(self, collection: Iterable[Any], type_info: TypeInformation | None = None) -> DataStream:
        """A stream of these records, read by one subtask. The records are pickled now.

        `type_info`: tuples, lists and dicts become what the type says (Types.ROW(...): rows).
        """
        rows = list(collection)
        record_type = declared(type_info)
        convert = None if record_type is None else record_type.converter()
        if convert is not None:
            rows = [convert(row) for row in rows]
        stream = self._from(CollectionSource(rows), "Collection Source", record_type, None)
        return stream.force_non_parallel()

    def from_source(
        self,
        source: Source,
        watermark_strategy: WatermarkStrategy | None,
        source_name: str,
        type_info: TypeInformation | None = None,
    ) -> DataStream:
        """A stream of what the source reads, with event times as the strategy says."""
        if not isinstance(source, Source):
            raise TypeError(
                f"from_source() needs a source (a yarnflow.functions.source.Source), not {source!r} "
                f"({type(source).__name__})"
            )
        if watermark_strategy is not None:
            check_strategy(watermark_strategy, "from_source")
        if type_info is None and hasattr(source, "get_produced_type"):
            type_info = source.get_produced_type()
        return self._from(source, source_name, declared(type_info), watermark_strategy)

    def add_source(
        self, source_func: Source, source_name: str = "Custom Source", type_info: TypeInformation | None = None
    ) -> DataStream:
        """As `from_source` without event time, under PyFlink's older name."""
        return self.from_source(source_func, None, source_name, type_info)

    def from_sequence(self, start: int, end: int) -> DataStream:
        """The whole numbers from `start` to `end`, both included, read in parallel."""
        from yarnflow.common.typeinfo import Types
        from yarnflow.datastream.connectors.number_seq import NumberSequenceSource

        return self.from_source(NumberSequenceSource(start, end), None, "Sequence Source", Types.LONG())

    def read_text_file(self, file_path: str, charset_name: str = "UTF-8") -> DataStream:
        """The lines of a file, or of all files in a directory, read once."""
        from yarnflow.common.typeinfo import Types
        from yarnflow.datastream.connectors.file_system import FileSource, StreamFormat

        source = FileSource.for_record_stream_format(
            StreamFormat.text_line_format(charset_name), file_path
        ).build()
        return self.from_source(source, None, "Text File Source", Types.STRING())

    def _from(
        self, source: Source, name: str, type_info: TypeInformation | None, watermarks: WatermarkStrategy | None
    ) -> DataStream:
        return DataStream(self, self.add_operator(name, SourceSpec(source, watermarks), (), type_info))

    # -- execution ------------------------------------------------------------------------------------------

    def execute(self, job_name: str | None = None) -> JobExecutionResult:
        """Run what was built since the last execution, and wait for its end.

        Returns at once, with only the job's id, when the launcher was told not to wait (-d).

        Raises:
            ProgramError: the program is no job; names the operator at fault.
            JobSubmissionError: the cluster refused it.
            JobFailedError, JobCancelledError: how it ended.
        """
        job = self.submit(job_name)
        if executor.installed() and not self._config[ExecutionOptions.ATTACHED]:
            return DetachedJobExecutionResult(JobID(job.job_id))
        return result_of(job)

    def execute_async(self, job_name: str | None = None) -> JobClient:
        """Run what was built since the last execution; returns when the cluster has accepted it."""
        return JobClient(self.submit(job_name))

    def get_execution_plan(self) -> str:
        """The plan of what was built so far, as JSON with Flink's fields."""
        from yarnflow.graph.plan import execution_plan

        return json.dumps(execution_plan(self.get_stream_graph()), indent=2)

    def get_stream_graph(self) -> StreamGraph:
        """What was built since the last execution. Raises ProgramError as `execute` does."""
        if not self._operators:
            raise ProgramError(
                "the program defines no operators, so there is nothing to execute: add a sink such as print() or "
                "sink_to() to a stream before execute()"
            )
        max_parallelism = self._config[PipelineOptions.MAX_PARALLELISM]
        mode = self._config[ExecutionOptions.RUNTIME_MODE]
        settings = GraphSettings(
            batch=None if mode is RuntimeMode.AUTOMATIC else mode is RuntimeMode.BATCH,
            blocking=self._config[ProgramOptions.BATCH_SHUFFLE_MODE] is BatchShuffleMode.ALL_EXCHANGES_BLOCKING,
            chaining=self._config[PipelineOptions.OPERATOR_CHAINING],
            max_parallelism=None if max_parallelism == -1 else max_parallelism,
            require_uids=not self._config[ProgramOptions.AUTO_GENERATE_UIDS],
        )
        return build_stream_graph(self._operators, settings)

    def get_job_graph(self, job_name: str | None = None) -> JobGraph:
        """The job that `execute` would submit now. Raises ProgramError as `execute` does."""
        from yarnflow.graph.job_graph_builder import build_job_graph

        name = job_name or self._config[PipelineOptions.NAME] or DEFAULT_JOB_NAME
        return build_job_graph(self.get_stream_graph(), self.new_job_id(), name, self._job_config())

    def submit(self, job_name: str | None = None) -> executor.SubmittedJob:
        """Submit what was built since the last execution to the executor, and begin anew."""
        job = self.get_job_graph(job_name)
        self._operators.clear()
        return executor.current().submit(job, Configuration(self._config))

    def close(self) -> None:
        """Nothing needs to be released; here because PyFlink has it."""

    def _job_config(self) -> dict[str, str]:
        """What the program set, and what the launcher was told about jobs. Secrets stay with the client."""
        launched = self._launch_config.to_dict()
        return {
            key: value
            for key, value in self._config.to_dict().items()
            if (key.startswith(_ABOUT_THE_JOB) or launched.get(key) != value) and not is_secret(key)
        }

    # -- building, for streams ------------------------------------------------------------------------------

    def next_id(self) -> int:
        """A number for the next transformation."""
        self._last_id += 1
        return self._last_id

    @staticmethod
    def new_job_id() -> str:
        """32 random hex digits."""
        return os.urandom(16).hex()

    def add_operator(
        self,
        name: str,
        spec: OperatorSpec,
        inputs: tuple[Transformation, ...],
        output_type: TypeInformation | None,
    ) -> OperatorTransformation:
        """Add an operator. A source alone makes no program, so it counts only when something reads it."""
        operator = OperatorTransformation(
            id=self.next_id(),
            output_type=output_type,
            name=name,
            spec=spec,
            inputs=inputs,
            parallelism=self.get_parallelism(),
        )
        if inputs:
            self._operators.append(operator)
        return operator

    def forget(self, operator: OperatorTransformation) -> None:
        """Take back an operator that was added for one execution."""
        if operator in self._operators:
            self._operators.remove(operator)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "the environment cannot be used inside a function: functions run on workers, where there is none"
        )
