"""The job of QRDA I zips of stored patients: parts of some patients each, then joined."""

from __future__ import annotations

from typing import Final

import msgspec

from measurewise.api.jobs.kind import Done, Kind, Plan, Tick, requester_of
from measurewise.api.services.bulk_files import forget_export, kept_seconds, remove_expired
from measurewise.api.services.context import Services
from measurewise.api.services.evaluation import prepare
from measurewise.api.services.qrda_zips import Part, QrdaExport, Share, export_part, join_parts
from measurewise.api.services.subjects import find_subjects
from measurewise.store.jobs import Job

NAME: Final = "qrda-export"
FILES: Final = "/qrda/exports"
_SHARE: Final = 100


def _request(job: Job) -> QrdaExport:
    return msgspec.json.decode(job.request, type=QrdaExport)


def _plan(services: Services, job: Job) -> Plan:
    remove_expired(services)
    request = _request(job)
    prepare(services, request.evaluation)
    if request.writing is not None:
        request.writing.check()
    with services.database.read() as connection:
        found = find_subjects(connection, requester_of(job).access, request.asked, request.evaluation.period)
    patients = found.patients
    shares = [
        Share(number, patients[start : start + _SHARE])
        for number, start in enumerate(range(0, len(patients), _SHARE))
    ]
    if found.missing:
        shares.append(Share(len(shares), (), found.missing))
    return Plan([msgspec.json.encode(share) for share in shares], len(patients), "writing QRDA I documents")


def _step(services: Services, job: Job, work: bytes, tick: Tick) -> Done:
    share = msgspec.json.decode(work, type=Share)
    part = export_part(services, job.id, _request(job), share)
    if not tick():
        forget_export(services, job.id)
    identities = [identity for _, identity in share.patients]
    return Done(msgspec.json.encode(part), len(identities), identities)


def _finish(services: Services, job: Job, outcomes: list[bytes]) -> bytes:
    parts = [msgspec.json.decode(outcome, type=Part) for outcome in outcomes]
    root = requester_of(job).base.removesuffix("/fhir")
    return join_parts(services, job.id, _request(job), parts, f"{root}{FILES}/{job.id}")


KIND: Final = Kind(NAME, _plan, _step, _finish, answer="itself", forget=forget_export, expires=kept_seconds)
