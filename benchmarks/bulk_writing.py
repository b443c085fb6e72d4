"""How long a resource takes to be stored: by itself, among a thousand, and where it is there already.

    python benchmarks/bulk_writing.py [--patients 120] [--repetitions 5] [--database URL]

CPU time of this process, on SQLite in a folder that is thrown away unless a URL says otherwise.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stopwatch import machine, pin

from measurewise.store.bulk_writing import write_many
from measurewise.store.database import Database
from measurewise.store.resources import write
from measurewise.synthetic import synthesize

AT_ONCE = 1000


def singly(database: Database, organization: str, resources: list[dict[str, Any]]) -> None:
    """Each by itself, in transactions of a thousand."""
    for start in range(0, len(resources), AT_ONCE):
        with database.write() as connection:
            for resource in resources[start : start + AT_ONCE]:
                write(connection, organization, resource)


def together(database: Database, organization: str, resources: list[dict[str, Any]]) -> None:
    """A thousand at a time."""
    for start in range(0, len(resources), AT_ONCE):
        with database.write() as connection:
            write_many(connection, organization, resources[start : start + AT_ONCE])


def took(work: Callable[[Database, str, list[dict[str, Any]]], None], *given: Any) -> float:
    """CPU milliseconds a resource."""
    started = time.process_time()
    work(*given)
    return (time.process_time() - started) * 1000 / len(given[2])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=120)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--database")
    asked = parser.parse_args()
    pin(0)
    resources = [
        entry["resource"] for bundle in synthesize(asked.patients, 1, 2026) for entry in bundle["entry"]
    ]
    least = dict.fromkeys(("by itself", "among a thousand", "there already"), float("inf"))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.repetitions):
            url = asked.database or f"sqlite:///{Path(folder) / str(number)}.db"
            database = Database(url)
            database.migrate()
            one, many = f"one-{number}", f"many-{number}"
            for name, work, organization in (
                ("by itself", singly, one),
                ("among a thousand", together, many),
                ("there already", together, many),
            ):
                least[name] = min(least[name], took(work, database, organization, resources))
            database.close()
    print(machine())
    print(f"{len(resources):,} resources of {asked.patients} patients, least of {asked.repetitions}:")
    for name, milliseconds in least.items():
        print(f"{name:18} {milliseconds:.3f} ms a resource")


if __name__ == "__main__":
    main()
