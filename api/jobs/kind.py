"""What a kind of job consists of: a plan, steps that workers do side by side, and a finish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from measurewise.api.services.context import Services
from measurewise.store.access import Access
from measurewise.store.jobs import Job

Tick = Callable[[], bool]
"""To be called now and then within a step: prolongs the claim; False says to leave off."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a job; ``total`` is what they count up to, ``progress`` what is told meanwhile."""

    works: Sequence[bytes]
    total: int
    progress: str


@dataclass(frozen=True, slots=True)
class Done:
    """A step's outcome, how much of the total it was, and the ids of the patients whose data it read.

    The audit trail names these. A step that writes data puts the patients into it itself, in the transaction
    that writes them (``auditing.write_down``).
    """

    outcome: bytes
    count: int
    patients: Sequence[str] = ()


Answer = Literal["bundle", "itself"]
"""How a client that polls gets the result: in a batch-response Bundle, or as it is (a Bulk Data manifest)."""


def _nothing_to_forget(services: Services, identity: str) -> None:
    """Most jobs leave nothing behind but their row."""


def _json(job: Job) -> str:
    return "application/json"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job. Each function may be called again after a crash, and must then come to the same.

    ``plan`` deals out the work, ``step`` does one piece, ``finish`` makes the result of all outcomes: a FHIR
    resource as JSON. What they raise of the MeasurewiseError family ends the job with that error. ``forget``
    removes what a job (by its id) keeps outside the store, when it is cancelled or its result given up; a
    result that ``expires`` so many seconds after the job ended is not given afterwards. ``media_type``
    is what a result that is answered ``itself`` is.
    """

    name: str
    plan: Callable[[Services, Job], Plan]
    step: Callable[[Services, Job, bytes, Tick], Done]
    finish: Callable[[Services, Job, list[bytes]], bytes]
    answer: Answer = "bundle"
    forget: Callable[[Services, str], None] = _nothing_to_forget
    expires: Callable[[Services], float] | None = None
    media_type: Callable[[Job], str] = _json


class Requester(msgspec.Struct, frozen=True):
    """Who asked for a job, and whose data it may see; a job never sees more than who asked for it.

    What stands after ``base`` is for the audit trail: the request (an address) and its operation, the name,
    issuer and id of the token.
    """

    subject: str
    client_id: str
    organizations: tuple[str, ...] | None
    patient: str | None = None
    request_id: str = ""
    base: str = ""
    request: str = ""
    operation: str = ""
    name: str = ""
    issuer: str = ""
    token_id: str = ""

    @property
    def access(self) -> Access:
        """Whose data the job may see."""
        found = None if self.organizations is None else frozenset(self.organizations)
        return Access(found, self.patient)


def requester_of(job: Job) -> Requester:
    """Who asked for a job."""
    return msgspec.json.decode(job.requester, type=Requester)


def encoded(value: Any) -> bytes:
    """A job's request, requester or work as JSON."""
    return msgspec.json.encode(value)
