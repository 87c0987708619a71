"""What must come out of the programs of event_time_programs.py: a model, or what holds whoever comes first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from tests.cluster.event_time_programs import Found, Part, Program, even, odd
from tests.models.windows import WindowModel
from yarnflow.runtime.network.elements import MAX_WATERMARK


def check(program: Program, number: int, results: Iterable[Found]) -> None:
    """Compare what a part gave with what the model gives, or with what must hold."""
    part = program.parts[number]
    found: Counter[Any] = Counter()
    late: Counter[Any] = Counter()
    for of, what, value, stamp in results:
        if of == number:
            (late if what == "late" else found)[value, stamp] += 1
    if part.kind == "interval":
        _check_interval_join(program, part, found, late)
    elif part.kind == "count":
        _check_count(program, part, found)
    elif program.order == "races":
        _check_races(program, part, found, late)
    else:
        wanted, wanted_late = expected(program, part)
        _equal(found, wanted, part)
        _equal(late, wanted_late, part)


def _equal(found: Counter[Any], wanted: Counter[Any], part: Part) -> None:
    assert found == wanted, f"{part}: missing {dict(wanted - found)}, too many {dict(found - wanted)}"


def expected(program: Program, part: Part) -> tuple[Counter[Any], Counter[Any]]:
    """Main output and late records, each with its time, of a part for which they are determined."""
    model = WindowModel(part.lateness)
    watermark = -(2**63)
    for key, number, stamp in program.records:
        if part.kind == "session":
            model.session(key, number, stamp, part.size)
        elif part.kind != "timers":
            model.fixed(key, number, stamp, part.size, part.slide, 0)
        elif stamp + part.size <= watermark:
            model.late.append(((key, number), stamp))
        else:  # a window of one ms, for as long as the timer waits
            model.windows[key, stamp, stamp + 1].append((key, number))
        if program.order == "exact" and stamp - program.bound - 1 > watermark:
            watermark = stamp - program.bound - 1
            _advance(model, part, watermark)
    _advance(model, part, MAX_WATERMARK)
    late = Counter(model.late)
    if part.kind == "timers":
        twice = ((key, numbers, at + part.size * times) for key, numbers, at in model.found for times in (1, 2))
        return Counter(((key, numbers), at) for key, numbers, at in twice), late
    if part.kind == "columns":
        rows = (
            ((key, len(numbers), sum(numbers), min(numbers), max(numbers)), at)
            for key, numbers, at in model.found
        )
        return Counter(rows), Counter()
    if part.kind in ("join", "co_group"):
        records = {record[1]: record for record in program.records}
        grouped: list[Any] = []
        for _, numbers, at in model.found:
            sides = [tuple(sorted(records[n] for n in numbers if n % 2 == side)) for side in (0, 1)]
            if part.kind == "co_group":
                grouped.append((tuple(sides), at))
            else:
                grouped.extend(((one, other), at) for one in sides[0] for other in sides[1])
        return Counter(grouped), Counter()
    return Counter(((key, numbers), at) for key, numbers, at in model.found), late


def _advance(model: WindowModel, part: Part, watermark: int) -> None:
    if part.kind != "timers":
        model.advance(watermark)
        return
    for at in sorted(model.windows, key=lambda at: at[2]):
        if at[1] + part.size <= watermark:
            model.fire(*at)
            del model.windows[at]


def _check_interval_join(program: Program, part: Part, found: Counter[Any], late: Counter[Any]) -> None:
    """All pairs of records that were not late, once; in time all are."""
    _equal(late, Counter(dict.fromkeys(late, 1)), part)
    late_ones = {record for record, _ in late}
    assert program.order != "on time" or not late_ones
    kept = [record for record in program.records if record not in late_ones]
    _equal(
        found,
        Counter(
            ((one, other), max(one[2], other[2]))
            for one in filter(even, kept)
            for other in filter(odd, kept)
            if one[0] == other[0] and -part.size <= other[2] - one[2] <= part.slide
        ),
        part,
    )


def _check_count(program: Program, part: Part, found: Counter[Any]) -> None:
    """As many windows as there are full ones, of different records; in the order of the script if it is known."""
    by_key: dict[int, list[int]] = defaultdict(list)
    for key, number, _ in program.records:
        by_key[key].append(number)
    windows = Counter(value for value, _ in found.elements())
    full = {key: len(numbers) // part.size for key, numbers in by_key.items() if len(numbers) >= part.size}
    assert Counter(key for key, _ in windows.elements()) == Counter(full)
    for (key, numbers), _ in windows.items():
        assert len(numbers) == part.size
        assert set(numbers) <= set(by_key[key])
    seen = Counter(number for _, numbers in windows.elements() for number in numbers)
    assert set(seen.values()) <= {1}
    if program.order == "exact":
        wanted: Counter[Any] = Counter()
        for key, numbers in by_key.items():
            for at in range(0, len(numbers) - part.size + 1, part.size):
                wanted[key, tuple(numbers[at : at + part.size])] += 1
        _equal(windows, wanted, part)


def _check_races(program: Program, part: Part, found: Counter[Any], late: Counter[Any]) -> None:
    """Every record is late or in windows, never both; where windows give one result and do not overlap, once."""
    records = {record[1]: record for record in program.records}
    _equal(late, Counter(((records[n][0], n), records[n][2]) for (_, n), _ in late), part)
    of_late = {number for (_, number), _ in late}
    times: Counter[int] = Counter()
    for ((key, numbers), at), again in found.items():
        assert again == 1, f"{key, numbers} at {at} came {again} times"
        stamps = sorted(records[number][2] for number in numbers)
        assert {records[number][0] for number in numbers} == {key}
        assert len(set(numbers)) == len(numbers)
        times.update(numbers)
        if part.kind == "session":
            assert at == stamps[-1] + part.size - 1 or part.lateness
            assert all(b - a <= part.size for a, b in pairwise(stamps))
        elif part.kind == "timers":
            assert set(stamps) in ({at - part.size}, {at - 2 * part.size})
        else:
            assert at - part.size < stamps[0]
            assert stamps[-1] <= at
            assert (at + 1) % part.slide == part.size % part.slide
    assert not times.keys() & of_late
    assert times.keys() | of_late == records.keys()
    if part.kind == "timers":
        assert set(times.values()) <= {2}
    elif not part.lateness and (part.kind == "session" or part.size == part.slide):
        assert set(times.values()) <= {1}
    elif not part.lateness:
        assert max(times.values(), default=0) <= -(-part.size // part.slide)
