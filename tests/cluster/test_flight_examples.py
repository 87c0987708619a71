"""The examples on real data, run as a user runs them, compared with the same computed in plain Python."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.flights import hour, rows, run, scheduled

pytestmark = pytest.mark.cluster

DAYS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with flights and weather of the first days of 2013."""
    folder = tmp_path_factory.mktemp("nycflights")
    run(folder, "nycflights_extract", str(folder), "--days", str(DAYS))
    return folder


def written(folder: Path) -> list[list[str]]:
    """What a program has written as CSV without header."""
    return [line.split(",") for file in folder.rglob("part-*") for line in file.read_text("utf-8").splitlines()]


def test_the_extract_is_in_the_order_of_the_events(data):
    flights, weather = rows(data / "flights.csv"), rows(data / "weather.csv")
    assert len(flights) > 3000
    assert {flight["day"] for flight in flights} == {str(day) for day in range(1, DAYS + 1)}
    days = [int(flight["day"]) for flight in flights]
    assert days == sorted(days)
    times = [hour(row) for row in weather]
    assert times == sorted(times)
    assert {row["origin"] for row in weather} == {"EWR", "JFK", "LGA"}


def test_flight_delays(data, tmp_path):
    run(tmp_path, "flight_delays", "--input", str(data), "--output", str(tmp_path / "out"))
    expected: dict[tuple[str, str], list[int]] = defaultdict(list)
    for flight in rows(data / "flights.csv"):
        if flight["dep_delay"] != "NA":
            expected[f"{hour(flight):%Y-%m-%d %H:00}", flight["carrier"]].append(int(flight["dep_delay"]))
    assert sorted(written(tmp_path / "out")) == sorted(
        [*key, str(len(delays)), str(round(sum(delays) / len(delays), 1)), str(max(delays))]
        for key, delays in expected.items()
    )
    shown = run(tmp_path, "flight_delays", "--input", str(data)).splitlines()
    assert len(shown) == 21
    worst = max(expected, key=lambda key: sum(expected[key]) / len(expected[key]))
    assert shown[1].startswith(f"{worst[0]}  {worst[1]} ")


def test_aircraft_sessions(data, tmp_path):
    run(tmp_path, "aircraft_sessions", "--input", str(data), "--output", str(tmp_path / "out"))
    by_aircraft: dict[str, list[Any]] = defaultdict(list)
    for flight in rows(data / "flights.csv"):
        if flight["air_time"] != "NA":
            leg = (scheduled(flight), f"{flight['origin']}-{flight['dest']}", int(flight["air_time"]))
            by_aircraft[flight["tailnum"]].append(leg)
    expected = []
    for aircraft, legs in by_aircraft.items():
        session: list[Any] = []
        for leg in sorted(legs):
            if session and leg[0] - session[-1][0] > timedelta(hours=8):
                expected.append((aircraft, session))
                session = []
            session.append(leg)
        expected.append((aircraft, session))
    assert sorted(written(tmp_path / "out")) == sorted(
        [
            aircraft,
            f"{legs[0][0]:%Y-%m-%d %H:%M}",
            str(len(legs)),
            str(sum(minutes for _, _, minutes in legs)),
            " ".join(route for _, route, _ in legs),
        ]
        for aircraft, legs in expected
    )
    assert "aircraft  begin (UTC)" in run(tmp_path, "aircraft_sessions", "--input", str(data))


def test_weather_join(data, tmp_path):
    run(tmp_path, "weather_join", "--input", str(data), "--output", str(tmp_path / "out"))
    weather: dict[tuple[str, datetime], list[str]] = {}
    for row in rows(data / "weather.csv"):
        measured = (row[name] for name in ("temp", "wind_speed", "visib", "precip"))
        weather[row["origin"], hour(row)] = [str(None if value == "NA" else float(value)) for value in measured]
    expected = []
    for flight in rows(data / "flights.csv"):
        # Weather is measured on the hour, so the hour of departure is the one within the hour before.
        found = weather.get((flight["origin"], hour(flight)))
        if flight["dep_delay"] != "NA" and found is not None:
            departure = f"{scheduled(flight):%Y-%m-%d %H:%M}"
            name = flight["carrier"] + flight["flight"]
            expected.append([departure, flight["origin"], name, flight["dep_delay"], *found])
    assert len(expected) > 3000
    assert sorted(written(tmp_path / "out")) == sorted(expected)
    assert "visibility (miles)" in run(tmp_path, "weather_join", "--input", str(data))


def test_daily_weather(data, tmp_path):
    run(tmp_path, "daily_weather", "--input", str(data), "--output", str(tmp_path / "out"))
    days: dict[tuple[str, str], tuple[list[bool], list[tuple[float, float]]]] = defaultdict(lambda: ([], []))

    def of(row: dict[str, str]) -> tuple[list[bool], list[tuple[float, float]]]:
        return days[f"{hour(row) - timedelta(hours=5):%Y-%m-%d}", row["origin"]]

    for flight in rows(data / "flights.csv"):
        of(flight)[0].append(flight["dep_time"] == "NA")
    for row in rows(data / "weather.csv"):
        wind, rain = (0.0 if row[name] == "NA" else float(row[name]) for name in ("wind_speed", "precip"))
        of(row)[1].append((wind, rain))
    assert len(days) >= 3 * DAYS
    found = {(day, airport): rest for day, airport, *rest in written(tmp_path / "out")}
    assert set(found) == set(days)
    for day, (flights, weather) in days.items():
        count, cancelled, rain, wind = found[day]
        assert (int(count), int(cancelled)) == (len(flights), sum(flights))
        assert float(rain) == pytest.approx(sum(rain for _, rain in weather), abs=0.006)
        assert int(wind) == round(max((wind for wind, _ in weather), default=0.0))
    assert "cancelled" in run(tmp_path, "daily_weather", "--input", str(data))


def test_async_lookup(data, tmp_path):
    shown = run(tmp_path, "async_lookup", "--input", str(data)).splitlines()
    planes = {row["tailnum"]: row for row in rows(data / "planes.csv")}
    expected: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for flight in rows(data / "flights.csv"):
        if flight["dep_time"] != "NA" and flight["tailnum"] != "NA":
            plane = planes.get(flight["tailnum"])
            totals = expected[plane["manufacturer"] if plane else "unknown"]
            totals[0] += 1
            totals[1] += int(plane["seats"]) if plane else 0
    found = {
        line[:30].strip(): [int(number.replace(",", "")) for number in line[30:].split()] for line in shown[1:]
    }
    assert found == expected
    assert len(found) > 5


@pytest.mark.parametrize(
    "program", ["aircraft_sessions", "async_lookup", "daily_weather", "flight_delays", "weather_join"]
)
def test_without_arguments_an_example_reads_the_first_week(program, tmp_path):
    assert len(run(tmp_path, program).splitlines()) > 5
    assert list(tmp_path.glob("nycflights-*")) == []
