"""One writer per component: a mailbox, and one task that takes from it.

Everything that changes a component's state is an event in its mailbox, whoever posts it, so no handler is
ever entered from within another and no lock is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

E = TypeVar("E")


class Mailbox(Generic[E]):
    """Events of one component, handled one after the other on the event loop.

    Args:
        name: of the task, for debugging.
        handle: takes one event; must not block.
        broken: told of an exception in `handle`, after which the mailbox takes no more.
    """

    def __init__(self, name: str, handle: Callable[[E], None], broken: Callable[[BaseException], None]) -> None:
        self._handle = handle
        self._broken = broken
        self._queue: asyncio.Queue[E | None] = asyncio.Queue()
        self._closed = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name=name)

    def post(self, event: E) -> None:
        """Append an event. After `close` it is dropped: nobody is there any more."""
        if not self._closed:
            self._queue.put_nowait(event)

    async def close(self) -> None:
        """Handle what is there, then end."""
        self._closed = True
        self._queue.put_nowait(None)
        await self._task

    async def _run(self) -> None:
        while (event := await self._queue.get()) is not None:
            try:
                self._handle(event)
            except Exception as error:
                self._closed = True
                self._broken(error)
                return
