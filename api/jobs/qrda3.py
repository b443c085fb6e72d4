"""The job of a QRDA III report over many stored patients: evaluated as any, then written."""

from __future__ import annotations

from typing import Final

import msgspec

from measurewise.api.jobs import evaluating
from measurewise.api.jobs.kind import Kind
from measurewise.api.services.answers import Form
from measurewise.api.services.context import Services
from measurewise.api.services.evaluation import EvaluationRequest
from measurewise.api.services.qrda_writing import Writing, written
from measurewise.api.services.subjects import Asked
from measurewise.store.jobs import Job
from measurewise.store.resources import parse

NAME: Final = "qrda3"


class EvaluatingQrda3(msgspec.Struct, frozen=True):
    """The request of the job: that of an evaluation, and what is written of it."""

    evaluation: EvaluationRequest
    asked: Asked
    writing: Writing
    form: Form = "measure-report"


def _finish(services: Services, job: Job, outcomes: list[bytes]) -> bytes:
    request = msgspec.json.decode(job.request, type=EvaluatingQrda3)
    found = parse(evaluating.KIND.finish(services, job, outcomes))
    several = found["resourceType"] == "Bundle"
    made = [entry["resource"] for entry in found["entry"]] if several else [found]
    return written(services, made, request.writing)


KIND: Final = Kind(NAME, evaluating.KIND.plan, evaluating.KIND.step, _finish)
