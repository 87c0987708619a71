"""Which windows of a key there are when windows can merge, and where each of them keeps its contents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from yarnflow.functions.windows.assigner import MergingWindowAssigner
from yarnflow.functions.windows.time_windows import SessionWindows
from yarnflow.functions.windows.window import TimeWindow, Window
from yarnflow.runtime.state.backend import StateTable


class Merge(NamedTuple):
    """What has become one window.

    Attributes:
        merged: the windows that are no more.
        state_window: where the contents of the merged window are from now on.
        state_windows: whose contents are to be moved there.
    """

    merged: list[Window]
    state_window: Window
    state_windows: list[Window]


class MergingWindows:
    """The windows of all keys.

    Args:
        assigner: says which merge.
        table: where they are stored: by key a dict from window to state window.
    """

    def __init__(self, assigner: MergingWindowAssigner[Any, Any], table: StateTable) -> None:
        self._assigner = assigner
        self._windows = table.of(None)
        self._sessions = getattr(type(assigner), "merge_windows", None) is SessionWindows.merge_windows

    def add(self, key: Any, new: Window) -> tuple[Window, Merge | None]:
        """Add a window of a record. Returns the window that it has become part of, and what was merged for that
        (None: nothing but the new window itself, or nothing at all)."""
        known: dict[Window, Window] = self._windows.get(key) or {}
        if new in known:
            return new, None
        old, result = self._touched(known, new)
        state_windows = [known.pop(window) for window in old]
        # The contents stay where those of the first part are.
        state_window = state_windows[0] if state_windows else result
        known[result] = state_window
        self._windows[key] = known
        if not old or old == [result]:
            return result, None  # it touches no other, or lies inside one
        return result, Merge([window for window in old if window != result], state_window, state_windows[1:])

    def _touched(self, known: dict[Window, Window], new: Window) -> tuple[list[Window], Window]:
        """The windows that merge with a new one, and what they become."""
        if self._sessions:
            # They lie apart, so that only those which the new one touches can change.
            assert isinstance(new, TimeWindow)
            touched = [window for window in known if isinstance(window, TimeWindow) and window.intersects(new)]
            whole = new
            for window in touched:
                whole = whole.cover(window)
            return list(touched), whole
        found = _Callback()
        self._assigner.merge_windows([*known, new], found)
        parts, result = next((merge for merge in found.merges if new in merge[0]), ([], new))
        return [window for window in known if window in parts], result

    def state_window(self, key: Any, window: Window) -> Any:
        """Where the contents of a window are; None when there is no such window."""
        return self._windows.get(key, _NONE).get(window)

    def retire(self, key: Any, window: Window) -> None:
        """The window is gone."""
        known = self._windows.get(key)
        if known is not None and window in known:
            del known[window]
            if known:
                self._windows[key] = known
            else:
                del self._windows[key]


class _Callback(MergingWindowAssigner.MergeCallback[Window]):
    def __init__(self) -> None:
        self.merges: list[tuple[list[Window], Window]] = []

    def merge(self, to_be_merged: Iterable[Window], merge_result: Window) -> None:
        self.merges.append((list(to_be_merged), merge_result))


_NONE: dict[Window, Window] = {}
