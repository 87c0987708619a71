"""Session windows that fire when time passes their end: a list of sessions per key, and no timers.

Most keys have one open session, and most records lengthen it: that is two comparisons and an `add`, of which no
timer need know. One queue has for each session a time at which to look at it: if the session has grown meanwhile,
it is put back under its new end, which happens about once per gap, and else it fires.

A session is a list, because it changes with every record:

    [start, end, contents, check]    check: the time under which it is queued

Sessions of a key are in order, and lie apart. A session that has not fired is queued before its end, one that has
(and stays, for late records) after it.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.windows.time_windows import SessionWindows
from yarnflow.functions.windows.window import TimeWindow
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.keyed import check_key
from yarnflow.runtime.operators.windows.base import FiredByTimeOperator
from yarnflow.runtime.operators.windows.contents import MISSING
from yarnflow.runtime.state.restore import RestoredOperator
from yarnflow.runtime.state.snapshot import TaskSnapshot
from yarnflow.runtime.state.timers import TimerQueue

#: Names under which state is stored.
SESSIONS = "window-sessions"
CHECKS = "window-session-checks"

Session = list[Any]


class SessionOperator(FiredByTimeOperator):
    """Sessions in event or processing time, with the assigner's own trigger.

    Attributes:
        sessions: lists of sessions by key.
        checks: when to look at the sessions of a key.
    """

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assert isinstance(self.spec.assigner, SessionWindows)
        self._assigner = self.spec.assigner
        self.sessions: MutableMapping[Any, list[Session]] = self.backend.table(SESSIONS).of(None)
        self.checks = TimerQueue()
        self._late: list[tuple[Any, int]] = []

    def layout(self) -> str:
        return f"sessions with {self.contents.kept}"

    def restore(self, restored: RestoredOperator) -> None:
        super().restore(restored)
        self.checks.restore(restored, CHECKS)
        self.sessions = self.backend.table(SESSIONS).of(None)

    def snapshot(self, snapshot: TaskSnapshot) -> None:
        super().snapshot(snapshot)
        self.checks.snapshot(snapshot, self.operator.operator_id, CHECKS)

    # -- records ---------------------------------------------------------------------------------------------

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        if not batch.rows:
            return
        self.check_keys(batch.rows)
        if self.in_event_time:
            times = self.needs_time(batch)
        else:
            times = [self.read_clock()] * len(batch.rows)
        self._take(batch.rows, times)
        if self._late:
            late, self._late = self._late, []
            self.late([record for record, _ in late], [time for _, time in late])
        self.emit_results()

    def _take(self, records: list[Any], times: list[int]) -> None:
        select, add, state = self.contents.key, self.contents.add, self.sessions
        get, gap, gap_of = state.get, self._assigner.fixed_gap, self._assigner.gap_of
        fixed = gap > 0
        key = record = None
        try:
            for record, time in zip(records, times, strict=True):
                key = select(record)
                if not fixed:
                    gap = gap_of(record)
                sessions = get(key)
                if sessions is not None:
                    last = sessions[-1]
                    start, end, known, check = last
                    if start <= time <= end and check < end:
                        last[2] = add(known, record, time)
                        if time + gap > end:
                            last[1] = time + gap
                        state[key] = sessions
                        continue
                self._place(key, sessions or [], record, time, time + gap)
        except TypeError as error:
            check_key(self.operator.name, error, key, record)
            raise

    def _place(self, key: Any, sessions: list[Session], record: Any, start: int, end: int) -> None:
        """Add a record that does not simply lengthen the last session of its key."""
        behind = len(sessions)
        while behind and sessions[behind - 1][0] > end:
            behind -= 1
        first = behind
        while first and sessions[first - 1][1] >= start:
            first -= 1
        touched = sessions[first:behind]
        if not touched and end - 1 + self.lateness <= self.now:
            self._late.append((record, start))
            return
        time, known, check = start, MISSING, None
        if touched:
            start, end = min(start, touched[0][0]), max(end, touched[-1][1])
            known, check = touched[0][2:]
            for other in touched[1:]:  # the check of these is void
                known = self.contents.merge(known, other[2])
        known = self.contents.add(known, record, time)
        ended = end - 1 <= self.now
        wanted = end - 1 + (self.lateness if ended else 0)
        if check is None or wanted < check:
            check = wanted
            self.checks.add(check, key)
        sessions[first:behind] = [[start, end, known, check]]
        self.sessions[key] = sessions
        if ended:
            self.evaluate_key(TimeWindow(start, end), key, known, stays=True)

    # -- time ------------------------------------------------------------------------------------------------

    def next_timer(self) -> int | None:
        first = None if self.in_event_time else self.checks.first()
        return None if first is None else first + 1

    def fire_due(self) -> None:
        get = self.sessions.get
        for check, key, _ in self.checks.due(self.now):
            # None when they have become part of others; seldom several, queued under the same time.
            for session in [one for one in get(key, ()) if one[3] == check]:
                self._look_at(key, session)

    def _look_at(self, key: Any, session: Session) -> None:
        """The time under which the session was queued has come."""
        start, end, known, check = session
        again = end - 1
        if again == check:
            self.evaluate_key(TimeWindow(start, end), key, known, stays=bool(self.lateness))
        if again <= check:
            again += self.lateness
        state = self.sessions
        sessions = state[key]
        if again > check:
            session[3] = again
            self.checks.add(again, key)
            state[key] = sessions
            return
        sessions.remove(session)
        if sessions:
            state[key] = sessions
        else:
            del state[key]
        if self.has_clear:
            self.clear_key(TimeWindow(start, end), key)
