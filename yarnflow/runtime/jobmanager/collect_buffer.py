"""Records on their way from workers to the client that called execute_and_collect().

Workers number their messages and keep a few unacknowledged; the client fetches pages by token. A page is kept
until the next token arrives, so a lost answer can be asked for again, and only then are its messages acknowledged
to the workers: a slow client slows the job down instead of filling memory here.

Without checkpoints a restarted task sends its records again from the start. What the client has not seen is
simply forgotten; once it has seen something of a task that restarts, the results cannot be right any more, and
the job fails with that explanation (Flink does the same).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from yarnflow.errors import ProtocolError
from yarnflow.runtime.jobmanager.views import CollectedPage
from yarnflow.runtime.rpc.messages import CollectedRows

#: Bytes of records in one page, at most (one message is always taken whole).
PAGE_BYTES = 8 << 20


class CollectBuffer:
    """Messages of one collect id."""

    def __init__(self) -> None:
        self._waiting: deque[CollectedRows] = deque()
        self._page: tuple[CollectedRows, ...] = ()
        self._token = 0
        self._seen: set[str] = set()

    def add(self, message: CollectedRows) -> None:
        """A worker sent records."""
        self._waiting.append(message)

    @property
    def empty(self) -> bool:
        """True when a fetch with the newest token would have to wait."""
        return not self._waiting

    def is_new(self, token: int) -> bool:
        """True when `token` acknowledges the current page, False when it repeats it.

        Raises ProtocolError for any other token."""
        if token == self._token:
            return True
        if token == self._token - 1 and self._token > 0:
            return False
        raise ProtocolError(
            f"token {token} is not valid here: the next page has token {self._token}. Is another client "
            "reading the same results?"
        )

    def acknowledge(self) -> list[tuple[str, int]]:
        """The client has the current page: (execution id, sequence) up to which workers may forget."""
        newest = {message.execution_id: message.sequence for message in self._page}
        self._page = ()
        return list(newest.items())

    def fetch(self, token: int, ended: bool) -> CollectedPage:
        """The page for `token`. `ended`: no worker will send more."""
        if self.is_new(token):
            taken: list[CollectedRows] = []
            size = 0
            while self._waiting and (not taken or size + len(self._waiting[0].rows) <= PAGE_BYTES):
                message = self._waiting.popleft()
                size += len(message.rows)
                taken.append(message)
            self._page = tuple(taken)
            self._seen.update(message.execution_id for message in taken)
            if taken:
                self._token += 1
        return CollectedPage(
            self._token, tuple(message.rows for message in self._page), ended and not self._waiting
        )

    def forget(self, execution_ids: Iterable[str]) -> bool:
        """These attempts will begin anew. Returns False when the client has seen records of one."""
        gone = set(execution_ids)
        self._waiting = deque(message for message in self._waiting if message.execution_id not in gone)
        return not (gone & self._seen)
