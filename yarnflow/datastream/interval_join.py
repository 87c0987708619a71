"""Joining two keyed streams by how far their records are apart in time. PyFlink has no such join; the names are
those of Flink's Java API."""

from __future__ import annotations

from typing import Any, NoReturn, Union

from yarnflow.common.time import Duration, Time, millis
from yarnflow.common.typeinfo import TypeInformation
from yarnflow.datastream.arguments import declared
from yarnflow.datastream.keyed_stream import KeyedStream
from yarnflow.datastream.stream import DataStream
from yarnflow.errors import ProgramError
from yarnflow.functions.join_functions import ProcessJoinFunction
from yarnflow.functions.output_tag import OutputTag
from yarnflow.graph.operators import IntervalJoinSpec

__all__ = ["IntervalJoin", "IntervalJoined"]

Span = Union[Time, Duration]  # noqa: UP007 - evaluated at run time


class IntervalJoin:
    """Got from `KeyedStream.interval_join`: both streams, before the interval is known."""

    def __init__(self, left: KeyedStream, right: KeyedStream) -> None:
        self._left = left
        self._right = right

    def in_event_time(self) -> IntervalJoin:
        """Join by event time, as it does anyway."""
        return self

    def in_processing_time(self) -> NoReturn:
        """Refuses, as Flink does."""
        raise ProgramError("an interval join works in event time only")

    def between(self, lower_bound: Span, upper_bound: Span) -> IntervalJoined:
        """Join with records of the other stream from `lower_bound` before (when negative) or after the time of a
        record of this one to `upper_bound`; both included."""
        lower, upper = millis(lower_bound), millis(upper_bound)
        if lower > upper:
            raise ProgramError(f"between({lower} ms, {upper} ms): the lower bound is above the upper bound")
        return IntervalJoined(self._left, self._right, lower, upper)


class IntervalJoined:
    """Two keyed streams with an interval; `process` makes the join."""

    def __init__(self, left: KeyedStream, right: KeyedStream, lower: int, upper: int) -> None:
        self._left = left
        self._right = right
        self._lower = lower
        self._upper = upper
        self._exclusive = [False, False]
        self._late_tags: list[OutputTag | None] = [None, None]

    def lower_bound_exclusive(self) -> IntervalJoined:
        """Leave the lower bound out."""
        self._exclusive[0] = True
        return self

    def upper_bound_exclusive(self) -> IntervalJoined:
        """Leave the upper bound out."""
        self._exclusive[1] = True
        return self

    def side_output_left_late_data(self, output_tag: OutputTag) -> IntervalJoined:
        """Emit records of this stream that come after the watermark to a side output instead of dropping them."""
        self._late_tags[0] = _tag(output_tag)
        return self

    def side_output_right_late_data(self, output_tag: OutputTag) -> IntervalJoined:
        """The same for the other stream."""
        self._late_tags[1] = _tag(output_tag)
        return self

    def process(self, func: ProcessJoinFunction, output_type: TypeInformation | None = None) -> DataStream:
        """Call `func.process_element(left, right, context)` for each pair. Works in event time only."""
        if not isinstance(func, ProcessJoinFunction):
            raise TypeError(f"process() of an interval join needs a ProcessJoinFunction, not {func!r}")
        # Times are whole milliseconds.
        lower, upper = self._lower + self._exclusive[0], self._upper - self._exclusive[1]
        if lower > upper:
            raise ProgramError(
                f"between({self._lower} ms, {self._upper} ms) without its bounds is empty: nothing would be joined"
            )
        spec = IntervalJoinSpec(
            func, (self._left._key, self._right._key), lower, upper, (self._late_tags[0], self._late_tags[1])
        )
        environment = self._left._environment
        inputs = (self._left._transformation, self._right._transformation)
        operator = environment.add_operator("Interval Join", spec, inputs, declared(output_type))
        return DataStream(environment, operator)


def _tag(tag: Any) -> OutputTag:
    if not isinstance(tag, OutputTag):
        raise TypeError(f"a side output is named by an OutputTag, not {tag!r}")
    return tag
