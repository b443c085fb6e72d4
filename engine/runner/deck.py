"""A deck of published test cases, run and compared with what it expects.

A deck is a folder with ``measures/``, ``libraries/``, ``valuesets.ndjson.gz`` (each also elsewhere, see
``Deck``) and ``cases/<measure>.ndjson[.gz]``: one case a line, with ``id``, ``description``, ``resources``
and ``expected``, a list of MeasureReports.
"""

from __future__ import annotations

import gzip
import signal
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from measurewise.engine.compiler.cache import ProgramCache
from measurewise.engine.content.content import Content, load_content
from measurewise.engine.content.resolution import StalePolicy
from measurewise.engine.errors import ContentError, EvaluationError, MeasurewiseError, NotFoundError
from measurewise.engine.json_faults import json_fault
from measurewise.engine.measure.expected import differences
from measurewise.engine.record.profiles import Matching
from measurewise.engine.record.record import Record
from measurewise.engine.runner.issues import Issue
from measurewise.engine.runner.period import Period
from measurewise.engine.runner.reviewed import Deviation, ReviewedCase, Reviews
from measurewise.engine.runner.session import Engine, MissingPolicy, Prepared
from measurewise.engine.runner.translation import EngineKind, ModelInfos

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_SUFFIXES = (".ndjson.gz", ".ndjson")


class Deck:
    """Where the parts of a deck lie.

    ``libraries`` and ``valuesets`` are further folders and files, looked through after the deck's own.
    """

    def __init__(
        self, folder: Path, *, libraries: Sequence[Path] = (), valuesets: Sequence[Path] = ()
    ) -> None:
        """Raises NotFoundError for a folder that is not there, ContentError for one that is no deck."""
        if not folder.is_dir():
            raise NotFoundError("there is no such folder.", where=str(folder), mend="Name a deck's folder.")
        cases = folder / "cases"
        self.cases = {
            path.name.removesuffix(suffix): path
            for path in sorted(cases.glob("*"))
            for suffix in _SUFFIXES
            if path.name.endswith(suffix)
        }
        if not self.cases:
            raise ContentError(
                "this is no deck: it has no cases/<measure>.ndjson.gz.",
                where=str(folder),
                mend="Name a folder with measures/, libraries/, valuesets.ndjson.gz and cases/.",
            )
        own = [folder / name for name in ("measures", "libraries", "valuesets")]
        own += [folder / f"valuesets{suffix}" for suffix in (*_SUFFIXES, ".json")]
        self.folder = folder
        self.content_paths = [*(path for path in own if path.exists()), *libraries, *valuesets]

    def content(self) -> Content:
        """The measures, libraries and value sets. Raises as ``load_content``."""
        return load_content(*self.content_paths)

    def select(self, names: Sequence[str]) -> list[str]:
        """The measures with cases that some names mean (a name, or its beginning); all without names.

        Raises NotFoundError for a name that fits none.
        """
        if not names:
            return list(self.cases)
        chosen: dict[str, None] = {}
        for name in names:
            wanted = name.lower()
            exact = [case for case in self.cases if case.lower() == wanted]
            fits = exact or [
                case
                for case in self.cases
                if case.lower().startswith(wanted) and not case[len(wanted) : len(wanted) + 1].isdigit()
            ]
            if not fits:
                raise NotFoundError(
                    f"the deck has no cases of a measure {name!r}.",
                    where=str(self.folder),
                    mend="Name a file of its cases/ folder, or the beginning of one.",
                )
            chosen.update(dict.fromkeys(fits))
        return list(chosen)

    def read(self, name: str) -> Iterator[Mapping[str, Any]]:
        """The cases of a measure. Raises ContentError for a file that cannot be read."""
        path = self.cases[name]
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
                for number, line in enumerate(lines, start=1):
                    if not line.isspace():
                        yield _case(line, f"{path}, line {number}")
        except (EOFError, OSError, zlib.error) as error:
            raise ContentError(f"the cases cannot be read ({error}).", where=str(path)) from error


@dataclass(frozen=True, slots=True)
class CaseFailure:
    """A case that did not pass; ``expected`` and ``actual`` go from place to value as text."""

    measure: str
    case: str
    description: str
    expected: dict[str, str]
    actual: dict[str, str]


@dataclass(slots=True)
class MeasureTally:
    """How the cases of one measure went. ``passed`` includes those of ``reviewed``."""

    measure: str
    cases: int = 0
    passed: int = 0
    reviewed: list[ReviewedCase] = field(default_factory=list)
    failures: list[CaseFailure] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DeckSettings:
    """How a deck is run; see ``Engine``. ``strip_labels`` takes all ``meta.profile`` away first."""

    matching: Matching = Matching.AUTO
    missing_valuesets: MissingPolicy = "empty"
    stale: StalePolicy | None = None
    strip_labels: bool = False
    cache: ProgramCache | None = None
    engine: EngineKind = "auto"
    model_infos: ModelInfos = ()


def run_deck(
    deck: Deck, names: Sequence[str], reviews: Reviews, settings: DeckSettings, *, jobs: int = 1
) -> Iterator[MeasureTally]:
    """Run the cases of some measures in ``jobs`` processes (1: in this one); tallies in the order asked for.

    Raises as ``load_content`` and ``run_measure`` do.
    """
    if jobs == 1 or len(names) < 2:
        bench = _Bench(deck, reviews, settings)
        yield from map(bench.run, names)
        return
    with ProcessPoolExecutor(
        min(jobs, len(names)), initializer=_Worker.start, initargs=(deck, reviews, settings)
    ) as pool:
        yield from pool.map(_Worker.run, names)


class _Bench:
    """What running a deck's measures needs, made once a process."""

    def __init__(self, deck: Deck, reviews: Reviews, settings: DeckSettings) -> None:
        self._deck = deck
        self._reviews = reviews
        self._strip_labels = settings.strip_labels
        self._engine = Engine(
            deck.content(),
            matching=settings.matching,
            missing_valuesets=settings.missing_valuesets,
            engine=settings.engine,
            stale=settings.stale,
            model_infos=settings.model_infos,
            cache=settings.cache,
        )

    def run(self, name: str) -> MeasureTally:
        return run_measure(self._deck, self._engine, name, self._reviews, strip_labels=self._strip_labels)


class _Worker:
    """What a worker process holds from its start to its end; its bench is made with its first measure."""

    given: tuple[Deck, Reviews, DeckSettings] | None = None
    bench: _Bench | None = None

    @classmethod
    def start(cls, deck: Deck, reviews: Reviews, settings: DeckSettings) -> None:
        # An interrupt is the parent's to answer.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        cls.given = (deck, reviews, settings)

    @classmethod
    def run(cls, name: str) -> MeasureTally:
        if cls.given is None:
            raise EvaluationError("This process has no deck to run.")
        if cls.bench is None:
            cls.bench = _Bench(*cls.given)
        return cls.bench.run(name)


def run_measure(
    deck: Deck, engine: Engine, name: str, reviews: Reviews, *, strip_labels: bool = False
) -> MeasureTally:
    """Run the cases of one measure, each for the period of its expected report.

    Raises ContentError for cases that cannot be read; whatever else goes wrong, in the measure or in a case,
    fails the case.
    """
    started = time.perf_counter()
    tally = MeasureTally(name)
    runs: dict[Period, Prepared | MeasurewiseError] = {}
    for case in deck.read(name):
        tally.cases += 1
        found = _deviations(case, name, engine, runs, strip_labels)
        review = reviews.get((name, str(case.get("id"))))
        if not found:
            tally.passed += 1
            if review is not None:
                tally.notices.append(
                    f"case {review.case} meets its report, although a review says otherwise."
                )
        elif review is not None and review.explains(found):
            tally.passed += 1
            tally.reviewed.append(review)
        else:
            tally.failures.append(_failure(name, case, found, review))
    for prepared in runs.values():
        if isinstance(prepared, Prepared):
            tally.notices += [sentence for sentence in prepared.remarks() if sentence not in tally.notices]
    tally.seconds = time.perf_counter() - started
    return tally


def _deviations(
    case: Mapping[str, Any],
    name: str,
    engine: Engine,
    runs: dict[Period, Prepared | MeasurewiseError],
    strip_labels: bool,
) -> list[Deviation]:
    found: dict[Deviation, None] = {}
    resources = case["resources"]
    if strip_labels:
        resources = [without_labels(resource) for resource in resources]
    for expected in case["expected"]:
        period = Period(expected["period"]["start"], expected["period"]["end"])
        if period not in runs:
            runs[period] = _prepared(engine, name, period)
        prepared = runs[period]
        try:
            if isinstance(prepared, MeasurewiseError):
                raise prepared
            (result,) = prepared.evaluate(Record(resources))
        except Exception as error:
            text = str(error) if isinstance(error, MeasurewiseError) else Issue.of(error, "").what
            found[Deviation("error", "", "a result", text)] = None
            continue
        for difference in differences(expected, prepared.measures[0], result):
            found[Deviation.of(difference)] = None
    return list(found)


def _prepared(engine: Engine, name: str, period: Period) -> Prepared | MeasurewiseError:
    try:
        return engine.prepare(name, period=period)
    except MeasurewiseError as error:
        return error


def _failure(
    measure: str, case: Mapping[str, Any], found: Sequence[Deviation], review: ReviewedCase | None
) -> CaseFailure:
    expected = {d.where or d.aspect: d.expected for d in found}
    if review is not None:
        # What is expected of a reviewed case is what its review says, not what the deck does.
        expected = {d.where: f"{d.actual} (reviewed; the deck says {d.expected})" for d in review.deviations}
    actual = {d.where or d.aspect: d.actual for d in found}
    return CaseFailure(measure, str(case.get("id")), str(case.get("description") or ""), expected, actual)


def _case(line: bytes, where: str) -> Mapping[str, Any]:
    try:
        case = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fault = json_fault(error, line)
        raise ContentError(fault.what, where=fault.within(where), mend=fault.mend) from error
    complete = isinstance(case, dict) and isinstance(case.get("resources"), list)
    reports = case.get("expected") if complete else None
    if not isinstance(reports, list) or not reports:
        raise ContentError("this is no test case: it needs id, resources and expected reports.", where=where)
    if not all({"start", "end"} <= (report.get("period") or {}).keys() for report in reports):
        raise ContentError("an expected report has no period with start and end.", where=where)
    return dict(case)


def without_labels(value: Any) -> Any:
    """A resource without ``meta.profile``, those it contains included."""
    stripped = dict(value)
    meta = stripped.get("meta")
    if isinstance(meta, dict):
        stripped["meta"] = {name: item for name, item in meta.items() if name != "profile"}
    if isinstance(stripped.get("contained"), list):
        stripped["contained"] = [without_labels(inner) for inner in stripped["contained"]]
    return stripped
