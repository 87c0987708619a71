"""The event loop of an asynchronous function: a thread that runs its coroutines, with timeouts and retries.

The task hands over records by `LoopThread.submit(calls.start, ...)`, one wake-up for many of them; `Calls` hands
back what has ended once per round of the loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from yarnflow.functions.async_retry import AsyncRetryStrategy
from yarnflow.runtime.operators.asynchronous.queue import Call

log = logging.getLogger(__name__)

#: Seconds that coroutines get to end when their task does.
STOP_TIMEOUT = 1.0

#: What a coroutine may end with. CancelledError: of something that the function waited for.
_FAILURES = (Exception, asyncio.CancelledError, KeyboardInterrupt, SystemExit)


class LoopThread:
    """A thread with an event loop."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; only `submit` and `run` may be used from other threads."""
        return self._loop

    def submit(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call a function in the loop soon."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Wait for a coroutine that runs in the loop; returns or raises what it does."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def cancel(self) -> bool:
        """Cancel everything and wait for it. False when that takes too long: a coroutine does not end."""
        try:
            asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result(STOP_TIMEOUT)
        except concurrent.futures.TimeoutError:
            return False
        return True

    def stop(self) -> None:
        """End the thread. When a coroutine keeps it busy it is left alone, and ends with the process."""
        self.submit(self._loop.stop)
        self._thread.join(STOP_TIMEOUT)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            # What was too slow for `cancel`, and that itself.
            if rest := asyncio.all_tasks(self._loop):
                for task in rest:
                    task.cancel()
                self._loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Calls:
    """The calls of one function. Everything here runs in the loop's thread.

    Args:
        loop: that runs them.
        function: an AsyncFunction.
        timeout: seconds per record, all attempts together; 0 for none.
        retry: a strategy or None.
        hand_over: takes calls that have ended; called from the loop's thread.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Any,
        timeout: float,
        retry: AsyncRetryStrategy[Any] | None,
        hand_over: Callable[[list[Call]], None],
    ) -> None:
        self._loop = loop
        self._function = function
        self._timeout = timeout
        self._retry = retry
        self._hand_over = hand_over
        #: In the order in which they were started, which is that of their deadlines.
        self._running: dict[Call, asyncio.Task[None]] = {}
        self._ended: list[Call] = []
        self._timer: asyncio.TimerHandle | None = None

    def start(self, calls: Sequence[Call]) -> None:
        """Begin with some records."""
        create, running = self._loop.create_task, self._running
        attempt = self._once if self._retry is None else self._repeatedly
        deadline = self._loop.time() + self._timeout
        for call in calls:
            call.deadline = deadline
            running[call] = create(attempt(call))
        if self._timeout and self._timer is None and running:
            self._timer = self._loop.call_at(deadline, self._expire)

    async def _once(self, call: Call) -> None:
        try:
            results = await self._function.async_invoke(call.record)
        except _FAILURES as error:
            self._end(call, None, error)
        else:
            self._end(call, results, None)

    async def _repeatedly(self, call: Call) -> None:
        assert self._retry is not None
        attempts = 1
        try:
            while True:
                again, results, error = await self._attempt(call)
                if not again or not self._retry.can_retry(attempts):
                    break
                await asyncio.sleep(self._retry.get_backoff_time_millis(attempts) / 1000)
                attempts += 1
        except _FAILURES as raised:
            self._end(call, None, raised)
        else:
            self._end(call, results, error)

    async def _attempt(self, call: Call) -> tuple[bool, Any, Exception | None]:
        """Whether another attempt is wanted, the result, and what was raised."""
        assert self._retry is not None
        predicate = self._retry.get_retry_predicate()
        try:
            results = await self._function.async_invoke(call.record)
        except Exception as error:  # the predicate says which ones are worth another attempt
            wanted = predicate.exception_predicate()
            return wanted is not None and bool(wanted(error)), None, error
        unwanted = predicate.result_predicate()
        return unwanted is not None and bool(unwanted(results)), results, None

    def _end(self, call: Call, results: Any, error: BaseException | None) -> None:
        # What has timed out is not running any more, and its end is known.
        if self._running.pop(call, None) is None:
            return
        call.results, call.error = results, error
        if not self._ended:
            # In the next round: whatever else ends in this one goes with it.
            self._loop.call_soon(self._pass_on)
        self._ended.append(call)

    def _pass_on(self) -> None:
        ended, self._ended = self._ended, []
        self._hand_over(ended)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        late = []
        for call in self._running:
            if call.deadline > now:
                self._timer = self._loop.call_at(call.deadline, self._expire)
                break
            late.append(call)
        for call in late:
            task = self._running[call]
            try:
                self._end(call, self._function.timeout(call.record), None)
            except Exception as error:  # as any other failure of the function
                self._end(call, None, error)
            task.cancel()
