"""The queue of timers."""

from __future__ import annotations

import random

from yarnflow.runtime.state.timers import TimerQueue


def test_timers_come_in_the_order_of_their_times_once() -> None:
    queue = TimerQueue()
    times = random.Random(7).choices(range(50), k=200)
    for number, time in enumerate(times):
        queue.add(time, number % 5)
        queue.add(time, number % 5, "namespace")
    expected = sorted({(time, number % 5) for number, time in enumerate(times)})
    assert len(queue) == 2 * len(expected)
    early = list(queue.due(20))
    assert [time for time, _, _ in early] == sorted(time for time, _, _ in early)
    late = list(queue.due(50))
    for namespace in (None, "namespace"):
        assert sorted((t, key) for t, key, found in early + late if found == namespace) == expected
    assert early[-1][0] <= 20 < late[0][0]
    assert queue.first() is None
    assert len(queue) == 0


def test_timers_that_are_deleted_and_set_while_others_fire() -> None:
    queue = TimerQueue()
    for key in "abc":
        queue.add(5, key)
    queue.add(6, "z")
    fired = []
    for time, key, _ in queue.due(7):
        fired.append((time, key))
        if key == "a" and len(fired) == 1:
            queue.remove(5, "b")
            queue.remove(6, "z")
            queue.add(5, "a")
            queue.add(7, "n")
            queue.add(8, "later")
    assert fired == [(5, "a"), (5, "c"), (5, "a"), (7, "n")]
    assert queue.first() == 8
