"""The job of a Bulk Data export: a step a file."""

from __future__ import annotations

from typing import Final

import msgspec

from measurewise.api.jobs.auditing import write_down
from measurewise.api.jobs.kind import Done, Kind, Plan, Tick, requester_of
from measurewise.api.services.bulk import (
    Exported,
    ExportRequest,
    Share,
    deal_out,
    export_referred,
    export_share,
    manifest,
    settled,
)
from measurewise.api.services.bulk_files import export_folder, forget_export, kept_seconds, remove_expired
from measurewise.api.services.context import Services
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store.jobs import Job

NAME: Final = "export"
FILES: Final = "/_exports"


def _request(job: Job) -> ExportRequest:
    return msgspec.json.decode(job.request, type=ExportRequest)


def _plan(services: Services, job: Job) -> Plan:
    remove_expired(services)
    moment = settled(services)
    with services.database.read() as connection:
        shares, total = deal_out(connection, requester_of(job).access, _request(job), moment)
    return Plan([msgspec.json.encode(share) for share in shares], total, "exporting")


def _step(services: Services, job: Job, work: bytes, tick: Tick) -> Done:
    share = msgspec.json.decode(work, type=Share)
    request, access = _request(job), requester_of(job).access
    folder = export_folder(services, job.id)
    with services.database.read() as connection:
        done = export_share(connection, access, services.catalog.codes, request, share, folder)
    if not tick():
        forget_export(services, job.id)
    return Done(msgspec.json.encode(done), done.looked_at)


def _finish(services: Services, job: Job, outcomes: list[bytes]) -> bytes:
    request, requester = _request(job), requester_of(job)
    shares = [msgspec.json.decode(outcome, type=Exported) for outcome in outcomes]
    folder = export_folder(services, job.id)
    with services.database.read() as connection:
        more = export_referred(connection, requester.access, services.catalog.codes, request, shares, folder)
    with services.database.write() as connection:
        # Once for the whole export, before anybody can fetch a file of it.
        write_down(connection, job, (patient for share in shares for patient in share.patients))
    where = f"{requester.base}{FILES}/{job.id}"
    return to_json(manifest(request, shares, more, where, not services.settings.security.open))


KIND: Final = Kind(NAME, _plan, _step, _finish, "itself", forget_export, kept_seconds)
