"""Windows of so many records of a key, which fire with their last one: a counter and the open windows per key.

What is kept of a key is a list, because it changes with every record:

    [number of records so far, contents of the first open window, of the second, ...]    reduce and aggregate
    [number of records so far, records since the start of the first open window]         other windows
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

from yarnflow.functions.batch import Batch, RowBatch
from yarnflow.functions.windows.count_windows import GlobalWindows
from yarnflow.functions.windows.window import CountWindow, GlobalWindow, Window
from yarnflow.graph.operators import Operator
from yarnflow.runtime.operators.base import OperatorContext
from yarnflow.runtime.operators.keyed import check_key
from yarnflow.runtime.operators.windows.base import WindowingOperator
from yarnflow.runtime.operators.windows.contents import MISSING
from yarnflow.runtime.state.backend import KeyedStateBackend
from yarnflow.runtime.state.restore import RestoredOperator

#: Name under which state is stored.
COUNTS = "window-counts"


class CountWindowOperator(WindowingOperator):
    """Tumbling and sliding windows.

    Attributes:
        size, slide: in records.
        counts: what is kept, by key.
    """

    def __init__(self, operator: Operator, context: OperatorContext) -> None:
        super().__init__(operator, context)
        assigner = self.spec.assigner
        self._window_of: Callable[[int], Window] = CountWindow
        if isinstance(assigner, GlobalWindows):
            self.size = self.slide = self.spec.trigger.nested_trigger.window_size
            self._window_of = lambda number: GlobalWindow.get()
        else:
            self.size, self.slide = assigner.window_size, assigner.window_slide
        self.counts: MutableMapping[Any, list[Any]] = self.backend.table(COUNTS).of(None)

    def layout(self) -> str:
        return f"windows of {self.size} records every {self.slide} with {self.contents.kept}"

    def restore(self, restored: RestoredOperator) -> None:
        super().restore(restored)
        self.counts = self.backend.table(COUNTS).of(None)

    def process_batch(self, batch: Batch, input_index: int) -> None:
        assert isinstance(batch, RowBatch)
        if not batch.rows:
            return
        self.check_keys(batch.rows)
        take = self._take_list
        if self.contents.incremental:
            take = self._take_tumbling if self.slide == self.size else self._take_sliding
        take(batch.rows)
        self.backend.current_key = KeyedStateBackend.NO_KEY
        self.emit_results()

    def _take_tumbling(self, records: list[Any]) -> None:
        select, add, state, size = self.contents.key, self.contents.add, self.counts, self.size
        get, missing = state.get, MISSING
        key = record = None
        try:
            for record in records:
                key = select(record)
                known = get(key)
                if known is None:
                    known = [0, add(missing, record, None)]
                elif len(known) == 1:
                    known.append(add(missing, record, None))
                else:
                    known[1] = add(known[1], record, None)
                count = known[0] = known[0] + 1
                if not count % size:
                    self._fire(count // size - 1, key, known.pop())
                state[key] = known
        except TypeError as error:
            check_key(self.operator.name, error, key, record)
            raise

    def _take_sliding(self, records: list[Any]) -> None:
        select, add, state, size, slide = self.contents.key, self.contents.add, self.counts, self.size, self.slide
        get, missing = state.get, MISSING
        key = record = None
        try:
            for record in records:
                key = select(record)
                known = get(key)
                if known is None:
                    known = [0]
                for at in range(1, len(known)):
                    known[at] = add(known[at], record, None)
                count = known[0]
                if not count % slide:
                    known.append(add(missing, record, None))
                known[0] = count = count + 1
                if count >= size and not (count - size) % slide:
                    self._fire((count - size) // slide, key, known.pop(1))
                state[key] = known
        except TypeError as error:
            check_key(self.operator.name, error, key, record)
            raise

    def _take_list(self, records: list[Any]) -> None:
        select, state, size, slide = self.contents.key, self.counts, self.size, self.slide
        get = state.get
        key = record = None
        try:
            for record in records:
                key = select(record)
                known = get(key)
                if known is None:
                    known = [0, []]
                count, kept = known
                if slide <= size or count % slide < size:
                    kept.append(record)
                known[0] = count = count + 1
                if count >= size and not (count - size) % slide:
                    elements = kept[:]
                    del kept[:slide]
                    self._fire((count - size) // slide, key, elements)
                state[key] = known
        except TypeError as error:
            check_key(self.operator.name, error, key, record)
            raise

    def _fire(self, number: int, key: Any, known: Any) -> None:
        self.evaluate_key(self._window_of(number), key, known, stays=False)
