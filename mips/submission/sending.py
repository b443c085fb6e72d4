"""What must be sent so that CMS has a submission: which measurement sets are created and which replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from measurewise.mips.submission.api_client import (
    ApiRequest,
    SubmissionsApi,
    create_request,
    replace_request,
)
from measurewise.mips.submission.merging import SetKey, identity, set_key
from measurewise.qrda.qpp_model import MeasurementSet, Submission
from measurewise.qrda.qpp_reading import read_measurement_set


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement set on its way: created, or put in the place of the one whose id is ``replaces``."""

    action: Literal["create", "replace"]
    key: SetKey
    request: ApiRequest
    replaces: str | None = None


def stored_sets(submission: Submission, stored: Iterable[Submission]) -> dict[SetKey, MeasurementSet]:
    """The measurement sets that CMS has for the entity and year of a submission."""
    return {
        set_key(one): one
        for other in stored
        if identity(other) == identity(submission)
        for one in other.measurement_sets or ()
        if one.id
    }


def plan(submission: Submission, stored: Iterable[Submission] = ()) -> list[Step]:
    """The steps, one a measurement set; of two sets with the same key the last is sent.

    ``stored`` is what the API gave for the entity. Without it every set is planned as new.
    """
    there = stored_sets(submission, stored)
    steps = []
    for key, one in {set_key(one): one for one in submission.measurement_sets or ()}.items():
        old = there.get(key)
        if old is None or old.id is None:
            steps.append(Step("create", key, create_request(one, submission)))
        else:
            steps.append(Step("replace", key, replace_request(old.id, one, submission), old.id))
    return steps


def carry_out(api: SubmissionsApi, steps: Iterable[Step]) -> Iterator[tuple[Step, MeasurementSet]]:
    """Send the steps one after another, each with the measurement set as the API then has it.

    Raises SubmissionsApiError at the first step that is refused; the steps before it are done.
    """
    for step in steps:
        answer: Any = api.send(step.request)
        data = answer.get("data") if isinstance(answer, dict) else None
        found = data.get("measurementSet") if isinstance(data, dict) else None
        yield step, read_measurement_set(found if isinstance(found, dict) else {})
