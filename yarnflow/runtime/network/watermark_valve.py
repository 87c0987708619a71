"""Event time of a task: the watermarks and the idleness of several channels, combined into one.

A pure machine, as Flink's StatusWatermarkValve. The rules:

- The combined watermark is the minimum over the channels that count. It never goes back, and neither does a
  channel's: a watermark that is not above the channel's last one is ignored.
- An idle channel does not count. When it is active again it counts as soon as its watermark is not behind the
  combined one; until then it holds nothing back.
- When the last counting channel goes idle, so is the task; before, the highest watermark of all channels is given
  out, since nobody is left to hold it back.
- A channel that has said MAX_WATERMARK, or has ended, is done: it does not count any more, so that event time does
  not jump to its end only because all others are idle. When all are done, the result is MAX_WATERMARK.
- A channel that ends because the job is suspended keeps its watermark: event time stands still.
"""

from __future__ import annotations

from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK, Element, Watermark, WatermarkStatus


class WatermarkValve:
    """Combines channels numbered 0 to `channels` - 1.

    All methods return what the task shall process, in order: nothing, a Watermark, a WatermarkStatus, or both.

    Attributes:
        combined: the last watermark that was given out.
        idle: whether the task is idle.
    """

    def __init__(self, channels: int) -> None:
        self.combined = MIN_WATERMARK
        self.idle = False
        self._watermarks = [MIN_WATERMARK] * channels
        self._idle = [False] * channels
        #: Channels whose watermark counts: active, not done, and not behind after having been idle.
        self._aligned = set(range(channels))
        #: Channels that are not done.
        self._open = set(range(channels))

    def watermark(self, channel: int, timestamp: int) -> tuple[Element, ...]:
        """A watermark has come on a channel. On an idle channel it is ignored, unless it is MAX_WATERMARK."""
        if timestamp == MAX_WATERMARK:
            return self.ended(channel)
        before = self._watermarks[channel]
        if self._idle[channel] or timestamp <= before or channel not in self._open:
            return ()
        self._watermarks[channel] = timestamp
        if channel not in self._aligned:
            if timestamp < self.combined:
                return ()
            self._aligned.add(channel)
        elif before > self.combined:
            return ()  # somebody else holds the minimum
        return self._advance()

    def status(self, channel: int, idle: bool) -> tuple[Element, ...]:
        """A channel has gone idle, or is active again."""
        if self._idle[channel] == idle or channel not in self._open:
            return ()
        self._idle[channel] = idle
        if idle:
            self._aligned.discard(channel)
            return self._went_quiet(self._watermarks[channel])
        if self._watermarks[channel] >= self.combined:
            self._aligned.add(channel)
        if not self.idle:
            return ()
        self.idle = False
        return (WatermarkStatus(False),)

    def ended(self, channel: int, drain: bool = True) -> tuple[Element, ...]:
        """No data will come on a channel any more; `drain` false: because the job is being suspended."""
        if not drain or channel not in self._open:
            return ()
        before, self._watermarks[channel] = self._watermarks[channel], MAX_WATERMARK
        self._open.remove(channel)
        self._aligned.discard(channel)
        if self._open:
            return () if self._idle[channel] else self._went_quiet(before)
        self.combined = MAX_WATERMARK
        if not self.idle:
            return (Watermark(MAX_WATERMARK),)
        self.idle = False
        return WatermarkStatus(False), Watermark(MAX_WATERMARK)

    def _went_quiet(self, watermark: int) -> tuple[Element, ...]:
        """A channel has stopped to count that stood at `watermark`."""
        if not all(self._idle[channel] for channel in self._open):
            return self._advance()
        self.idle = True
        highest = max(self._watermarks[channel] for channel in self._open)
        if watermark == self.combined and highest > self.combined:
            self.combined = highest
            return Watermark(highest), WatermarkStatus(True)
        return (WatermarkStatus(True),)

    def _advance(self) -> tuple[Element, ...]:
        if not self._aligned:
            return ()
        lowest = min(self._watermarks[channel] for channel in self._aligned)
        if lowest <= self.combined:
            return ()
        self.combined = lowest
        return (Watermark(lowest),)
