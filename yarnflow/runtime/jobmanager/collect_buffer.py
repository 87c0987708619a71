"""Records on their way from workers to the client that called execute_and_collect().

Workers number their messages and keep a few unacknowledged; the client fetches pages by token. A page is kept
until the next token arrives, so a lost answer can be asked for again, and only then are its messages acknowledged
to the workers: a slow client slows the job down instead of filling memory here.

Without checkpoints a restarted task sends its records again from the start. What the client has not seen is
simply forgotten; once it has seen something of a task that restarts, the results cannot be right any more, and
the job fails with that explanation (Flink does the same).

With checkpoints records are held back until a checkpoint is complete whose barrier came after them: then no
restart sends them again. Up to HELD_BYTES are acknowledged at once. Beyond, workers wait until the next checkpoint
is under way, and then go on until they have sent what came before its barrier: that releases what is held here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from yarnflow.errors import ProtocolError
from yarnflow.runtime.jobmanager.views import CollectedPage
from yarnflow.runtime.rpc.messages import CollectedRows

#: Bytes of records in one page, at most (one message is always taken whole).
PAGE_BYTES = 8 << 20

#: Bytes that may be held back for a checkpoint before workers wait for one. What they send from before its
#: barrier, no more than lies in the channels between tasks, is held as well.
HELD_BYTES = 128 << 20

#: Released bytes that may wait for the client before workers wait too, when checkpoints are taken.
WAITING_BYTES = 64 << 20


class CollectBuffer:
    """Messages of one collect id.

    Args:
        checkpointed: records wait for checkpoints.
    """

    def __init__(self, checkpointed: bool = False) -> None:
        self._checkpointed = checkpointed
        self._held: deque[CollectedRows] = deque()
        self._held_bytes = 0
        self._waiting: deque[CollectedRows] = deque()
        self._waiting_bytes = 0
        self._released = 0
        self._page: tuple[CollectedRows, ...] = ()
        self._token = 0
        #: Attempts of whose records the client has some, and the newest barrier before one of these.
        self._seen: dict[str, int] = {}
        #: Newest sequence of each attempt that is not acknowledged to its worker.
        self._unacknowledged: dict[str, int] = {}
        #: The last barrier that each attempt has sent its records behind.
        self._barriers: dict[str, int] = {}

    def add(self, message: CollectedRows) -> None:
        """A worker sent records."""
        if not self._checkpointed:
            self._waiting.append(message)
            return
        self._unacknowledged[message.execution_id] = message.sequence
        self._barriers[message.execution_id] = message.checkpoint_id
        if message.checkpoint_id < self._released:
            self._release(message)
        else:
            self._hold(message)

    def release(self, checkpoint_id: int | None) -> None:
        """A checkpoint is complete: records from before its barrier may go. None: all may."""
        held, self._held, self._held_bytes = self._held, deque(), 0
        for message in held:
            if checkpoint_id is None or message.checkpoint_id < checkpoint_id:
                self._release(message)
            else:
                self._hold(message)
        self._released = max(self._released, checkpoint_id or 0)

    def _hold(self, message: CollectedRows) -> None:
        self._held.append(message)
        self._held_bytes += len(message.rows)

    def _release(self, message: CollectedRows) -> None:
        self._waiting.append(message)
        self._waiting_bytes += len(message.rows)

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

    def client_has_page(self) -> None:
        """The client asked for the next page: it has the current one."""
        if not self._checkpointed:
            for message in self._page:
                self._unacknowledged[message.execution_id] = message.sequence
        self._page = ()

    def acknowledge(self, under_way: int = 0) -> list[tuple[str, int]]:
        """(execution id, sequence) up to which workers may forget now, and send more.

        Args:
            under_way: the newest checkpoint whose barriers are on their way; 0 for none.
        """
        newest = self._unacknowledged
        if self._checkpointed and self._waiting_bytes > WAITING_BYTES:
            return []
        if self._checkpointed and self._held_bytes > HELD_BYTES:
            # Only those that the barrier has still to reach.
            newest = {attempt: sent for attempt, sent in newest.items() if self._barriers[attempt] < under_way}
        self._unacknowledged = {
            attempt: sent for attempt, sent in self._unacknowledged.items() if attempt not in newest
        }
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
            self._waiting_bytes -= size
            # An attempt's messages come in order.
            self._seen.update((message.execution_id, message.checkpoint_id) for message in taken)
            if taken:
                self._token += 1
        return CollectedPage(
            self._token, tuple(message.rows for message in self._page), ended and not self._waiting
        )

    def forget(self, execution_ids: Iterable[str], restored_id: int = 0) -> bool:
        """These attempts will begin anew, from checkpoint `restored_id` (0: from the start). Returns False when
        their successors would repeat what the client has seen."""
        gone = set(execution_ids)
        for execution_id in gone:
            self._unacknowledged.pop(execution_id, None)
            self._barriers.pop(execution_id, None)
        if self._checkpointed:
            # Released records are from before the checkpoint that the successors start from.
            held, self._held, self._held_bytes = self._held, deque(), 0
            for message in held:
                if message.execution_id not in gone:
                    self._hold(message)
            return True
        self._waiting = deque(
            message
            for message in self._waiting
            if message.execution_id not in gone or message.checkpoint_id < restored_id
        )
        return not any(self._seen.get(execution_id, -1) >= restored_id for execution_id in gone)
