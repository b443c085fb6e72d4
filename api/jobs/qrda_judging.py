"""The job of judging or converting an archive of many QRDA documents, some of them a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from measurewise.api.jobs.kind import Done, Kind, Plan, Tick
from measurewise.api.jobs.received import sent_file
from measurewise.api.services.bulk_files import forget_import, kept_seconds, remove_expired
from measurewise.api.services.context import Services
from measurewise.api.services.qrda import Sent
from measurewise.api.services.qrda_judging import Judged, Judging, judged, whole_answer
from measurewise.engine.measure.reports.edge import to_json
from measurewise.qrda.validation.sources import Source
from measurewise.store.jobs import Job
from measurewise.store.resources import parse

NAME: Final = "qrda-judging"
_SHARE: Final = 50


class JudgingMany(msgspec.Struct, frozen=True):
    """The request of the job: the file that was sent, its name, and what is asked of its documents."""

    file: str
    name: str
    judging: Judging


def _request(job: Job) -> JudgingMany:
    return msgspec.json.decode(job.request, type=JudgingMany)


def _sent(services: Services, job: Job) -> tuple[Sent, list[Source]]:
    request = _request(job)
    sent = sent_file(services, job.id, Path(request.file), request.name)
    return sent, sent.sources()


def _plan(services: Services, job: Job) -> Plan:
    remove_expired(services)
    _, found = _sent(services, job)
    starts = range(0, len(found), _SHARE)
    return Plan([msgspec.json.encode(start) for start in starts], len(found), "judging")


def _step(services: Services, job: Job, work: bytes, tick: Tick) -> Done:
    start = msgspec.json.decode(work, type=int)
    sent, found = _sent(services, job)
    answers = judged(sent, found[start : start + _SHARE], _request(job).judging)
    told = [{"size": one.size, "answer": one.answer} for one in answers]
    return Done(to_json({"answers": told}), len(answers))


def _finish(services: Services, job: Job, outcomes: list[bytes]) -> bytes:
    told: list[dict[str, Any]] = [one for outcome in outcomes for one in parse(outcome)["answers"]]
    answers = [Judged(one["size"], one["answer"]) for one in told]
    forget_import(services, job.id)
    return whole_answer(_request(job).judging, answers, is_archive=True)


KIND: Final = Kind(
    NAME,
    _plan,
    _step,
    _finish,
    answer="itself",
    forget=forget_import,
    expires=kept_seconds,
    media_type=lambda job: _request(job).judging.media_type,
)
