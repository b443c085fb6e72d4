"""Measures over stored patients: one patient at once, any number in shares that workers take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec
from sqlalchemy import Connection

from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.services.answers import NOT_EVALUATED, not_evaluated
from measurewise.api.services.context import Services
from measurewise.api.services.live_results import LiveResults
from measurewise.api.services.provenance import check_fixed_versions, say_what_it_was_computed_with
from measurewise.api.services.records import patient_records
from measurewise.engine import (
    Period,
    Prepared,
    RecordError,
    Reporting,
    SummaryAccumulator,
    individual_report,
    read_record,
    subject_list_report,
    summary_report,
)
from measurewise.engine.measure.result_json import from_result_json, to_result_json
from measurewise.engine.measure.results import PatientResult
from measurewise.engine.measure.summary_json import from_summary_json, to_summary_json
from measurewise.engine.runner.fhir_parameters import cql_parameters
from measurewise.engine.runner.issues import Issue
from measurewise.store.access import OPERATOR
from measurewise.store.database import now
from measurewise.store.resources import of_references
from measurewise.store.results import Revision, revisions
from measurewise.store.search_index import microseconds, moments

_PERIOD: Final = "Measurement Period"
ReportKind = Literal["individual", "subject-list", "summary"]


class EvaluationRequest(msgspec.Struct, frozen=True):
    """What to compute: measures by canonical reference, the period, the kind of report, who reports."""

    measures: tuple[str, ...]
    period_start: str
    period_end: str
    kind: ReportKind
    reporter: str | None = None
    # CQL parameters as a FHIR Parameters resource.
    parameters: dict[str, Any] | None = None
    evaluated_resources: bool = False
    changed_since: str | None = None
    # Versions by canonical URL that a manifest fixes.
    fixed: dict[str, str] = {}

    @property
    def period(self) -> Period:
        """The measurement period."""
        return Period(self.period_start, self.period_end)


@dataclass(slots=True)
class Evaluated:
    """Compact results of some patients, a list for each measure, and what went wrong."""

    results: list[list[PatientResult]]
    issues: list[Issue] = field(default_factory=list)
    patients: int = 0
    failed: int = 0
    computed: int = 0
    """How many results were computed rather than reused."""
    read: list[str] = field(default_factory=list)
    """Ids of the patients whose records were read."""
    sums: list[SummaryAccumulator] | None = None
    """In place of ``results``, where a summary is all that is asked for."""


def prepare(services: Services, request: EvaluationRequest) -> Prepared:
    """The request's measures, ready to run. Raises NotFoundError, ContentError and RequestError."""
    check_fixed_versions(services.catalog, request.measures, request.period, request.fixed)
    zone = services.settings.zone_minutes
    given = cql_parameters(request.parameters, zone) if request.parameters is not None else None
    prepared = services.catalog.prepare(
        request.measures,
        request.period,
        parameters=given,
        supplemental_data=True,
        evaluated_resources=request.kind == "individual" or request.evaluated_resources,
    )
    _check_used(prepared, given or ())
    return prepared


def _check_used(prepared: Prepared, given: Iterable[str]) -> None:
    """Raises RequestError for a CQL parameter that would change nothing."""
    slots = prepared.program.tables.parameters
    used = {name for slot in slots for name in (slot.name, f"{slot.library}.{slot.name}")}
    used.discard(_PERIOD)
    for name in given:
        if name not in used:
            why = "is given by periodStart and periodEnd" if name == _PERIOD else "is none of these measures"
            raise RequestError(f"the CQL parameter '{name}' {why}.", where="parameters", mend="Leave it out.")


def evaluate_request(
    services: Services,
    request: EvaluationRequest,
    prepared: Prepared,
    patients: Sequence[tuple[str, str]],
    *,
    missing: Sequence[str] = (),
) -> Evaluated:
    """What a request asks for of some patients, with kept results where they will do.

    Kept results are compact, so reports on single patients are always computed; as is what a request gives
    CQL parameters of its own.
    """
    if request.kind == "individual" or request.evaluated_resources or request.parameters is not None:
        compact = request.kind != "individual"
        return evaluate_stored(services, prepared, patients, missing=missing, compact=compact)
    found = Evaluated([[] for _ in prepared.measures])
    _note_missing(found, missing)
    live = LiveResults(services.database, services.bases, prepared, request.period)
    for organization, identities in _by_organization(patients):
        _evaluate_live(services, request, prepared, live, organization, identities, found)
    return found


def _evaluate_live(
    services: Services,
    request: EvaluationRequest,
    prepared: Prepared,
    live: LiveResults,
    organization: str,
    identities: Sequence[str],
    found: Evaluated,
) -> None:
    names = [measure.canonical for measure in prepared.measures]
    with services.database.read() as connection:
        kept = live.fresh(connection, organization, identities)
    # The data are read in a transaction of their own, the revisions first: what changes meanwhile shows.
    lacking = [one for one in identities if len(kept.get(one, ())) < len(names)]
    read_at: dict[str, Revision] = {}
    records: dict[str, bytes] = {}
    if lacking:
        with services.database.read() as connection:
            read_at = revisions(connection, organization, lacking)
            records = patient_records(connection, organization, lacking)
        found.read += lacking
    new: list[tuple[str, PatientResult]] = []
    for identity in identities:
        found.patients += 1
        known = kept.get(identity, {})
        absent = [name for name in names if name not in known]
        if absent:
            made = Evaluated([[] for _ in absent])
            record = records.get(identity)
            _evaluate(_only(services, request, prepared, absent), f"Patient/{identity}", record, made, True)
            for result in (one for results in made.results for one in results):
                known[result.measure] = result
                new.append((identity, result))
            found.failed += made.failed
            found.issues += made.issues
        for position, name in enumerate(names):
            if name in known:
                found.results[position].append(known[name])
    found.computed += len(new)
    live.keep(organization, new, read_at)


def _only(
    services: Services, request: EvaluationRequest, prepared: Prepared, measures: Sequence[str]
) -> Prepared:
    """Some of the measures that were prepared together."""
    if len(measures) == len(prepared.measures):
        return prepared
    return services.catalog.prepare(tuple(measures), request.period)


def _note_missing(found: Evaluated, missing: Sequence[str]) -> None:
    found.failed += len(missing)
    found.issues += issues_of_missing(missing)


def issues_of_missing(missing: Iterable[str]) -> list[Issue]:
    """What is said of subjects who were named and are not there."""
    return [Issue("error", "not-found", "there is no such patient here.", reference) for reference in missing]


def untold(request: EvaluationRequest, found: Evaluated) -> list[Issue]:
    """The issues that the reports do not tell of: those on one patient say nothing of the others."""
    return found.issues if request.kind == "individual" else []


def evaluate_stored(
    services: Services,
    prepared: Prepared,
    patients: Sequence[tuple[str, str]],
    *,
    missing: Sequence[str] = (),
    compact: bool = True,
) -> Evaluated:
    """Evaluate patients, (organisation, id) each; one that fails becomes an issue, and the others go on.

    ``missing`` are subjects who were named and are not there; they are issues too.
    """
    found = Evaluated([[] for _ in prepared.measures])
    _note_missing(found, missing)
    for organization, identities in _by_organization(patients):
        with services.database.read() as connection:
            records = patient_records(connection, organization, identities)
        found.read += identities
        for identity in identities:
            found.patients += 1
            _evaluate(prepared, f"Patient/{identity}", records.get(identity), found, compact)
    return found


def _evaluate(prepared: Prepared, where: str, data: bytes | None, found: Evaluated, compact: bool) -> None:
    try:
        if data is None:
            raise RecordError("the patient is not in the store any more.", where=where)
        record = read_record(data, where=where)
        outcomes = prepared.attempt(record)
    except Exception as error:
        found.failed += 1
        found.issues.append(Issue.of(error, where))
        return
    found.issues += [Issue("warning", "structure", sentence, where) for sentence in record.issues]
    succeeded = True
    for position, outcome in enumerate(outcomes):
        if isinstance(outcome, Exception):
            succeeded = False
            found.issues.append(Issue.of(outcome, where, prepared.measures[position].name))
        else:
            found.results[position].append(outcome.compact() if compact else outcome)
            found.computed += 1
    found.failed += not succeeded


def reporting(services: Services, request: EvaluationRequest) -> Reporting:
    """What reports say beside results."""
    return Reporting(
        request.period_start,
        request.period_end,
        now().isoformat(timespec="seconds"),
        request.reporter or services.settings.reporter,
    )


def reports(
    connection: Connection,
    services: Services,
    prepared: Prepared,
    request: EvaluationRequest,
    found: Evaluated,
) -> list[dict[str, Any]]:
    """The MeasureReports of the request's kind: one a measure, or one a measure and patient.

    ``changed_since`` leaves out of ``evaluatedResource`` what has not changed since, and changes no number.
    """
    said = reporting(services, request)
    made: list[dict[str, Any]] = []
    sums = summed(prepared, found) if request.kind == "summary" else None
    for position, (measure, results) in enumerate(zip(prepared.measures, found.results, strict=True)):
        if sums is not None:
            made.append(summary_report(sums[position], said))
        elif request.kind == "subject-list":
            made.append(subject_list_report(measure, results, said))
        else:
            made += [individual_report(measure, result, said) for result in results]
    for report in made:
        _say_who_is_missing(report, found)
        say_what_it_was_computed_with(report, services.catalog, request.period)
        if request.changed_since is not None:
            _leave_out_unchanged(connection, report, request.changed_since)
    return made


def summed(prepared: Prepared, found: Evaluated) -> list[SummaryAccumulator]:
    """The sums of all results, one a measure."""
    if found.sums is not None:
        return found.sums
    return [
        SummaryAccumulator(measure).add_all(results)
        for measure, results in zip(prepared.measures, found.results, strict=True)
    ]


def _leave_out_unchanged(connection: Connection, report: dict[str, Any], since: str) -> None:
    """Keep of the evaluated resources those that were written to the store after a moment."""
    span = moments(since)
    evaluated = report.get("evaluatedResource")
    if not evaluated or span is None:
        return
    names = [tuple(item["reference"].split("/", 1)) for item in evaluated]
    changed = {
        stored.reference
        for stored in of_references(connection, OPERATOR, names)
        if microseconds(stored.updated) >= span[0]
    }
    kept = [item for item in evaluated if item["reference"] in changed]
    if kept:
        report["evaluatedResource"] = kept
    else:
        del report["evaluatedResource"]


def _say_who_is_missing(report: dict[str, Any], found: Evaluated) -> None:
    """Patients who could not be evaluated stand in the report, as an OperationOutcome it contains."""
    failed = not_evaluated(found.issues)
    if failed is not None and report["type"] != "individual":
        report.setdefault("contained", []).append({**failed, "id": NOT_EVALUATED})


def _by_organization(patients: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = {}
    for organization, identity in patients:
        found.setdefault(organization, []).append(identity)
    return list(found.items())


class _Share(msgspec.Struct):
    """What a share of the patients came to, as it is kept between processes: results, or their sums."""

    patients: int
    failed: int
    computed: int
    issues: list[dict[str, Any]]
    results: list[list[msgspec.Raw]] = []
    sums: list[msgspec.Raw] = []


def to_share(prepared: Prepared, request: EvaluationRequest, found: Evaluated) -> bytes:
    """The results of a share as JSON; for a summary their sums, which do not grow with the patients."""
    share = _Share(found.patients, found.failed, found.computed, [issue.as_json() for issue in found.issues])
    if request.kind == "summary":
        share.sums = [msgspec.Raw(to_summary_json(sums)) for sums in summed(prepared, found)]
    else:
        share.results = [
            [msgspec.Raw(to_result_json(result)) for result in results] for results in found.results
        ]
    return msgspec.json.encode(share)


def from_shares(prepared: Prepared, request: EvaluationRequest, shares: Iterable[bytes]) -> Evaluated:
    """The results of all shares together."""
    together = Evaluated([[] for _ in prepared.measures])
    if request.kind == "summary":
        together.sums = [SummaryAccumulator(measure) for measure in prepared.measures]
    for data in shares:
        share = msgspec.json.decode(data, type=_Share)
        together.patients += share.patients
        together.failed += share.failed
        together.computed += share.computed
        together.issues += [Issue(**issue) for issue in share.issues]
        for sums, part in zip(together.sums or (), share.sums, strict=False):
            sums.merge(from_summary_json(sums.measure, bytes(part)))
        for place, results in enumerate(share.results):
            together.results[place] += [from_result_json(bytes(result)) for result in results]
    return together
