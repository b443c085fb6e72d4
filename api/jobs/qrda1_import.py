"""The job of an import of many QRDA I documents: read once to tell who is who, then a patient at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from measurewise.api.jobs.auditing import write_down
from measurewise.api.jobs.kind import Done, Kind, Plan, Tick
from measurewise.api.jobs.received import sent_file
from measurewise.api.services.bulk_files import forget_import, kept_seconds, remove_expired
from measurewise.api.services.context import Services
from measurewise.api.services.qrda import Sent
from measurewise.api.services.qrda_import import Imported, documents, groups, write_all
from measurewise.engine.measure.reports.edge import to_json
from measurewise.qrda.category1.merging import Match
from measurewise.qrda.category1.reading import ImportedDocument
from measurewise.qrda.validation.sources import Source
from measurewise.store.jobs import Job
from measurewise.store.resources import parse

NAME: Final = "qrda1-import"
_SHARE: Final = 50


class ImportingQrda1(msgspec.Struct, frozen=True):
    """The request of the job: the file that was sent, its name, and what makes documents one patient's."""

    file: str
    name: str
    match: Match


class _Share(msgspec.Struct, frozen=True):
    """Documents of some patients by their names, and those that could not be read, of the first share."""

    documents: tuple[str, ...]
    not_read: tuple[dict[str, Any], ...] = ()


def _request(job: Job) -> ImportingQrda1:
    return msgspec.json.decode(job.request, type=ImportingQrda1)


def _sent(services: Services, job: Job) -> tuple[Sent, list[Source]]:
    request = _request(job)
    sent = sent_file(services, job.id, Path(request.file), request.name)
    return sent, sent.sources()


def _plan(services: Services, job: Job) -> Plan:
    remove_expired(services)
    sent, found = _sent(services, job)
    bare: list[ImportedDocument] = []
    not_read: list[dict[str, Any]] = []
    for start in range(0, len(found), _SHARE):
        read, failed = documents(sent, found[start : start + _SHARE])
        # Whose document it is suffices for now; memory must not grow with the archive.
        bare += [
            ImportedDocument(
                one.name, one.patient, (), frozenset(), (), (), one.period, one.created, one.source
            )
            for one in read
        ]
        not_read += failed
    shares: list[list[str]] = [[]]
    for names in groups(bare, _request(job).match):
        if shares[-1] and len(shares[-1]) + len(names) > _SHARE:
            shares.append([])
        shares[-1] += names
    works = [_Share(tuple(names)) for names in shares if names]
    if not_read:
        works.append(_Share((), tuple(not_read)))
    return Plan([msgspec.json.encode(one) for one in works], len(found), "importing")


def _step(services: Services, job: Job, work: bytes, tick: Tick) -> Done:
    share = msgspec.json.decode(work, type=_Share)
    outcome = Imported(not_read=list(share.not_read))
    if share.documents:
        sent, found = _sent(services, job)
        wanted = set(share.documents)
        read, failed = documents(sent, [source for source in found if sent.name_of(source) in wanted])
        if not tick():
            return Done(b"{}", 0)
        outcome.patients = write_all(
            services, job.organization, read, _request(job).match,
            lambda connection, patient: write_down(connection, job, [patient]),
        )  # fmt: skip
        outcome.not_read += failed
    return Done(to_json(outcome.answer()), len(share.documents) + len(share.not_read))


def _finish(services: Services, job: Job, outcomes: list[bytes]) -> bytes:
    whole = Imported()
    for outcome in outcomes:
        told = parse(outcome)
        whole.patients += told["patients"]
        whole.not_read += told["notRead"]
    forget_import(services, job.id)
    return to_json(whole.answer())


KIND: Final = Kind(NAME, _plan, _step, _finish, answer="itself", forget=forget_import, expires=kept_seconds)
