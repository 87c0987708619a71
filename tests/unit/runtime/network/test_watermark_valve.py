"""The valve against sentences, and against a naive model of the same rules."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK, Watermark, WatermarkStatus
from yarnflow.runtime.network.watermark_valve import WatermarkValve

IDLE, ACTIVE = WatermarkStatus(True), WatermarkStatus(False)


def at(*watermarks: int) -> WatermarkValve:
    """A valve whose channels stand there."""
    valve = WatermarkValve(len(watermarks))
    for channel, timestamp in enumerate(watermarks):
        valve.watermark(channel, timestamp)
    return valve


def test_the_minimum_of_all_channels_is_given_out() -> None:
    valve = WatermarkValve(3)
    assert valve.watermark(0, 30) == ()
    assert valve.watermark(1, 10) == ()
    assert valve.watermark(2, 20) == (Watermark(10),)
    assert valve.watermark(1, 40) == (Watermark(20),)
    assert valve.combined == 20


def test_a_watermark_that_does_not_grow_is_ignored() -> None:
    valve = at(10)
    assert valve.watermark(0, 10) == ()
    assert valve.watermark(0, 5) == ()
    assert valve.combined == 10


def test_an_idle_channel_holds_nothing_back() -> None:
    valve = at(10, 50)
    assert valve.status(0, True) == (Watermark(50),)
    assert valve.watermark(1, 60) == (Watermark(60),)
    assert valve.watermark(0, 70) == ()


def test_a_channel_that_is_behind_when_it_is_active_again_counts_once_it_has_caught_up() -> None:
    valve = at(10, 50)
    valve.status(0, True)
    assert valve.status(0, False) == ()
    assert valve.watermark(0, 20) == ()
    assert valve.watermark(1, 60) == (Watermark(60),)
    assert valve.watermark(0, 60) == ()
    assert valve.watermark(1, 70) == ()
    assert valve.watermark(0, 65) == (Watermark(65),)


def test_the_task_is_idle_when_all_channels_are() -> None:
    valve = at(10, 10)
    assert valve.status(0, True) == ()
    assert valve.status(1, True) == (IDLE,)
    assert valve.status(1, True) == ()
    assert valve.idle
    assert valve.status(0, False) == (ACTIVE,)
    assert valve.status(1, False) == ()


def test_the_highest_watermark_is_given_out_before_the_task_goes_idle() -> None:
    valve = at(10, 50)
    valve.status(1, True)
    assert valve.status(0, True) == (Watermark(50), IDLE)


def test_a_channel_that_has_ended_leaves_event_time_to_the_others() -> None:
    valve = at(10, 50)
    assert valve.ended(0) == (Watermark(50),)
    assert valve.watermark(1, 60) == (Watermark(60),)
    assert valve.ended(0) == ()
    assert valve.watermark(1, MAX_WATERMARK) == (Watermark(MAX_WATERMARK),)


def test_an_idle_channel_does_not_make_event_time_end_when_another_has_ended() -> None:
    valve = at(10, 50)
    valve.watermark(0, MAX_WATERMARK)
    assert valve.status(1, True) == (IDLE,)
    assert valve.combined == 50
    assert valve.ended(1) == (ACTIVE, Watermark(MAX_WATERMARK))


def test_a_channel_that_ends_makes_the_task_idle_when_all_others_are() -> None:
    valve = at(10, 50)
    valve.status(1, True)
    assert valve.ended(0) == (Watermark(50), IDLE)


def test_a_suspended_channel_goes_on_to_hold_event_time_back() -> None:
    valve = at(10, 50)
    assert valve.ended(0, drain=False) == ()
    assert valve.watermark(1, 60) == ()
    assert valve.ended(1, drain=False) == ()
    assert valve.combined == 10


class NaiveValve:
    """The same rules, computed anew after each event."""

    def __init__(self, channels: int) -> None:
        self.output = MIN_WATERMARK
        self.idle = False
        self.channels: list[dict[str, Any]] = [
            {"watermark": MIN_WATERMARK, "idle": False, "done": False, "behind": False} for _ in range(channels)
        ]

    def apply(self, channel: int, kind: str, value: int) -> list[Any]:
        state = self.channels[channel]
        if state["done"]:
            return []
        left = None
        if kind == "end":
            left = None if state["idle"] or state["done"] else state["watermark"]
            state["done"] = True
        elif kind == "idle":
            left = None if state["idle"] else state["watermark"]
            state["idle"] = True
        elif kind == "active" and state["idle"]:
            state["idle"] = False
            state["behind"] = state["watermark"] < self.output
        elif kind == "watermark" and not state["idle"]:
            state["watermark"] = max(state["watermark"], value)
            state["behind"] = state["behind"] and state["watermark"] < self.output
        return self.settle(left)

    def settle(self, left: int | None) -> list[Any]:
        still_open = [state for state in self.channels if not state["done"]]
        idle = bool(still_open) and all(state["idle"] for state in still_open)
        counting = [s["watermark"] for s in still_open if not s["idle"] and not s["behind"]]
        target = min(counting, default=self.output)
        if not still_open:
            target = MAX_WATERMARK
        elif idle and left == self.output:
            target = max(state["watermark"] for state in still_open)
        result: list[Any] = []
        if self.idle and not idle:
            result.append(ACTIVE)
        if target > self.output:
            self.output = target
            result.append(Watermark(target))
        if idle and not self.idle:
            result.append(IDLE)
        self.idle = idle
        return result


@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["watermark"] * 5 + ["idle", "idle", "active", "active", "end"]),
            st.integers(0, 20),
        ),
        max_size=60,
    ),
)
def test_it_behaves_like_the_naive_model(channels: int, events: list[tuple[int, str, int]]) -> None:
    valve, model = WatermarkValve(channels), NaiveValve(channels)
    for number, kind, value in events:
        channel = number % channels
        before = valve.combined
        if kind == "watermark":
            result = valve.watermark(channel, value)
        elif kind == "end":
            result = valve.ended(channel)
        else:
            result = valve.status(channel, kind == "idle")
        assert list(result) == model.apply(channel, kind, value)
        assert valve.combined == model.output >= before
        assert valve.idle == model.idle
