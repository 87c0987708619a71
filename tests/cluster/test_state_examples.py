"""Examples of state, timers, windows and checkpoints on real data, compared with the same in plain Python."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cluster.flights import hour, rows, run, scheduled

pytestmark = pytest.mark.cluster

#: More than one batch of records, so that some of them are late.
DAYS = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nycflights")
    run(folder, "nycflights_extract", str(folder), "--days", str(DAYS))
    return folder


def numbers(line: str, name: int) -> tuple[str, list[float]]:
    """A line of a table: the name of so many characters, and numbers."""
    return line[:name].strip(), [float(number.replace(",", "")) for number in line[name:].split()]


def table(lines: list[str], name: int) -> dict[str, list[float]]:
    return dict(numbers(line, name) for line in lines)


def test_without_arguments_an_example_reads_the_first_week(tmp_path):
    shown = run(tmp_path, "broadcast_carriers").splitlines()
    assert sum(flights for (flights,) in table(shown[1:], 28).values()) == 6099
    assert list(tmp_path.glob("nycflights-*")) == []


def test_missing_aircraft(data, tmp_path):
    shown = run(tmp_path, "missing_aircraft", "--input", str(data)).splitlines()
    departures = defaultdict(list)
    for flight in rows(data / "flights.csv"):
        if flight["tailnum"] != "NA" and flight["dep_time"] != "NA":
            departures[flight["tailnum"]].append((scheduled(flight), flight["dest"]))
    expected: dict[str, int] = defaultdict(int)
    for of_aircraft in departures.values():
        in_order = sorted(of_aircraft)
        for (time, destination), (following, _) in pairwise(in_order):
            expected[destination] += (following - time).total_seconds() > 3 * 86_400
        expected[in_order[-1][1]] += 1
    assert {name: count for name, (count,) in table(shown[1:], 11).items()} == {
        name: count for name, count in expected.items() if count
    }


def test_departure_wind(data, tmp_path):
    shown = run(tmp_path, "departure_wind", "--input", str(data)).splitlines()
    wind: dict[str, list[tuple]] = defaultdict(list)
    for row in rows(data / "weather.csv"):
        wind[row["origin"]].append((hour(row), row["wind_speed"]))
    expected = defaultdict(list)
    for flight in rows(data / "flights.csv"):
        if flight["dep_delay"] != "NA":
            before = [speed for time, speed in wind[flight["origin"]] if time <= hour(flight)]
            if before and before[-1] != "NA":
                expected[round(float(before[-1])) // 5 * 5].append(int(flight["dep_delay"]))
    found = {int(name.partition("-")[0]): values for name, values in table(shown[1:], 11).items()}
    assert found == {
        low: [len(delays), pytest.approx(sum(delays) / len(delays), abs=0.06)] for low, delays in expected.items()
    }


def test_broadcast_carriers(data, tmp_path):
    shown = run(tmp_path, "broadcast_carriers", "--input", str(data)).splitlines()
    names = {row["carrier"]: row["name"] for row in rows(data / "airlines.csv")}
    expected: dict[str, list[float]] = defaultdict(lambda: [0])
    for flight in rows(data / "flights.csv"):
        expected[names[flight["carrier"]]][0] += 1
    assert table(shown[1:], 28) == expected


def test_rolling_delays(data, tmp_path):
    shown = run(tmp_path, "rolling_delays", "--input", str(data)).splitlines()
    delays = defaultdict(list)
    for flight in rows(data / "flights.csv"):
        if flight["dep_delay"] != "NA":
            delays[flight["carrier"]].append(int(flight["dep_delay"]))
    worst = {}
    for carrier, of_carrier in delays.items():
        windows = [of_carrier[max(0, end - 200) : end] for end in range(50, len(of_carrier) + 1, 50)]
        if windows:
            worst[carrier] = [pytest.approx(max(sum(each) / len(each) for each in windows), abs=0.06)]
    assert table(shown[1:], 7) == worst


def test_late_flights(data, tmp_path):
    words = run(tmp_path, "late_flights", "--input", str(data)).replace(",", "").split()
    in_time, windows, updates, too_late = (int(word) for word in words if word.isdigit())
    flights = rows(data / "flights.csv")
    assert in_time + too_late == len(flights)
    assert windows == len({(flight["origin"], hour(flight)) for flight in flights})
    assert updates > 0
    assert too_late > 0


def test_columnar_windows(data, tmp_path):
    shown = run(tmp_path, "columnar_windows", "--input", str(data)).splitlines()
    hours = defaultdict(list)
    days: dict[tuple[str, int], int] = defaultdict(int)
    for flight in rows(data / "flights.csv"):
        if flight["dep_delay"] != "NA":
            delay, start = int(flight["dep_delay"]), round(1000 * hour(flight).timestamp())
            hours[flight["carrier"], start].append(delay)
            if delay > 0:
                for number in range(1, 25):
                    days[flight["carrier"], start + number * 3_600_000] += delay
    assert shown[0] == f"{len(hours)} hours, {len(days)} days"
    for line in shown[2:7]:
        carrier, (start, flights, mean, worst) = numbers(line, 7)
        delays = hours[carrier, int(start)]
        assert [flights, worst] == [len(delays), max(delays)]
        assert mean == pytest.approx(sum(delays) / len(delays), abs=0.06)
    assert [numbers(line, 7) for line in shown[8:]] == [
        (carrier, [until, late])
        for (carrier, until), late in sorted(days.items(), key=lambda day: (-day[1], *day[0]))[:5]
    ]


def test_flights_to_sqlite(data, tmp_path):
    shown = run(tmp_path, "flights_to_sqlite", "--input", str(data)).splitlines()
    assert shown[0] == "failed once and went on: True"
    airports = defaultdict(list)
    for flight in rows(data / "flights.csv"):
        airports[flight["origin"]].append(flight["dep_delay"])
    expected = {}
    for airport, delays in airports.items():
        known = [int(delay) for delay in delays if delay != "NA"]
        mean = pytest.approx(sum(known) / len(known), abs=0.06)
        expected[airport] = [len(delays), len(known), mean]
    assert table(shown[2:], 7) == expected


def test_stop_and_resume(data, tmp_path):
    shown = run(tmp_path, "stop_and_resume", "--input", str(data)).splitlines()
    expected = defaultdict(lambda: [0, 0])
    flights = rows(data / "flights.csv")
    for flight in flights:
        sums = expected[flight["carrier"]]
        sums[0] += 1
        sums[1] += int(flight["dep_delay"]) if flight["dep_delay"] != "NA" else 0
    assert 0 < int(shown[0].split()[3].replace(",", "")) < len(flights)
    assert table(shown[2:], 7) == expected
