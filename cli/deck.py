"""``measurewise deck``: published test cases, run and counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from measurewise.cli.options import (
    AsJson,
    EngineOption,
    Jobs,
    Measures,
    MissingValueSets,
    ModelInfoFiles,
    NoCache,
    Profiles,
    Stale,
    matching,
    positive_jobs,
    program_cache,
)
from measurewise.cli.output import Column, print_json, print_table
from measurewise.cli.progress import display

if TYPE_CHECKING:
    from measurewise.engine.runner.deck import CaseFailure, MeasureTally

REVIEWED = Path(__file__).parent / "reviewed"
"""The reviewed expectations that ship; those of decks, a file a publication, begin with ``ecqm-``."""

_SHOWN_FAILURES = 50


def deck(
    deck: Annotated[
        Path,
        Parameter(
            help="Folder with measures/, libraries/, valuesets.ndjson.gz and cases/<measure>.ndjson.gz."
        ),
    ],
    /,
    *,
    libraries: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True, negative="", help="Further folders of libraries; several may be given."
        ),
    ] = None,
    valuesets: Annotated[
        list[Path] | None,
        Parameter(consume_multiple=True, negative="", help="Further value-set files; several may be given."),
    ] = None,
    measure: Measures = None,
    engine: EngineOption = "auto",
    profiles: Profiles = "auto",
    strip_labels: Annotated[
        bool, Parameter(negative="", help="Take meta.profile from every resource first.")
    ] = False,
    reviewed: Annotated[
        Path | None,
        Parameter(help="Reviewed expectations, in place of those that ship."),
    ] = None,
    missing_valuesets: MissingValueSets = "empty",
    stale: Stale = None,
    model_info: ModelInfoFiles = None,
    jobs: Jobs = 1,
    no_cache: NoCache = False,
    json: AsJson = False,
) -> int:
    """Run a deck of published test cases and show which pass; the exit status is 0 only when all do.

    Each case is evaluated for the period of its expected MeasureReport. Every population, observation and
    stratum that is expected is compared.
    """
    from measurewise.engine.runner.deck import Deck, DeckSettings, run_deck
    from measurewise.engine.runner.reviewed import read_reviewed

    started = time.perf_counter()
    laid_out = Deck(deck, libraries=libraries or (), valuesets=valuesets or ())
    names = laid_out.select(measure or ())
    reviews = {}
    for path in [reviewed] if reviewed is not None else sorted(REVIEWED.glob("ecqm-*.json")):
        reviews.update(read_reviewed(path))
    settings = DeckSettings(
        matching(profiles),
        missing_valuesets,
        stale,
        strip_labels,
        program_cache(no_cache),
        engine,
        tuple(model_info or ()),
    )
    tallies: list[MeasureTally] = []
    with display("Running", len(names), "cases") as shown:
        for tally in run_deck(laid_out, names, reviews, settings, jobs=positive_jobs(jobs)):
            tallies.append(tally)
            shown.advance(len(tallies), sum(t.cases for t in tallies))
    seconds = time.perf_counter() - started
    if json:
        print_json(_as_json(tallies, seconds))
    else:
        _print(tallies, seconds)
    return 0 if all(tally.passed == tally.cases for tally in tallies) else 1


def _as_json(tallies: Sequence[MeasureTally], seconds: float) -> dict[str, Any]:
    return {
        "cases": sum(tally.cases for tally in tallies),
        "passed": sum(tally.passed for tally in tallies),
        "failures": [asdict(failure) for tally in tallies for failure in tally.failures],
        "reviewed": [
            {"measure": r.measure, "case": r.case, "kind": r.kind, "reason": r.reason, "clause": r.clause}
            for tally in tallies
            for r in tally.reviewed
        ],
        "measures": [
            {"measure": t.measure, "cases": t.cases, "passed": t.passed, "reviewed": len(t.reviewed)}
            for t in tallies
        ],
        "notices": list(dict.fromkeys(notice for tally in tallies for notice in tally.notices)),
        "seconds": round(seconds, 3),
    }


def _print(tallies: Sequence[MeasureTally], seconds: float) -> None:
    columns = [
        Column("Measure", style="bold"),
        Column("Cases", "right"),
        Column("Passed", "right", "green"),
        Column("of these reviewed", "right"),
        Column("Failed", "right", "red"),
    ]
    rows = [
        [
            tally.measure,
            f"{tally.cases:,}",
            f"{tally.passed:,}",
            f"{len(tally.reviewed):,}" if tally.reviewed else "",
            f"{tally.cases - tally.passed:,}" if tally.passed < tally.cases else "",
        ]
        for tally in tallies
    ]
    print_table("Cases by measure", columns, rows)
    failures = [failure for tally in tallies for failure in tally.failures]
    for failure in failures[:_SHOWN_FAILURES]:
        print(_line(failure))
    if len(failures) > _SHOWN_FAILURES:
        print(f"and {len(failures) - _SHOWN_FAILURES:,} more failures (all of them with --json)")
    for notice in dict.fromkeys(notice for tally in tallies for notice in tally.notices):
        print(f"notice: {notice}")
    reviewed = [case for tally in tallies for case in tally.reviewed]
    for kind, count in sorted(Counter(case.kind for case in reviewed).items()):
        print(f"reviewed: {count:,} cases, {kind} (each with its reason in --json)")
    cases, passed = sum(t.cases for t in tallies), sum(t.passed for t in tallies)
    apart = f", {len(reviewed):,} of them by reviewed expectations" if reviewed else ""
    print(f"{passed:,} of {cases:,}{apart} ({seconds:.1f} s)")


def _line(failure: CaseFailure) -> str:
    places = dict.fromkeys((*failure.expected, *failure.actual))
    told = "; ".join(
        f"{place}: expected {failure.expected.get(place, 'as the deck')}, "
        f"got {failure.actual.get(place, 'as the deck expects')}"
        for place in places
    )
    words = failure.description.split()
    description = f" ({' '.join(words)})" if words else ""
    return f"failed: {failure.measure} {failure.case}{description}: {told}"
