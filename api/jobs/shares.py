"""Work on many patients dealt out to steps: some patients each, and those who are not there in a last one."""

from __future__ import annotations

import msgspec

from measurewise.api.jobs.kind import Plan
from measurewise.api.services.subjects import Subjects


class Share(msgspec.Struct, frozen=True):
    """A step's work: patients as (organisation, id), and subjects who are not there."""

    patients: tuple[tuple[str, str], ...]
    missing: tuple[str, ...] = ()

    @property
    def identities(self) -> list[str]:
        """The ids of the patients."""
        return [identity for _, identity in self.patients]


def dealt_out(found: Subjects, size: int, progress: str) -> Plan:
    """The plan of a job over subjects, ``size`` patients a step; ``progress`` says what is being done."""
    shares = [Share(found.patients[start : start + size]) for start in range(0, len(found.patients), size)]
    if found.missing:
        shares.append(Share((), found.missing))
    return Plan([msgspec.json.encode(share) for share in shares], len(found.patients), progress)


def share_of(work: bytes) -> Share:
    """The share that a step was given."""
    return msgspec.json.decode(work, type=Share)
