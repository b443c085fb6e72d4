"""What has changed at a server since a moment: whose data, and what is gone.

By ``_history?_since`` (https://hl7.org/fhir/R4/http.html#history) of the system or of each type, which tells
of deletions too; else by ``_lastUpdated`` searches, which do not. The next moment to ask from is the server's
own time before it was read, so that nothing falls between two readings; what changed meanwhile comes twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from measurewise.fhir_server_adapter.capabilities import Capabilities
from measurewise.fhir_server_adapter.client import FhirClient, next_link
from measurewise.fhir_server_adapter.faults import SourceError, place
from measurewise.fhir_server_adapter.gathering import owners

_PAGE = 500


@dataclass(slots=True)
class PatientChanges:
    """References (``Observation/1``) to a patient's resources that are new or changed, and that are gone.

    A resource that was taken from a patient (its subject is another now) is among the ``changed`` of both.
    """

    changed: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Changes:
    """What changed, by patient id.

    ``changed`` and ``deleted`` hold references to resources of which the server does not say whose they are
    (a Medication, or a deleted resource whose earlier versions it does not show): who keeps the data knows
    who refers to them. ``until`` is the next ``since``. ``remarks`` say what the server does not tell.
    """

    until: str
    patients: dict[str, PatientChanges] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)

    def stale(self) -> frozenset[str]:
        """The ids of the patients whose results no longer hold."""
        return frozenset(self.patients)


async def changes_since(
    client: FhirClient, capabilities: Capabilities, since: str, types: Iterable[str]
) -> Changes:
    """What of some resource types changed at or after an instant (``2026-05-01T08:00:00Z``).

    Raises SourceError where the server tells of no changes of a type, or a page of them cannot be read.
    """
    wanted = frozenset(types)
    versions = _Versions()
    remarks: list[str] = []
    untold: list[str] = []
    if capabilities.history:
        await versions.read(client, "_history", [("_since", since)], wanted)
    else:
        for kind in sorted(wanted):
            known = capabilities.types.get(kind)
            if known is not None and "history-type" in known.interactions:
                await versions.read(client, f"{kind}/_history", [("_since", since)], wanted)
            elif kind in capabilities.last_updated:
                untold.append(kind)
                await versions.read(client, kind, [("_lastUpdated", f"ge{since}")], wanted)
            else:
                raise SourceError(
                    f"the server tells of no changes of {kind}.",
                    where=capabilities.software,
                    mend="Read all patients anew.",
                    code="not-supported",
                )
    if untold:
        remarks.append(f"The server does not tell what was deleted of {', '.join(untold)}.")
    changes = Changes(versions.until or since, remarks=remarks)
    for reference, newest in versions.newest.items():
        await _settle(client, changes, reference, newest, versions.whose[reference])
    return changes


async def _settle(
    client: FhirClient, changes: Changes, reference: str, newest: _Newest, whose: set[str]
) -> None:
    if newest.deleted and not whose:
        whose = await _former_owners(client, reference)
    if not whose:
        (changes.deleted if newest.deleted else changes.changed).add(reference)
    for patient_id in whose:
        of = changes.patients.setdefault(patient_id, PatientChanges())
        (of.deleted if newest.deleted else of.changed).add(reference)


async def _former_owners(client: FhirClient, reference: str) -> set[str]:
    """Whose a deleted resource was, from the last of its versions that the server still shows."""
    kind, _, identity = reference.partition("/")
    if kind == "Patient":
        return {identity}
    try:
        async for entry in _entries(client, f"{reference}/_history", [("_count", "2")]):
            resource = entry.get("resource")
            if type(resource) is dict and resource.get("resourceType") == kind:
                return owners(resource)
    except SourceError as error:
        # a server that shows no history of what is gone (404, 410) or none at all
        if error.status not in (400, 403, 404, 405, 410, 501):
            raise
    return set()


@dataclass(frozen=True, slots=True)
class _Newest:
    moment: float
    deleted: bool


class _Versions:
    """The newest version of each resource, and whose any of its versions was."""

    def __init__(self) -> None:
        self.newest: dict[str, _Newest] = {}
        self.whose: dict[str, set[str]] = {}
        self.until: str | None = None

    async def read(
        self, client: FhirClient, address: str, parameters: list[tuple[str, str]], wanted: frozenset[str]
    ) -> None:
        def opened(bundle: Mapping[str, Any]) -> None:
            # the earliest of the readings counts: what changes after it comes with the next
            meta = bundle.get("meta")
            moment = meta.get("lastUpdated") if type(meta) is dict else None
            if type(moment) is str and self.until is None:
                self.until = moment

        asked = [*parameters, ("_count", str(_PAGE))]
        async for entry in _entries(client, address, asked, opened):
            self._add(entry, wanted)

    def _add(self, entry: Mapping[str, Any], wanted: frozenset[str]) -> None:
        resource = entry.get("resource")
        resource = resource if type(resource) is dict else None
        request = entry.get("request")
        request = request if type(request) is dict else {}
        deleted = request.get("method") == "DELETE"
        reference = _reference(resource, request, entry)
        if reference is None or reference.partition("/")[0] not in wanted:
            return
        whose = self.whose.setdefault(reference, set())
        if resource is not None and not deleted:
            whose |= owners(resource)
        moment = _moment(resource, entry)
        known = self.newest.get(reference)
        # histories are sorted from the newest on, which settles what has no moment or the same
        if known is None or moment > known.moment:
            self.newest[reference] = _Newest(moment, deleted)


async def _entries(
    client: FhirClient,
    address: str,
    parameters: list[tuple[str, str]],
    opened: Any = lambda bundle: None,
) -> AsyncIterator[Mapping[str, Any]]:
    """The entries of all pages of a history or a search."""
    bundle = await client.get(address, parameters)
    visited: set[str] = set()
    first = True
    while True:
        if type(bundle) is not dict or bundle.get("resourceType") != "Bundle":
            raise SourceError(
                "the server gave something else than a Bundle.", where=address, code="structure"
            )
        if first:
            opened(bundle)
            first = False
        for entry in bundle.get("entry") or ():
            if type(entry) is dict:
                yield entry
        link = next_link(bundle)
        if link is None:
            return
        url = client.url(link)
        if url in visited:
            raise SourceError(
                "the server's pages go in a circle.", where=place("GET", url), code="incomplete"
            )
        visited.add(url)
        bundle = await client.get(url)


def _reference(
    resource: Mapping[str, Any] | None, request: Mapping[str, Any], entry: Mapping[str, Any]
) -> str | None:
    if resource is not None and resource.get("id") and resource.get("resourceType") != "OperationOutcome":
        return f"{resource['resourceType']}/{resource['id']}"
    for address in (request.get("url"), entry.get("fullUrl")):
        if type(address) is str:
            parts = address.partition("?")[0].partition("/_history")[0].rstrip("/").split("/")
            if len(parts) > 1:
                return "/".join(parts[-2:])
    return None


def _moment(resource: Mapping[str, Any] | None, entry: Mapping[str, Any]) -> float:
    """When a version came to be, in seconds; minus infinity where nothing says so."""
    meta = (resource or {}).get("meta")
    response = entry.get("response")
    for said in (
        response.get("lastModified") if type(response) is dict else None,
        meta.get("lastUpdated") if type(meta) is dict else None,
    ):
        if type(said) is str:
            try:
                found = datetime.fromisoformat(said)
            except ValueError:
                continue
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    return float("-inf")
