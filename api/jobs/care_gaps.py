"""The job of ``$care-gaps`` over many stored patients."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from measurewise.api.jobs.kind import Done, Kind, Plan, Tick, requester_of
from measurewise.api.jobs.shares import dealt_out, share_of
from measurewise.api.services.answers import parameters
from measurewise.api.services.care_gaps import CareGapsRequest, care_gaps, prepare_gaps
from measurewise.api.services.context import Services
from measurewise.api.services.evaluation import issues_of_missing
from measurewise.api.services.subjects import Asked, find_subjects
from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.runner.issues import Issue
from measurewise.store.jobs import Job

NAME: Final = "care-gaps"
_SHARE: Final = 100


class Finding(msgspec.Struct, frozen=True):
    """The request of the job: which gaps, and whose."""

    gaps: CareGapsRequest
    asked: Asked


class _Found(msgspec.Struct):
    documents: list[msgspec.Raw]
    issues: list[dict[str, Any]]


def _request(job: Job) -> Finding:
    return msgspec.json.decode(job.request, type=Finding)


def _plan(services: Services, job: Job) -> Plan:
    request = _request(job)
    prepare_gaps(services, request.gaps)
    with services.database.read() as connection:
        found = find_subjects(connection, requester_of(job).access, request.asked, request.gaps.period)
    return dealt_out(found, _SHARE, "looking for gaps")


def _step(services: Services, job: Job, work: bytes, tick: Tick) -> Done:
    share = share_of(work)
    requester = requester_of(job)
    asked, patients = _request(job).gaps, share.patients
    documents, issues = care_gaps(services, requester.access, asked, patients, requester.base)
    issues += issues_of_missing(share.missing)
    found = _Found(
        [msgspec.Raw(to_json(document)) for document in documents], [issue.as_json() for issue in issues]
    )
    return Done(msgspec.json.encode(found), len(patients), share.identities)


def _finish(services: Services, job: Job, outcomes: list[bytes]) -> bytes:
    shares = [msgspec.json.decode(outcome, type=_Found) for outcome in outcomes]
    documents = [document for share in shares for document in share.documents]
    issues = [Issue(**issue) for share in shares for issue in share.issues]
    return to_json(parameters(documents, issues))


KIND: Final = Kind(NAME, _plan, _step, _finish)
