"""Joining two streams by key and window. PyFlink has no such joins; the names are those of Flink's Java API.

    first.join(second).where(key1).equal_to(key2).window(assigner).apply(join_function)
    first.co_group(second).where(key1).equal_to(key2).window(assigner).apply(co_group_function)

Both streams are united and go through one exchange by key into one window operator. What the window sees (custom
assigners, triggers and evictors, too) are tuples (key, 0 or 1, record): 0 for a record of the first stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from yarnflow.common.typeinfo import TypeInformation
from yarnflow.datastream.arguments import Key, check_key, checked
from yarnflow.datastream.keyed_stream import KeyedStream
from yarnflow.datastream.stream import DataStream
from yarnflow.functions.join_functions import CoGroupFunction, FlatJoinFunction, JoinFunction
from yarnflow.functions.window_joins import CoGroupWindow, JoinWindow, Tagged
from yarnflow.graph.operators import MapSpec

if TYPE_CHECKING:
    from typing_extensions import Self

    from yarnflow.common.time import Duration, Time
    from yarnflow.datastream.windowed_stream import WindowedStream
    from yarnflow.functions.windows.assigner import WindowAssigner
    from yarnflow.functions.windows.evictors import Evictor
    from yarnflow.functions.windows.trigger import Trigger

__all__ = ["CoGroupedStreams", "JoinedStreams", "WindowedCoGroup", "WindowedJoin"]


class _Windowed:
    """Both streams in windows."""

    _name: str

    def __init__(self, windowed: WindowedStream) -> None:
        self._windowed = windowed

    def trigger(self, trigger: Trigger[Any, Any]) -> Self:
        """Say when windows give results, in place of the assigner's own trigger."""
        self._windowed = self._windowed.trigger(trigger)
        return self

    def evictor(self, evictor: Evictor) -> Self:
        """Say what is taken out of windows before or after their function is called."""
        self._windowed = self._windowed.evictor(evictor)
        return self

    def allowed_lateness(self, time: int | Time | Duration) -> Self:
        """Keep windows so long (ms) after the watermark has passed their end; late records until then make them
        give results again."""
        self._windowed = self._windowed.allowed_lateness(time)
        return self

    def _apply(self, function: Any, output_type: TypeInformation | None) -> DataStream:
        return self._windowed.apply(function, output_type).name(self._name)


class WindowedCoGroup(_Windowed):
    """`apply` makes the co-group."""

    _name = "Window Co-Group"

    def apply(
        self,
        function: CoGroupFunction | Callable[[list[Any], list[Any]], Any],
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Call `function.co_group(records of the first stream, records of the second)` per key and window in which
        there is any record. A plain function of two lists that returns an iterable does, too."""
        checked(function, CoGroupFunction, "co_group().apply")
        return self._apply(CoGroupWindow(function), output_type)


class WindowedJoin(_Windowed):
    """`apply` makes the join."""

    _name = "Window Join"

    def apply(
        self,
        function: JoinFunction | FlatJoinFunction | Callable[[Any, Any], Any],
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Call `function.join(first, second)` for each pair of records of one key in one window: an inner join. A
        plain function is used as a JoinFunction: what it returns is the record."""
        if not isinstance(function, FlatJoinFunction):
            checked(function, JoinFunction, "join().apply")
        return self._apply(JoinWindow(function), output_type)


W = TypeVar("W", bound=_Windowed)


class _Streams(Generic[W]):
    """Two streams; `where` comes next."""

    def __init__(self, first: DataStream, second: DataStream, result: type[W]) -> None:
        self._first = first
        self._second = second
        self._result = result

    def where(self, key_selector: Key, key_type: TypeInformation | None = None) -> Where[W]:
        """Select the key of records of the first stream."""
        check_key(key_selector, "where")
        return Where(self._first, self._second, key_selector, key_type, self._result)


class JoinedStreams(_Streams[WindowedJoin]):
    """Got from `DataStream.join`."""

    def __init__(self, first: DataStream, second: DataStream) -> None:
        super().__init__(first, second, WindowedJoin)


class CoGroupedStreams(_Streams[WindowedCoGroup]):
    """Got from `DataStream.co_group`."""

    def __init__(self, first: DataStream, second: DataStream) -> None:
        super().__init__(first, second, WindowedCoGroup)


class Where(Generic[W]):
    """Two streams, and the key of the first; `equal_to` comes next."""

    def __init__(
        self, first: DataStream, second: DataStream, key: Key, key_type: TypeInformation | None, result: type[W]
    ) -> None:
        self._first = first
        self._second = second
        self._key = key
        self._key_type = key_type
        self._result = result

    def equal_to(self, key_selector: Key) -> EqualTo[W]:
        """Select the key of records of the second stream."""
        check_key(key_selector, "equal_to")
        tagged = [
            _unkeyed(stream)._transform(f"Tag {number + 1}", MapSpec(Tagged(number, key)), None)
            for number, (stream, key) in enumerate(((self._first, self._key), (self._second, key_selector)))
        ]
        return EqualTo(tagged[0].union(tagged[1]).key_by(0, self._key_type), self._result)


def _unkeyed(stream: DataStream) -> DataStream:
    """The stream before key_by(): another exchange follows."""
    return stream._origin if isinstance(stream, KeyedStream) else stream


class EqualTo(Generic[W]):
    """Two streams united by key; `window` comes next."""

    def __init__(self, united: Any, result: type[W]) -> None:
        self._united = united
        self._result = result

    def window(self, assigner: WindowAssigner[Any, Any]) -> W:
        """Say which windows records belong to."""
        return self._result(self._united.window(assigner))
