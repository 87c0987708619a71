"""Windows put together from panes: always what the panes hold, at a constant number of merges per pane."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from yarnflow.runtime.operators.windows.panes import SharedPanes

steps = st.lists(
    st.tuples(st.just("window"), st.integers(1, 4)) | st.tuples(st.just("add"), st.integers(-8, 6)), max_size=60
)


@given(steps, st.integers(1, 6))
def test_windows_hold_what_their_panes_hold(steps: list[tuple[str, int]], length: int) -> None:
    panes: dict[int, str] = {}
    shared: SharedPanes[str] = SharedPanes(10, panes.get, lambda left, right: left + right)
    start = 0
    for number, (step, value) in enumerate(steps):
        if step == "window":
            start += 10 * value
            end = start + 10 * length
            held = [panes[pane] for pane in range(start, end, 10) if pane in panes]
            assert shared.window(start, end) == ("".join(held) if held else None)
        else:  # to a pane before, in, or after the last window
            pane = start + 10 * value
            panes[pane] = panes.get(pane, "") + f"<{number}>"
            shared.changed(pane)


def test_the_number_of_merges_does_not_depend_on_the_overlap() -> None:
    merges = 0

    def merge(left: int, right: int) -> int:
        nonlocal merges
        merges += 1
        return left + right

    for length in (10, 60, 300):
        merges = 0
        shared: SharedPanes[int] = SharedPanes(1, lambda pane: 1, merge)
        for start in range(3000):
            assert shared.window(start, start + length) == length
        assert merges <= 3 * (3000 + length)
