"""Watermarks: made per input (a split of a source, or a whole stream), combined, and emitted.

    generator (one per input)  -- says how far event time is -->  InputTime  --minimum-->  EventTime --> operator

Built-in generators look at the newest timestamp of a batch; those that users write see every record. Watermarks
leave between batches: those of the built-in generators every `pipeline.auto-watermark-interval`, those of a user's
`on_event` after the batch.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import repeat
from typing import TYPE_CHECKING, Protocol

from yarnflow.common.watermark_strategy import WatermarkGenerator, WatermarkOutput, WatermarkStrategy
from yarnflow.config import Configuration
from yarnflow.config.core import PipelineOptions
from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch
from yarnflow.runtime.network.elements import MAX_WATERMARK, MIN_WATERMARK
from yarnflow.runtime.operators.base import as_rows

if TYPE_CHECKING:
    from yarnflow.runtime.operators.base import StreamOperator


class Generator(Protocol):
    """Makes the watermarks of one input.

    Attributes:
        watermark: how far event time is by what was seen.
        idle: it says of itself that it is idle.
        ticking: `tick` is wanted in every interval, not only after records.
        punctual: the watermark may be new after a batch, without a tick.
    """

    watermark: int
    idle: bool
    ticking: bool
    punctual: bool

    def see(self, batch: Batch) -> None:
        """Records are about to be emitted."""

    def tick(self) -> None:
        """The interval has passed."""


class NoWatermarks:
    """Never says anything."""

    watermark = MIN_WATERMARK
    idle = ticking = punctual = False

    def see(self, batch: Batch) -> None:
        """Nothing to learn."""

    def tick(self) -> None:
        """Nothing to say."""


class BoundedOutOfOrderness:
    """The newest timestamp, less the bound and 1 ms (another record of that very time may follow)."""

    idle = ticking = punctual = False

    def __init__(self, bound_ms: int) -> None:
        self._delay = bound_ms + 1
        self.watermark = MIN_WATERMARK

    def see(self, batch: Batch) -> None:
        times = batch.timestamps
        if times is None:
            return
        if isinstance(batch, ColumnBatch):
            from yarnflow.runtime.operators.columns.times import newest  # pyarrow is loaded: there are columns

            latest = newest(times)
        else:
            latest = max(times)
        if latest - self._delay > self.watermark:
            self.watermark = latest - self._delay

    def tick(self) -> None:
        """The watermark is always up to date."""


class UserGenerator(WatermarkOutput):
    """Runs a generator that a user wrote."""

    ticking = punctual = True

    def __init__(self, generator: WatermarkGenerator) -> None:
        self._generator = generator
        self.watermark = MIN_WATERMARK
        self.idle = False

    def see(self, batch: Batch) -> None:
        batch = as_rows(batch)
        times = repeat(MIN_WATERMARK) if batch.timestamps is None else batch.timestamps
        on_event = self._generator.on_event
        for record, time in zip(batch.rows, times, strict=False):
            on_event(record, time, self)

    def tick(self) -> None:
        self._generator.on_periodic_emit(self)

    def emit_watermark(self, timestamp: int) -> None:
        self.idle = False
        if timestamp.__class__ is not int:
            raise ProgramError(
                f"a watermark generator emitted {timestamp!r}: a watermark is an int, milliseconds since "
                "1970-01-01 UTC"
            )
        if timestamp > self.watermark:
            # The end of event time is the runtime's to declare, and int64 what travels.
            self.watermark = min(timestamp, MAX_WATERMARK - 1)

    def mark_idle(self) -> None:
        self.idle = True

    def mark_active(self) -> None:
        self.idle = False


def make_generator(strategy: WatermarkStrategy | None, final_only: bool) -> Generator:
    """A new generator for one input; `final_only`: there is no watermark but the last."""
    if strategy is None or final_only:
        return NoWatermarks()
    if strategy.generator is not None:
        made = strategy.generator()
        if not callable(getattr(made, "on_event", None)) or not callable(getattr(made, "on_periodic_emit", None)):
            raise ProgramError(
                f"the generator of a watermark strategy made {made!r}, which is no WatermarkGenerator: it needs "
                "the methods on_event(event, timestamp, output) and on_periodic_emit(output)"
            )
        return UserGenerator(made)
    if strategy.max_out_of_orderness is None:
        return NoWatermarks()
    return BoundedOutOfOrderness(strategy.max_out_of_orderness.to_millis())


class InputTime:
    """Event time of one input.

    Attributes:
        watermark: the last one that counted.
        quiet_since: processing time (ms) since when there was nothing to read; None: there may be something.
        silent: quiet for longer than the idle timeout.
    """

    def __init__(self, generator: Generator, watermark: int) -> None:
        self.generator = generator
        self.watermark = watermark
        self.quiet_since: int | None = None
        self.silent = False

    @property
    def current(self) -> int:
        """How far event time is, also by what has not been emitted yet."""
        return max(self.watermark, self.generator.watermark)

    @property
    def idle(self) -> bool:
        """Whether it holds nothing back."""
        return self.silent or self.generator.idle


class EventTime:
    """The combined event time of an operator's inputs: emits watermarks and idleness for it.

    Args:
        strategy: of the program; None for none.
        operator: whose `emit`, `emit_watermark` and `emit_status` are used.
        final_only: only the last watermark is emitted (BATCH mode).

    Attributes:
        combined: the last watermark that was emitted.
        idle: the last status that was emitted.
    """

    def __init__(self, strategy: WatermarkStrategy | None, operator: StreamOperator, final_only: bool) -> None:
        self.combined = MIN_WATERMARK
        self.idle = False
        self._operator = operator
        self._strategy = strategy
        self._final_only = final_only
        self._clock = operator.context.processing_time
        interval = Configuration(operator.context.config)[PipelineOptions.AUTO_WATERMARK_INTERVAL]
        #: 0 for never.
        self._interval = interval // timedelta(milliseconds=1)
        timeout = None if strategy is None or final_only else strategy.idle_timeout
        self._idle_timeout = None if timeout is None else max(1, timeout.to_millis())
        self._inputs: dict[str, InputTime] = {}
        #: Since when there is no input at all.
        self._empty_since: int | None = self._clock()
        self._last_tick = 0
        self._next_tick: int | None = None

    def add(self, name: str, watermark: int = MIN_WATERMARK) -> InputTime:
        """A new input, which was at `watermark` when it was last read."""
        generator = make_generator(self._strategy, self._final_only)
        added = self._inputs[name] = InputTime(generator, watermark)
        self._empty_since = None
        if watermark != MIN_WATERMARK:
            self._next_tick = self._clock()
        elif generator.ticking:
            self._plan_tick()
        if self.idle:
            self._combine()
        return added

    def remove(self, name: str) -> None:
        """An input has ended: the others go on without it."""
        del self._inputs[name]
        if self._inputs:
            self._combine()
        else:
            self._empty_since = self._clock()

    def pass_on(self, source: InputTime, batch: Batch) -> None:
        """Emit a batch of an input, and what its generator says about it at once."""
        generator = source.generator
        generator.see(batch)
        source.quiet_since = None
        if source.silent:
            source.silent = False
            self._combine()
        self._operator.emit(batch)
        if generator.punctual:
            source.watermark = source.current
            self._combine()
        elif generator.watermark > source.watermark:
            self._plan_tick()

    def quiet(self, source: InputTime) -> None:
        """An input has nothing to read."""
        if source.quiet_since is None and self._idle_timeout is not None:
            source.quiet_since = self._clock()

    def next_timer(self) -> int | None:
        """Processing time at which `advance` is wanted."""
        times = [] if self._next_tick is None else [self._next_tick]
        if self._idle_timeout is not None:
            if not self._inputs and not self.idle and self._empty_since is not None:
                times.append(self._empty_since + self._idle_timeout)
            times += [
                source.quiet_since + self._idle_timeout
                for source in self._inputs.values()
                if source.quiet_since is not None and not source.silent
            ]
        return min(times, default=None)

    def advance(self, now: int) -> None:
        """Processing time is `now` ms."""
        if self._next_tick is not None and now >= self._next_tick:
            self._next_tick = None
            self._last_tick = now
            for source in self._inputs.values():
                if not self._interval:
                    continue
                source.generator.tick()
                source.watermark = source.current
                if source.generator.ticking:
                    self._plan_tick()
        if self._idle_timeout is not None:
            for source in self._inputs.values():
                if source.quiet_since is not None and now - source.quiet_since >= self._idle_timeout:
                    source.silent = True
        self._combine()

    def reached(self) -> int:
        """Where event time stands by all that was read, emitted or not; MAX_WATERMARK when idle or at the end."""
        if self.combined == MAX_WATERMARK or self.idle:
            return MAX_WATERMARK
        active = [source.current for source in self._inputs.values() if not source.idle]
        return max(self.combined, min(active, default=MIN_WATERMARK))

    def finish(self) -> None:
        """Event time is over."""
        self._next_tick = None
        self._idle_timeout = None
        if self.idle:
            self.idle = False
            self._operator.emit_status(False)
        self._emit(MAX_WATERMARK)

    def _plan_tick(self) -> None:
        if not self._interval:
            return
        now = self._clock()
        # Bounded from above, so that a wall clock that is set back does not stop event time.
        planned = min(max(now, self._last_tick + self._interval), now + self._interval)
        if self._next_tick is None or planned < self._next_tick:
            self._next_tick = planned

    def _combine(self) -> None:
        if self.combined == MAX_WATERMARK:
            return
        active = [source.watermark for source in self._inputs.values() if not source.idle]
        if self._inputs:
            idle = not active
        else:
            idle = self._idle_timeout is not None and self._empty_since is not None and (
                self._clock() - self._empty_since >= self._idle_timeout
            )
        if self.idle and not idle:
            self.idle = False
            self._operator.emit_status(False)
        if active:
            self._emit(min(active))
        if idle and not self.idle:
            self.idle = True
            self._operator.emit_status(True)

    def _emit(self, watermark: int) -> None:
        if watermark > self.combined:
            self.combined = watermark
            self._operator.emit_watermark(watermark)
