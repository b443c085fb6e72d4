"""Stored patients as the engine takes them: one JSON text with all of a patient's resources."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, select

from measurewise.store.access import Access
from measurewise.store.resources import Stored, of_references
from measurewise.store.tables import resources

_REFERENCE: Final = re.compile(
    rb'"reference":"(?:https?://[^"]+/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})[/"]'
)
_AT_ONCE: Final = 200


def patient_records(connection: Connection, organization: str, patients: Sequence[str]) -> dict[str, bytes]:
    """For each patient who is there, ``{"resources": [...]}``, in the order asked for.

    Resources that are no patient's own (a Medication, a Location) come with every patient one of whose
    resources refers to them, directly or through each other.
    """
    own: dict[str, list[bytes]] = {patient: [] for patient in patients}
    for start in range(0, len(patients), _AT_ONCE):
        query = (
            select(resources.c.patient, resources.c.body)
            .where(
                resources.c.organization == organization,
                resources.c.patient.in_(patients[start : start + _AT_ONCE]),
                resources.c.deleted.is_(False),
                # Results are no data to compute results from.
                resources.c.type != "MeasureReport",
            )
            .order_by(resources.c.patient, resources.c.key)
        )
        for patient, body in connection.execute(query):
            own[patient].append(body)
    everything = [body for bodies in own.values() for body in bodies]
    shared = {
        (found.type.encode(), found.id.encode()): found.body
        for found in referred_to(connection, Access(frozenset({organization})), everything)
    }
    return {
        patient: b'{"resources":[' + b",".join([*bodies, *_used(bodies, shared)]) + b"]}"
        for patient, bodies in own.items()
        if bodies
    }


def referred_to(connection: Connection, access: Access, bodies: Sequence[bytes]) -> list[Stored]:
    """The resources without a patient that some resources refer to, directly or through each other."""
    found: dict[Named, Stored] = {}
    asked: set[Named] = set()
    pending = _references(bodies)
    while pending := pending - asked:
        asked |= pending
        wanted = sorted((kind.decode(), identity.decode()) for kind, identity in pending)
        new = [stored for stored in of_references(connection, access, wanted) if stored.patient is None]
        found.update({(stored.type.encode(), stored.id.encode()): stored for stored in new})
        pending = _references(stored.body for stored in new)
    return list(found.values())


Named = tuple[bytes, bytes]


def _used(bodies: Sequence[bytes], shared: dict[Named, bytes]) -> list[bytes]:
    used: dict[Named, bytes] = {}
    pending: set[Named] = _references(bodies) if shared else set()
    while pending:
        name = pending.pop()
        body = shared.get(name)
        if body is not None and name not in used:
            used[name] = body
            pending |= _references([body])
    return list(used.values())


def _references(bodies: Iterable[bytes]) -> set[Named]:
    """What resources refer to, other than patients and the resources of a patient that come anyway."""
    return {
        (kind, identity)
        for body in bodies
        for kind, identity in _REFERENCE.findall(body)
        if kind not in (b"Patient", b"Encounter")
    }
