"""When a task with several input channels takes its part of a checkpoint.

A pure machine: barriers in, effects out. A task has all of its input before a barrier when the barrier has come on
every channel that still can bring one.

- Exactly once: a channel whose barrier has come is blocked until all have come, so that nothing from behind the
  barrier gets into the snapshot.
- At least once: channels go on; several checkpoints may be under way at once.
- Unaligned: the first barrier takes the snapshot at once. What comes on the other channels before their barriers
  is recorded as part of it, and nothing is blocked.

A channel that ends counts as if its barrier had come. A barrier of a newer checkpoint gives up an older alignment:
whoever did not send the older barrier never will. Only a savepoint may follow an unaligned checkpoint whose
barriers have not come on all channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from yarnflow.runtime.network.elements import CheckpointBarrier


@dataclass(frozen=True)
class AlignmentEffect:
    """Base of what the task shall do."""


@dataclass(frozen=True)
class Block(AlignmentEffect):
    """Take nothing from this channel until `Release`."""

    channel: int


@dataclass(frozen=True)
class Release(AlignmentEffect):
    """Take from all channels again."""


@dataclass(frozen=True)
class Take(AlignmentEffect):
    """Take the snapshot now. `recording`: the channels whose barriers have not come: what they bring until
    `StopRecording` belongs to the snapshot, which is complete with `AllRecorded`; empty when aligned."""

    barrier: CheckpointBarrier
    recording: tuple[int, ...] = ()


@dataclass(frozen=True)
class StopRecording(AlignmentEffect):
    """The barrier of an unaligned checkpoint has come on this channel, too, or the channel has ended."""

    checkpoint_id: int
    channel: int


@dataclass(frozen=True)
class AllRecorded(AlignmentEffect):
    """The barrier of an unaligned checkpoint has come on all channels."""

    checkpoint_id: int


@dataclass(frozen=True)
class GiveUp(AlignmentEffect):
    """A newer checkpoint has overtaken this one, which will never be complete here: forget what was taken for it,
    and decline it."""

    checkpoint_id: int
    reason: str


@dataclass
class _Pending:
    barrier: CheckpointBarrier
    missing: set[int]
    #: The snapshot has been taken, and the missing channels are recorded.
    taken: bool = False
    blocked: list[int] = field(default_factory=list)


class Alignment:
    """The barriers of one task.

    Args:
        channels: number of input channels, numbered from 0.
        exactly_once: see above.

    Attributes:
        newest: the highest id of which a barrier has come; barriers of older checkpoints that are not under way
            mean nothing.
    """

    def __init__(self, channels: int, exactly_once: bool) -> None:
        self._open = set(range(channels))
        self._exactly_once = exactly_once
        self._pending: dict[int, _Pending] = {}
        #: Newer than `newest`: a checkpoint may be aborted before its barriers come.
        self._aborted: set[int] = set()
        self.newest = 0

    def waiting(self) -> CheckpointBarrier | None:
        """The barrier of the aligned checkpoint for which channels are blocked, if there is one."""
        for pending in self._pending.values():
            if pending.blocked:
                return pending.barrier
        return None

    def trigger(self, barrier: CheckpointBarrier) -> list[AlignmentEffect]:
        """The task is told to take a checkpoint: it is a source, or all of its producers have ended, though their
        ends may not have come through its channels yet."""
        pending, effects = self._register(barrier)
        if pending is None:
            return effects
        if barrier.unaligned and not pending.taken:
            effects += self._overtake(pending)
        return effects + self._settle(pending)

    def barrier(self, channel: int, barrier: CheckpointBarrier) -> list[AlignmentEffect]:
        """A barrier has come on a channel."""
        pending, effects = self._register(barrier)
        if pending is None:
            return effects
        pending.missing.discard(channel)
        if pending.taken:
            effects.append(StopRecording(barrier.checkpoint_id, channel))
        elif barrier.unaligned:
            effects += self._overtake(pending)
        elif self._exactly_once and pending.missing:
            pending.blocked.append(channel)
            effects.append(Block(channel))
        return effects + self._settle(pending)

    def _register(self, barrier: CheckpointBarrier) -> tuple[_Pending | None, list[AlignmentEffect]]:
        """What is under way for a barrier; None when it means nothing."""
        checkpoint_id = barrier.checkpoint_id
        pending = self._pending.get(checkpoint_id)
        effects: list[AlignmentEffect] = []
        if pending is None:
            if checkpoint_id <= self.newest or checkpoint_id in self._aborted:
                return None, []
            if self._exactly_once:
                for older, known in list(self._pending.items()):
                    # What is recorded goes on beside a savepoint, which blocks channels and records nothing.
                    if not (known.taken and barrier.savepoint):
                        effects += self._give_up(older, f"the barrier of checkpoint {checkpoint_id} came first")
            self.newest = checkpoint_id
            self._aborted = {aborted for aborted in self._aborted if aborted > checkpoint_id}
            pending = self._pending[checkpoint_id] = _Pending(barrier, set(self._open))
        return pending, effects

    def overtake(self) -> list[AlignmentEffect]:
        """The alignment takes too long: go on without."""
        for pending in list(self._pending.values()):
            if pending.blocked:
                return [*self._overtake(pending), *self._settle(pending)]
        return []

    def ended(self, channel: int) -> list[AlignmentEffect]:
        """No barrier will come on a channel any more."""
        self._open.discard(channel)
        effects: list[AlignmentEffect] = []
        for pending in list(self._pending.values()):
            if channel in pending.missing:
                pending.missing.remove(channel)
                if pending.taken:
                    effects.append(StopRecording(pending.barrier.checkpoint_id, channel))
                effects += self._settle(pending)
        return effects

    def aborted(self, checkpoint_id: int) -> list[AlignmentEffect]:
        """The checkpoint will not complete: its barriers that still come mean nothing."""
        if checkpoint_id > self.newest:
            self._aborted.add(checkpoint_id)
        pending = self._pending.pop(checkpoint_id, None)
        return [Release()] if pending is not None and pending.blocked else []

    def _overtake(self, pending: _Pending) -> list[AlignmentEffect]:
        released: list[AlignmentEffect] = [Release()] if pending.blocked else []
        pending.taken, pending.blocked = True, []
        pending.barrier = replace(pending.barrier, unaligned=True)
        return [*released, Take(pending.barrier, tuple(sorted(pending.missing)))]

    def _settle(self, pending: _Pending) -> list[AlignmentEffect]:
        if pending.missing:
            return []
        checkpoint_id = pending.barrier.checkpoint_id
        del self._pending[checkpoint_id]
        if pending.taken:
            return [AllRecorded(checkpoint_id)]
        effects: list[AlignmentEffect] = []
        for older in [key for key in self._pending if key < checkpoint_id]:
            effects += self._give_up(older, f"checkpoint {checkpoint_id} was complete first")
        # The snapshot comes first: what is taken from the channels afterwards lies behind the barrier.
        effects.append(Take(pending.barrier))
        if pending.blocked:
            effects.append(Release())
        return effects

    def _give_up(self, checkpoint_id: int, reason: str) -> list[AlignmentEffect]:
        pending = self._pending.pop(checkpoint_id)
        released: list[AlignmentEffect] = [Release()] if pending.blocked else []
        return [*released, GiveUp(checkpoint_id, reason)]
