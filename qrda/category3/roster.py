"""The practitioners of Primary Care First practices, as a practice's roster lists them.

CMS holds reports to its own rosters, which are not public; a practice can hold its report to the one it has.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measurewise.engine.errors import MeasurewiseError
from measurewise.qrda.category3.document import Document
from measurewise.qrda.category3.finding import Finding, finding
from measurewise.qrda.year_data import YearData

_COLUMNS: Final = ("apm", "npi", "tin")


@dataclass(frozen=True, slots=True)
class Roster:
    """Pairs of NPI and TIN by practice site identifier."""

    practitioners: dict[str, frozenset[tuple[str, str]]]


def read_roster(path: Path) -> Roster:
    """The roster in a CSV file with the columns apm, npi and tin; raises MeasurewiseError when it has not."""
    found: dict[str, set[tuple[str, str]]] = {}
    mend = f"Give a CSV file with the columns {', '.join(_COLUMNS)}."
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if not set(_COLUMNS) <= set(rows.fieldnames or ()):
                raise MeasurewiseError("the roster lacks a column.", where=str(path), mend=mend)
            for row in rows:
                apm, npi, tin = ((row[name] or "").strip() for name in _COLUMNS)
                found.setdefault(apm, set()).add((npi, tin))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MeasurewiseError(f"the roster cannot be read: {error}.", where=str(path), mend=mend) from None
    return Roster({apm: frozenset(pairs) for apm, pairs in found.items()})


def roster_findings(document: Document, year: YearData, roster: Roster) -> Iterator[Finding]:
    """What the roster has against a report's practice and clinicians; combinations are warnings."""
    at = document.at
    if not roster.practitioners:
        yield finding(year, 96, at)
        return
    if len(document.practice_site_ids) != 1:
        return
    site = document.practice_site_ids[0]
    if site not in roster.practitioners:
        yield finding(year, 63, at)
        return
    if len(document.npis) != len(document.tins):
        yield finding(year, 80, at, len(document.tins), len(document.npis))
    reported = {
        (npi, tin) for who in document.performers for npi, tin in zip(who.npis, who.tins, strict=False)
    }
    for code, pairs in (
        (107, roster.practitioners[site] - reported),
        (108, reported - roster.practitioners[site]),
    ):
        for npi, tin in sorted(pairs):
            yield finding(year, code, at, npi, tin, site, warning=True)
