"""What programs implement to ask other systems without waiting for each answer: `AsyncFunction`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Generic, TypeVar

from yarnflow.functions.user_functions import Function

__all__ = ["AsyncFunction"]

#: What may be written between the brackets when a program annotates its class; nothing reads them.
IN = TypeVar("IN")
OUT = TypeVar("OUT")


class AsyncFunction(Function, Generic[IN, OUT]):
    """Makes records out of one record, with `await` in between; many records are under way at once.

    All coroutines of a subtask run in one event loop in one thread of its own, `timeout` and the predicates of a
    retry strategy too: what they share needs no locks, and clients that belong to an event loop (aiohttp, asyncpg,
    ...) can be kept in the function. `open` and `close` run in the task's thread, before the first call and when
    none is under way any more; declared as `async def` (yarnflow's own) they run in the loop, which is where such
    clients are opened and closed.

    Records that are under way are part of checkpoints and are asked about again after a failure, so a function
    does not change `value`.
    """

    @abstractmethod
    async def async_invoke(self, value: IN) -> Iterable[OUT]:
        """Return the records that take the place of `value`: a list, empty for none. What is raised fails the
        task, unless the retry strategy wants another attempt. After the timeout the coroutine is cancelled."""

    def timeout(self, value: IN) -> Iterable[OUT]:
        """Called when `async_invoke` takes too long, all attempts together: return the records to emit instead,
        or raise what the task fails with. Raises TimeoutError if not overridden."""
        raise TimeoutError(f"{type(self).__name__}.async_invoke() has timed out for the record {value!r}")
