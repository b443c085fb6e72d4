"""Many patients: share by share, in this process or in several, in memory that their number does not change.

A share of patients is evaluated into a :class:`Batch`, which holds sums and finished reports but no records.
Batches come back in the order of the patients however many processes there are.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from measurewise.engine.compiler.cache import ProgramCache
from measurewise.engine.content.content import load_content
from measurewise.engine.content.resolution import StalePolicy
from measurewise.engine.errors import EvaluationError
from measurewise.engine.measure.accumulate import SummaryAccumulator
from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.measure.reports.individual import individual_report
from measurewise.engine.measure.reports.parts import Reporting
from measurewise.engine.measure.results import PatientResult
from measurewise.engine.record.profiles import Matching
from measurewise.engine.record.reading import read_record
from measurewise.engine.runner.issues import Issue, operation_outcome
from measurewise.engine.runner.patients import PatientData
from measurewise.engine.runner.period import Period
from measurewise.engine.runner.session import Engine, MissingPolicy, Prepared
from measurewise.engine.runner.translation import EngineKind, ModelInfos

Keep = Literal["sums", "results", "reports"]
"""What a batch keeps of each patient: nothing, the compact results, or finished individual reports."""

_MOST_PATIENTS: Final = 256
_MOST_BYTES: Final = 4_000_000


@dataclass(frozen=True)
class Preparation:
    """What a process must know to prepare the same measures; see ``Engine`` and ``Engine.prepare``."""

    content: tuple[str, ...]
    measures: tuple[str, ...]
    period: Period
    matching: Matching = Matching.AUTO
    missing_valuesets: MissingPolicy = "error"
    engine: EngineKind = "auto"
    stale: StalePolicy | None = None
    model_infos: ModelInfos = ()
    cache: ProgramCache | None = None
    now: str | None = None
    zone: int = 0
    evaluated_resources: bool = False
    supplemental_data: bool = False
    check_shape: bool = False

    def prepared(self) -> Prepared:
        """The measures, ready to run. Raises as ``load_content`` and ``Engine.prepare`` do."""
        engine = Engine(
            load_content(*self.content),
            matching=self.matching,
            missing_valuesets=self.missing_valuesets,
            engine=self.engine,
            stale=self.stale,
            model_infos=self.model_infos,
            cache=self.cache,
        )
        return engine.prepare(
            *self.measures,
            period=self.period,
            now=self.now,
            zone=self.zone,
            evaluated_resources=self.evaluated_resources,
            supplemental_data=self.supplemental_data,
            check_shape=self.check_shape,
        )


@dataclass(slots=True)
class Batch:
    """What a share of the patients came to.

    ``failed`` counts the patients of whom at least one measure could not be evaluated; each of them has an
    issue of severity ``error``. ``summaries`` are aligned with ``Prepared.measures``. ``results`` has, where
    they are kept, each measure's compact results; ``reports`` JSON texts, one a measure and patient, with an
    OperationOutcome in the place of those that failed.
    """

    summaries: list[SummaryAccumulator]
    patients: int = 0
    failed: int = 0
    issues: list[Issue] = field(default_factory=list)
    results: list[list[PatientResult]] = field(default_factory=list)
    reports: list[bytes] = field(default_factory=list)


def evaluate_batch(
    prepared: Prepared,
    patients: Iterable[PatientData],
    keep: Keep = "sums",
    reporting: Reporting | None = None,
) -> Batch:
    """Evaluate some patients. A patient that cannot be evaluated becomes an issue, and the others go on.

    ``reporting`` is needed to keep reports.
    """
    measures = prepared.measures
    batch = Batch([SummaryAccumulator(measure) for measure in measures])
    if keep == "results":
        batch.results = [[] for _ in measures]
    for where, data in patients:
        batch.patients += 1
        try:
            record = read_record(data, where=where)
            outcomes = prepared.attempt(record)
        except Exception as error:
            issue = Issue.of(error, where)
            batch.failed += 1
            batch.issues.append(issue)
            if keep == "reports":
                batch.reports.append(to_json(operation_outcome([issue])))
            continue
        if record.issues:
            batch.issues += [Issue("warning", "structure", sentence, where) for sentence in record.issues]
        succeeded = True
        for position, outcome in enumerate(outcomes):
            if isinstance(outcome, Exception):
                succeeded = False
                issue = Issue.of(outcome, where, measures[position].name)
                batch.issues.append(issue)
                if keep == "reports":
                    batch.reports.append(to_json(operation_outcome([issue])))
                continue
            batch.summaries[position].add(outcome)
            if keep == "reports" and reporting is not None:
                batch.reports.append(to_json(individual_report(measures[position], outcome, reporting)))
            elif keep == "results":
                batch.results[position].append(outcome.compact())
        if not succeeded:
            batch.failed += 1
    gc.collect()
    return batch


def evaluate_patients(
    preparation: Preparation,
    prepared: Prepared,
    patients: Iterable[PatientData],
    *,
    jobs: int = 1,
    keep: Keep = "sums",
    reporting: Reporting | None = None,
    start_method: Literal["fork", "spawn"] | None = None,
) -> Iterator[Batch]:
    """Evaluate any number of patients, share by share, in ``jobs`` processes (1: in this one).

    ``prepared`` is what ``preparation`` gives. ``start_method`` is how processes start: where they can be
    forked (by default on Linux) they inherit it, elsewhere they prepare their own. Raises what reading the
    patients raises, and EvaluationError where a process ends before its time.
    """
    if jobs == 1:
        with _collector_at_rest():
            for share in shares(patients):
                yield evaluate_batch(prepared, share, keep, reporting)
        return
    with _collector_at_rest(), _pool(jobs, preparation, prepared, start_method) as pool:
        under_way: deque[Future[Batch]] = deque()
        try:
            pool.submit(_ready).result()
            for share in shares(patients):
                under_way.append(pool.submit(_evaluate_share, share, keep, reporting))
                if len(under_way) > 2 * jobs:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool as error:
            raise EvaluationError(
                "a process that evaluated patients ended before its time, perhaps for want of memory.",
                mend="Run with fewer --jobs.",
            ) from error
        finally:
            for future in under_way:
                future.cancel()


def shares(patients: Iterable[PatientData]) -> Iterator[list[PatientData]]:
    """Patients dealt out by number and size, so that neither a share's length nor its bytes grow large."""
    share: list[PatientData] = []
    size = 0
    for patient in patients:
        share.append(patient)
        size += len(patient.data)
        if len(share) >= _MOST_PATIENTS or size >= _MOST_BYTES:
            yield share
            share, size = [], 0
    if share:
        yield share


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Collect garbage between shares only: walks over parsed JSON cost up to a third."""
    if not gc.isenabled():
        yield
        return
    _rest()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()


def _rest() -> None:
    """Let the collector run only when asked to, and then pass over what there is already."""
    gc.collect()
    gc.freeze()
    gc.disable()


@contextmanager
def _pool(
    jobs: int, preparation: Preparation, prepared: Prepared, start_method: str | None
) -> Iterator[ProcessPoolExecutor]:
    method = start_method or ("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context(method),
        initializer=_start,
        initargs=(preparation, prepared if method == "fork" else None),
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class _Worker:
    """What a worker process holds from its start to its end."""

    preparation: Preparation | None = None
    prepared: Prepared | None = None


def _start(preparation: Preparation, prepared: Prepared | None) -> None:
    # An interrupt is the parent's to answer: it cancels what is under way.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Worker.preparation, _Worker.prepared = preparation, prepared
    _rest()


def _ready() -> bool:
    return _measures() is not None


def _measures() -> Prepared:
    if _Worker.prepared is None:
        if _Worker.preparation is None:
            raise EvaluationError("This process has no measures to evaluate.")
        _Worker.prepared = _Worker.preparation.prepared()
        _rest()
    return _Worker.prepared


def _evaluate_share(share: list[PatientData], keep: Keep, reporting: Reporting | None) -> Batch:
    return evaluate_batch(_measures(), share, keep, reporting)
