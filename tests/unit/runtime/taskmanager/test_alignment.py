"""When a task takes its snapshot."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yarnflow.runtime.network.elements import CheckpointBarrier
from yarnflow.runtime.taskmanager.alignment import (
    Alignment,
    AlignmentEffect,
    AllRecorded,
    Block,
    GiveUp,
    Release,
    StopRecording,
    Take,
)


def barrier(number: int, unaligned: bool = False) -> CheckpointBarrier:
    return CheckpointBarrier(number, 1000 * number, unaligned=unaligned)


def test_one_channel_takes_at_once() -> None:
    alignment = Alignment(1, True)
    assert alignment.barrier(0, barrier(1)) == [Take(barrier(1))]
    assert alignment.barrier(0, barrier(3)) == [Take(barrier(3))]
    assert alignment.barrier(0, barrier(2)) == []


def test_exactly_once_blocks_until_all_have_come() -> None:
    alignment = Alignment(3, True)
    assert alignment.barrier(1, barrier(1)) == [Block(1)]
    assert alignment.barrier(0, barrier(1)) == [Block(0)]
    assert alignment.waiting() == barrier(1)
    assert alignment.barrier(2, barrier(1)) == [Take(barrier(1)), Release()]
    assert alignment.waiting() is None


def test_at_least_once_blocks_nothing_and_follows_several_checkpoints() -> None:
    alignment = Alignment(2, False)
    assert alignment.barrier(0, barrier(1)) == []
    assert alignment.barrier(0, barrier(2)) == []
    assert alignment.barrier(1, barrier(1)) == [Take(barrier(1))]
    assert alignment.barrier(1, barrier(2)) == [Take(barrier(2))]
    assert alignment.barrier(0, barrier(3)) == []
    assert alignment.barrier(0, barrier(4)) == []
    gave_up = GiveUp(3, "checkpoint 4 was complete first")
    assert alignment.barrier(1, barrier(4)) == [gave_up, Take(barrier(4))]
    assert alignment.barrier(1, barrier(3)) == []


def test_ended_channels_count_as_aligned() -> None:
    alignment = Alignment(3, True)
    assert alignment.ended(0) == []
    assert alignment.barrier(1, barrier(1)) == [Block(1)]
    assert alignment.ended(2) == [Take(barrier(1)), Release()]
    assert alignment.barrier(1, barrier(2)) == [Take(barrier(2))]


def test_a_trigger_waits_for_the_ends_of_all_channels() -> None:
    alignment = Alignment(2, True)
    assert alignment.trigger(barrier(1)) == []
    assert alignment.ended(0) == []
    assert alignment.waiting() is None
    assert alignment.ended(1) == [Take(barrier(1))]
    assert alignment.trigger(barrier(1)) == []
    assert alignment.trigger(barrier(2)) == [Take(barrier(2))]
    unaligned = Alignment(1, True)
    assert unaligned.trigger(barrier(1, unaligned=True)) == [Take(barrier(1, unaligned=True), (0,))]
    assert unaligned.ended(0) == [StopRecording(1, 0), AllRecorded(1)]


def test_a_newer_barrier_gives_up_an_older_alignment() -> None:
    alignment = Alignment(2, True)
    assert alignment.barrier(0, barrier(1)) == [Block(0)]
    effects = alignment.barrier(1, barrier(2))
    assert effects == [Release(), GiveUp(1, "the barrier of checkpoint 2 came first"), Block(1)]
    assert alignment.barrier(0, barrier(2)) == [Take(barrier(2)), Release()]


def test_an_abort_releases_and_its_barriers_mean_nothing() -> None:
    alignment = Alignment(2, True)
    assert alignment.barrier(0, barrier(1)) == [Block(0)]
    assert alignment.aborted(1) == [Release()]
    assert alignment.barrier(1, barrier(1)) == []
    # Heard of before its barriers come; an older one is not affected.
    assert alignment.aborted(3) == []
    assert alignment.barrier(0, barrier(2)) == [Block(0)]
    assert alignment.barrier(1, barrier(2)) == [Take(barrier(2)), Release()]
    assert alignment.barrier(0, barrier(3)) == []
    assert alignment.barrier(1, barrier(3)) == []
    assert alignment.barrier(0, barrier(4)) == [Block(0)]


def test_unaligned_takes_at_once_and_records_the_others() -> None:
    alignment = Alignment(3, True)
    first = barrier(1, unaligned=True)
    assert alignment.barrier(1, first) == [Take(first, (0, 2))]
    assert alignment.barrier(0, first) == [StopRecording(1, 0)]
    assert alignment.ended(2) == [StopRecording(1, 2), AllRecorded(1)]
    assert Alignment(1, True).barrier(0, first) == [Take(first), AllRecorded(1)]


def test_an_alignment_that_takes_too_long_goes_on_unaligned() -> None:
    alignment = Alignment(3, True)
    assert alignment.overtake() == []
    alignment.barrier(0, barrier(1))
    alignment.barrier(1, barrier(1))
    assert alignment.overtake() == [Release(), Take(barrier(1, unaligned=True), (2,))]
    assert alignment.overtake() == []
    assert alignment.barrier(2, barrier(1)) == [StopRecording(1, 2), AllRecorded(1)]


@given(st.data(), st.integers(1, 4), st.booleans())
def test_each_checkpoint_is_taken_once_or_given_up(data: st.DataObject, channels: int, exactly_once: bool) -> None:
    """Channels bring increasing barriers, some skip some, in any interleaving that blocking allows."""
    alignment = Alignment(channels, exactly_once)
    queues = [
        [number for number in range(1, 6) if data.draw(st.booleans() if channels > 1 else st.just(True))]
        for _ in range(channels)
    ]
    blocked: set[int] = set()
    taken: list[int] = []
    passed: list[int] = [0] * channels

    def perform(effects: list[AlignmentEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Block):
                assert effect.channel not in blocked
                blocked.add(effect.channel)
            elif isinstance(effect, Release):
                blocked.clear()
            elif isinstance(effect, Take):
                taken.append(effect.barrier.checkpoint_id)
                if exactly_once:
                    # Nothing from behind the barrier was taken from any channel that is not blocked now.
                    assert all(number <= effect.barrier.checkpoint_id for number in passed)

    open_channels = set(range(channels))
    while open_channels:
        free = sorted(open_channels - blocked)
        assert free, "all channels are blocked: nothing would ever move"
        channel = data.draw(st.sampled_from(free))
        if queues[channel]:
            passed[channel] = queues[channel].pop(0)
            perform(alignment.barrier(channel, barrier(passed[channel])))
        else:
            open_channels.remove(channel)
            perform(alignment.ended(channel))
    assert taken == sorted(set(taken))
    assert alignment.waiting() is None
