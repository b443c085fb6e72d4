"""The job of ``$evaluate-measure`` and its kin over many stored patients."""

from __future__ import annotations

from typing import Final

import msgspec

from measurewise.api.jobs.kind import Done, Kind, Plan, Tick, requester_of
from measurewise.api.jobs.shares import dealt_out, share_of
from measurewise.api.services.answers import Form, answer
from measurewise.api.services.context import Services
from measurewise.api.services.evaluation import (
    EvaluationRequest,
    evaluate_request,
    from_shares,
    prepare,
    reports,
    to_share,
    untold,
)
from measurewise.api.services.subjects import Asked, find_subjects
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store.jobs import Job

NAME: Final = "evaluate"
_SHARE: Final = 250


class Evaluating(msgspec.Struct, frozen=True):
    """The request of the job: what to compute, over whom, and in which form the answer is given."""

    evaluation: EvaluationRequest
    asked: Asked
    form: Form


def _request(job: Job) -> Evaluating:
    return msgspec.json.decode(job.request, type=Evaluating)


def _plan(services: Services, job: Job) -> Plan:
    request = _request(job)
    prepare(services, request.evaluation)
    with services.database.read() as connection:
        found = find_subjects(connection, requester_of(job).access, request.asked, request.evaluation.period)
    return dealt_out(found, _SHARE, "evaluating")


def _step(services: Services, job: Job, work: bytes, tick: Tick) -> Done:
    request = _request(job)
    share = share_of(work)
    prepared = prepare(services, request.evaluation)
    found = evaluate_request(services, request.evaluation, prepared, share.patients, missing=share.missing)
    return Done(to_share(prepared, request.evaluation, found), len(share.patients), share.identities)


def _finish(services: Services, job: Job, outcomes: list[bytes]) -> bytes:
    request = _request(job)
    prepared = prepare(services, request.evaluation)
    found = from_shares(prepared, request.evaluation, outcomes)
    with services.database.read() as connection:
        made = reports(connection, services, prepared, request.evaluation, found)
        requester = requester_of(job)
        issues = untold(request.evaluation, found)
        return to_json(answer(connection, requester.access, made, request.form, requester.base, issues))


KIND: Final = Kind(NAME, _plan, _step, _finish)
