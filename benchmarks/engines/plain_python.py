"""The bar: a plain Python loop that calls the same lambdas. W1 to W6; W4O is W4 with times out of order."""

from __future__ import annotations

from _measure import arguments, timed_runs, words_of

options = arguments(("W1", "W2", "W3", "W4", "W4O", "W5", "W6"))


def w1(size: str) -> int:
    """Sequence -> map -> filter."""
    double, third = (lambda x: x * 2 + 1), (lambda x: x % 3 == 0)
    kept = 0
    for number in range(int(size)):
        if third(double(number)):
            kept += 1
    return int(size)


def w2(size: str) -> int:
    """Words of a text -> (word, 1) -> running count per word."""
    split, one, key = (lambda line: line.split()), (lambda word: (word, 1)), (lambda pair: pair[0])
    add = lambda left, right: (left[0], left[1] + right[1])  # noqa: E731 - the engines get lambdas too
    counts: dict[str, tuple[str, int]] = {}
    path = options.data / size
    with path.open() as lines:
        for line in lines:
            for word in split(line):
                record = one(word)
                k = key(record)
                old = counts.get(k)
                counts[k] = record if old is None else add(old, record)
    return words_of(path)


def w3(size: str) -> int:
    """Sequence -> key -> a generator that counts per key."""
    pair, key = (lambda x: (x % 10_000, x)), (lambda pair: pair[0])
    counts: dict[int, int] = {}

    def process(value, k):  # type: ignore[no-untyped-def]
        counts[k] = count = (counts.get(k) or 0) + 1
        yield value[0], count

    results = 0
    for number in range(int(size)):
        record = pair(number)
        for _ in process(record, key(record)):
            results += 1
    return int(size)


def w4(size: str) -> int:
    """Sequence -> time -> key -> a count per key and window of 1 s; a window goes when its records cannot come any
    more."""
    disorder = options.workload == "W4O"
    pair = (lambda x: (x % 1000, x - x * 7919 % 1000)) if disorder else (lambda x: (x % 1000, x))
    key, time, add = (lambda pair: pair[0]), (lambda pair: pair[1]), (lambda value, count: count + 1)
    bound = 1000 if disorder else 0
    windows: dict[int, dict[int, int]] = {}
    newest, ends, results = 0, 1000, 0
    for number in range(int(size)):
        record = pair(number)
        at = time(record)
        start = at - at % 1000
        counts = windows.get(start)
        if counts is None:
            counts = windows[start] = {}
        selected = key(record)
        counts[selected] = add(record, counts.get(selected, 0))
        if at > newest:
            newest = at
            if newest - bound >= ends:
                for _ in windows.pop(ends - 1000).values():
                    results += 1
                ends += 1000
    return int(size)


def w5(size: str) -> int:
    """Sequence -> time -> key -> a count per session; a session has 10 records, and then the key pauses."""
    pair = lambda x: (x % 1000, x + x // 10_000 * 9000)  # noqa: E731
    key, time, add = (lambda pair: pair[0]), (lambda pair: pair[1]), (lambda value, count: count + 1)
    sessions: dict[int, list[int]] = {}
    results = 0
    for number in range(int(size)):
        record = pair(number)
        selected, at = key(record), time(record)
        known = sessions.get(selected)
        if known is None or at > known[0]:
            results += known is not None
            known = sessions[selected] = [0, 0]
        known[0] = at + 2000
        known[1] = add(record, known[1])
    return int(size)


def w6(size: str) -> int:
    """Sequence -> key -> the sum of each 100 records."""
    pair, key = (lambda x: (x % 1000, x)), (lambda pair: pair[0])
    add = lambda left, right: (left[0], left[1] + right[1])  # noqa: E731
    windows: dict[int, list[object]] = {}
    results = 0
    for number in range(int(size)):
        record = pair(number)
        selected = key(record)
        known = windows.get(selected)
        if known is None:
            windows[selected] = [1, record]
            continue
        known[0] += 1
        known[1] = add(known[1], record)
        if known[0] == 100:
            results += 1
            del windows[selected]
    return int(size)


runs = {"W1": w1, "W2": w2, "W3": w3, "W4": w4, "W4O": w4, "W5": w5, "W6": w6}
timed_runs(options, runs[options.workload])
