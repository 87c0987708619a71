"""`AsyncDataStream`: asking other systems about the records of a stream, many at a time."""

from __future__ import annotations

import inspect
from typing import Any, Union

from yarnflow.common.time import Duration, Time, millis
from yarnflow.common.typeinfo import TypeInformation
from yarnflow.datastream.arguments import declared
from yarnflow.datastream.stream import DataStream
from yarnflow.errors import ProgramError
from yarnflow.functions.async_functions import AsyncFunction
from yarnflow.functions.async_retry import NO_RETRY_STRATEGY, AsyncRetryStrategy
from yarnflow.graph.operators import AsyncSpec

__all__ = ["AsyncDataStream"]

Timeout = Union[Time, Duration]  # noqa: UP007 - evaluated at run time


class AsyncDataStream:
    """Applies an AsyncFunction to a stream.

    At most `capacity` records per subtask are under way: asked about, or answered and waiting for their turn. Then
    the stream before waits. `timeout` bounds the time of one record, all attempts together; 0 stands for none.
    Ordered or not, records never overtake watermarks.

        answers = AsyncDataStream.unordered_wait(stream, Lookup(), Time.seconds(5), capacity=1000)
    """

    @staticmethod
    def unordered_wait(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: Timeout,
        capacity: int = 100,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Emit results as they come."""
        return _wait(data_stream, async_function, timeout, NO_RETRY_STRATEGY, capacity, output_type, ordered=False)

    @staticmethod
    def unordered_wait_with_retry(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: Timeout,
        async_retry_strategy: AsyncRetryStrategy[Any],
        capacity: int = 100,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """As `unordered_wait`, with more attempts as the strategy says. It needs a timeout above 0."""
        return _wait(
            data_stream, async_function, timeout, async_retry_strategy, capacity, output_type, ordered=False
        )

    @staticmethod
    def ordered_wait(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: Timeout,
        capacity: int = 100,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """Emit results in the order of the records they belong to."""
        return _wait(data_stream, async_function, timeout, NO_RETRY_STRATEGY, capacity, output_type, ordered=True)

    @staticmethod
    def ordered_wait_with_retry(
        data_stream: DataStream,
        async_function: AsyncFunction[Any, Any],
        timeout: Timeout,
        async_retry_strategy: AsyncRetryStrategy[Any],
        capacity: int = 100,
        output_type: TypeInformation | None = None,
    ) -> DataStream:
        """As `ordered_wait`, with more attempts as the strategy says. It needs a timeout above 0."""
        return _wait(
            data_stream, async_function, timeout, async_retry_strategy, capacity, output_type, ordered=True
        )


def _wait(
    stream: Any,
    function: Any,
    timeout: Timeout,
    retry: Any,
    capacity: int,
    output_type: TypeInformation | None,
    ordered: bool,
) -> DataStream:
    if not isinstance(stream, DataStream):
        raise TypeError(f"AsyncDataStream needs a stream, not {stream!r}")
    if isinstance(function, type):
        raise TypeError(f"AsyncDataStream needs an AsyncFunction, not a class: give {function.__name__}()")
    if not inspect.iscoroutinefunction(getattr(function, "async_invoke", None)):
        raise ProgramError(
            f"AsyncDataStream needs an AsyncFunction whose async_invoke() is declared as `async def`; "
            f"{type(function).__name__} has none"
        )
    if not isinstance(retry, AsyncRetryStrategy):
        raise TypeError(f"AsyncDataStream needs an AsyncRetryStrategy, not {retry!r}")
    if retry.get_retry_predicate() is None:
        raise ProgramError(f"{type(retry).__name__}.get_retry_predicate() returned None")
    limit = millis(timeout)
    if retry is not NO_RETRY_STRATEGY and limit <= 0:
        raise ProgramError("AsyncDataStream with a retry strategy needs a timeout above 0")
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        raise ProgramError(f"AsyncDataStream: the capacity must be 1 or more records, not {capacity!r}")
    spec = AsyncSpec(function, max(limit, 0), capacity, ordered, None if retry is NO_RETRY_STRATEGY else retry)
    environment = stream._environment
    operator = environment.add_operator(
        "async wait operator", spec, (stream._transformation,), declared(output_type)
    )
    return DataStream(environment, operator)
