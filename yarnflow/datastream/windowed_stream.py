"""Streams cut into windows: `WindowedStream` of a keyed stream, `AllWindowedStream` of any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from yarnflow.common.time import Duration, Time, millis
from yarnflow.common.typeinfo import TypeInformation
from yarnflow.datastream.arguments import checked, declared
from yarnflow.datastream.stream import DataStream
from yarnflow.errors import ProgramError
from yarnflow.functions.expressions import Aggregate
from yarnflow.functions.output_tag import OutputTag
from yarnflow.functions.user_functions import AggregateFunction, ReduceFunction
from yarnflow.functions.windows.assigner import MergingWindowAssigner, WindowAssigner
from yarnflow.functions.windows.evictors import Evictor
from yarnflow.functions.windows.time_windows import PanedWindows
from yarnflow.functions.windows.trigger import Trigger
from yarnflow.functions.windows.window_functions import (
    AllWindowFunction,
    ProcessAllWindowFunction,
    ProcessWindowFunction,
    WindowFunction,
)
from yarnflow.graph.operators import AggregateSpec, WindowSpec

if TYPE_CHECKING:
    from typing_extensions import Self

    from yarnflow.datastream.keyed_stream import KeyedStream
    from yarnflow.datastream.stream_execution_environment import StreamExecutionEnvironment

__all__ = ["AllWindowedStream", "WindowedStream"]


class _Windowed:
    """What both have. The window functions that may be given are class attributes."""

    _kind = "Window"
    _plain: type = WindowFunction
    _process: type = ProcessWindowFunction

    def __init__(self, stream: DataStream, key: Any, window_assigner: WindowAssigner[Any, Any]) -> None:
        if not isinstance(window_assigner, WindowAssigner):
            raise TypeError(
                "window() needs a window assigner, for instance TumblingEventTimeWindows.of(Time.seconds(5)), not "
                f"{window_assigner!r}"
            )
        self._stream = stream
        self._spec = WindowSpec(key, window_assigner)

    def get_execution_environment(self) -> StreamExecutionEnvironment:
        """The environment that the stream belongs to."""
        return self._stream.get_execution_environment()

    def get_input_type(self) -> TypeInformation:
        """The type of the records: Types.PICKLED_BYTE_ARRAY() if none was declared."""
        return self._stream.get_type()

    # -- how windows behave ---------------------------------------------------------------------------------

    def trigger(self, trigger: Trigger[Any, Any]) -> Self:
        """Say when windows fire, in place of the assigner's own trigger.

        Raises ProgramError when windows merge and the trigger cannot.
        """
        if not isinstance(trigger, Trigger):
            raise TypeError(f"trigger() needs a trigger, for instance CountTrigger.of(100), not {trigger!r}")
        if isinstance(self._spec.assigner, MergingWindowAssigner) and not trigger.can_merge():
            raise ProgramError(
                f"{self._spec.assigner!r} merges windows, and {trigger!r} cannot: its state would be lost. Use "
                "EventTimeTrigger, ProcessingTimeTrigger, CountTrigger or the continuous ones, or write "
                "on_merge() and let can_merge() return True"
            )
        self._spec = replace(self._spec, trigger=trigger)
        return self

    def evictor(self, evictor: Evictor) -> Self:
        """Take records out of windows before or after the function is called. All records of a window are kept
        then, also with reduce() and aggregate(). Flink's; PyFlink has no evictors."""
        if not isinstance(evictor, Evictor):
            raise TypeError(f"evictor() needs an evictor, for instance CountEvictor.of(100), not {evictor!r}")
        self._spec = replace(self._spec, evictor=evictor)
        return self

    def allowed_lateness(self, time_ms: int | Time | Duration) -> Self:
        """Keep windows for so many ms of event time after their end. Records that come in that time give a new
        result each."""
        lateness = time_ms if isinstance(time_ms, int) else millis(time_ms)
        if lateness < 0:
            raise ProgramError(f"allowed_lateness(): it must be 0 ms or more, not {lateness}")
        self._spec = replace(self._spec, allowed_lateness=lateness)
        return self

    def side_output_late_data(self, output_tag: OutputTag) -> Self:
        """Send records that come too late for all of their windows to a side output of the result
        (`result.get_side_output(output_tag)`) instead of dropping them."""
        if not isinstance(output_tag, OutputTag):
            raise TypeError(f"side_output_late_data() needs an OutputTag, not {output_tag!r}")
        self._spec = replace(self._spec, late_tag=output_tag)
        return self

    # -- what is done with them -----------------------------------------------------------------------------

    def reduce(
        self,
        reduce_function: Callable[[Any, Any], Any] | ReduceFunction,
        window_function: Any = None,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Combine the records of each window to one, as they come. `window_function`, if given, gets that one.

        The function must be associative: windows that overlap or merge are put together from parts.
        """
        checked(reduce_function, ReduceFunction, "reduce")
        self._check_function("reduce", window_function, optional=True)
        if window_function is None and output_type is None:
            output_type = self._stream._transformation.output_type
        spec = replace(self._spec, reduce=reduce_function, window_function=window_function)
        return self._result(spec, (reduce_function, window_function), output_type)

    def aggregate(
        self,
        aggregate_function: AggregateFunction | None = None,
        window_function: Any = None,
        accumulator_type: TypeInformation | None = None,
        output_type: TypeInformation | None = None,
        **columns: Aggregate,
    ) -> DataStream:
        """Aggregate the records of each window as they come. `window_function`, if given, gets the result.

        Yarnflow's own, on columns and many times faster:
        `aggregate(flights=count(), delay=col("delay").mean(), day=window_start())` gives rows of the key and these
        fields. It needs a stream keyed by a field, and tumbling or sliding windows.
        """
        if aggregate_function is None:
            return self._columns(window_function, columns)
        if columns:
            raise TypeError(f"aggregate() takes a function or named columns ({', '.join(columns)}), not both")
        if not isinstance(aggregate_function, AggregateFunction):
            raise TypeError(f"aggregate() needs an AggregateFunction, not {aggregate_function!r}")
        self._check_function("aggregate", window_function, optional=True)
        spec = replace(self._spec, aggregate=aggregate_function, window_function=window_function)
        return self._result(spec, (aggregate_function, window_function), output_type)

    def apply(self, window_function: Any, output_type: TypeInformation | None = None) -> DataStream:
        """Call a window function on all records of each window."""
        if not isinstance(window_function, self._plain):
            raise TypeError(f"apply() needs a {self._plain.__name__}, not {window_function!r}")
        return self._result(replace(self._spec, window_function=window_function), (window_function,), output_type)

    def process(self, process_window_function: Any, output_type: TypeInformation | None = None) -> DataStream:
        """As `apply`, with a context: time, state, side outputs."""
        if not isinstance(process_window_function, self._process):
            raise TypeError(f"process() needs a {self._process.__name__}, not {process_window_function!r}")
        spec = replace(self._spec, window_function=process_window_function)
        return self._result(spec, (process_window_function,), output_type)

    # Flink's Java API has these; PyFlink has not.

    def sum(self, position_to_sum: int | str = 0) -> DataStream:
        """The first record of each window, with this field summed up."""
        return self._field("sum", position_to_sum)

    def min(self, position_to_min: int | str = 0) -> DataStream:
        """The first record of each window, with the least value of this field."""
        return self._field("min", position_to_min)

    def max(self, position_to_max: int | str = 0) -> DataStream:
        """The first record of each window, with the greatest value of this field."""
        return self._field("max", position_to_max)

    def min_by(self, position_to_min_by: int | str = 0) -> DataStream:
        """The record of each window that has the least value in this field, the first of several."""
        return self._field("min_by", position_to_min_by)

    def max_by(self, position_to_max_by: int | str = 0) -> DataStream:
        """The record of each window that has the greatest value in this field, the first of several."""
        return self._field("max_by", position_to_max_by)

    # -- building -------------------------------------------------------------------------------------------

    def _field(self, kind: str, field: int | str) -> DataStream:
        if isinstance(field, bool) or not isinstance(field, (int, str)):
            raise TypeError(f"{kind}() needs the position or the name of a field, not {field!r}")
        spec = replace(self._spec, reduce=AggregateSpec(kind, field, self._spec.key))
        return self._result(spec, (kind,), self._stream._transformation.output_type)

    def _columns(self, window_function: Any, columns: dict[str, Aggregate]) -> DataStream:
        if not columns or window_function is not None:
            raise TypeError(
                "aggregate() needs an AggregateFunction (and perhaps a window function), or named columns such as "
                "total=col('amount').sum()"
            )
        for name, aggregate in columns.items():
            if not isinstance(aggregate, Aggregate):
                raise TypeError(
                    f"aggregate(): {name} must be an aggregate such as count() or col('amount').sum(), not "
                    f"{aggregate!r}"
                )
            if name == self._spec.key:
                raise ProgramError(f"aggregate(): {name!r} is the name of the key as well: give it another one")
        spec = replace(self._spec, aggregates=tuple(columns.items()))
        assigner, trigger = spec.assigner, spec.trigger
        own = trigger is None or type(trigger) is type(assigner.get_default_trigger(None))
        if not isinstance(assigner, PanedWindows) or not own or spec.evictor is not None:
            raise ProgramError(
                "aggregate() on columns works for tumbling and sliding time windows with their own trigger and no "
                f"evictor, not for {assigner!r} with {trigger or 'its own trigger'!r}: use an AggregateFunction"
            )
        if spec.key is not None and not isinstance(spec.key, (int, str)):
            raise ProgramError(
                "aggregate() on columns needs the key to be a field: key_by('carrier') instead of a function. "
                "Compute the key with select() or map() before, or use an AggregateFunction"
            )
        return self._result(spec, ("columns",), None)

    def _check_function(self, method: str, function: Any, optional: bool) -> None:
        if function is None and optional:
            return
        if not isinstance(function, (self._plain, self._process)):
            raise TypeError(
                f"{method}(): the window function must be a {self._plain.__name__} or "
                f"{self._process.__name__}, not {function!r}"
            )

    def _result(
        self, spec: WindowSpec, functions: tuple[Any, ...], output_type: TypeInformation | None
    ) -> DataStream:
        if spec.allowed_lateness and not spec.assigner.is_event_time():
            raise ProgramError(
                f"allowed_lateness() is about event time, and {spec.assigner!r} goes by the machine's clock"
            )
        shown = ", ".join(_shown(function) for function in functions if function is not None)
        trigger = spec.trigger or spec.assigner.get_default_trigger(None)
        result = self._stream._transform(type(spec.assigner).__name__, spec, declared(output_type))
        return result.set_description(f"{self._kind}({spec.assigner!r}, {type(trigger).__name__}, {shown})")


class WindowedStream(_Windowed):
    """Got from `KeyedStream.window`: the records of each key in windows."""

    def __init__(self, keyed_stream: KeyedStream, window_assigner: WindowAssigner[Any, Any]) -> None:
        super().__init__(keyed_stream, keyed_stream._key, window_assigner)


class AllWindowedStream(_Windowed):
    """Got from `DataStream.window_all`: all records in windows, in one subtask."""

    _kind = "AllWindow"
    _plain = AllWindowFunction
    _process = ProcessAllWindowFunction

    def __init__(self, data_stream: DataStream, window_assigner: WindowAssigner[Any, Any]) -> None:
        super().__init__(data_stream, None, window_assigner)

    def _result(
        self, spec: WindowSpec, functions: tuple[Any, ...], output_type: TypeInformation | None
    ) -> DataStream:
        return super()._result(spec, functions, output_type).force_non_parallel()


def _shown(function: Any) -> str:
    if isinstance(function, str):
        return function
    return getattr(function, "__name__", None) or type(function).__name__
