"""FHIR AuditEvents after IHE's Basic Audit Log Patterns (BALP 1.1.4): who did what to whose data.

https://profiles.ihe.net/ITI/BALP/. The RESTful profiles (read, query, create, update, delete, each with and
without a patient) are claimed for what succeeded; a failure has the same shape and claims none. Whoever came
with an access token is recorded as ``OAUTHaccessTokenUse.Minimal`` asks: by the token's id, never the token.
"""

from __future__ import annotations

import base64
import ipaddress
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, Protocol
from urllib.parse import urlsplit

from measurewise.api.security.principal import Principal

Interaction = Literal[
    "read",
    "vread",
    "search",
    "search-type",
    "search-system",
    "create",
    "update",
    "patch",
    "delete",
    "history",
    "operation",
    "transaction",
    "batch",
    "capabilities",
]
"""What was done (FHIR's restful-interaction codes)."""

_BALP: Final = "https://profiles.ihe.net/ITI/BALP"
_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem"
_PROFILES: Final[dict[str, tuple[str, str]]] = {
    # interaction: profile name, AuditEvent.action
    "read": ("Read", "R"),
    "vread": ("Read", "R"),
    "search": ("Query", "E"),
    "search-type": ("Query", "E"),
    "search-system": ("Query", "E"),
    "create": ("Create", "C"),
    "update": ("Update", "U"),
    "patch": ("Update", "U"),
    "delete": ("Delete", "D"),
}
_ACTIONS: Final = {"history": "R", "capabilities": "R"}
_MOVES: Final = {
    "$export": ("110106", "Export"),
    "$qrda-export": ("110106", "Export"),
    "$import": ("110107", "Import"),
    "$submit-data": ("110107", "Import"),
    "$bulk-submit-data": ("110107", "Import"),
}
_REPORTS: Final = frozenset({"MeasureReport", "Composition", "DiagnosticReport", "DocumentReference"})


class AuditSink(Protocol):
    """Where audit events go: the store writes them in the transaction of what they tell of."""

    def write(self, event: dict[str, Any]) -> None:
        """Keep one AuditEvent."""
        ...


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What happened.

    ``resources`` are references (``Measure/m1`` or ``Measure/m1/_history/2``), ``patients`` the ids of the
    patients whose data was touched. ``request`` is the request as it came, ``GET /fhir/Patient?name=x``, with
    the body of a POSTed search after it; it is kept in base64 so that whatever it holds harms nobody.
    ``operation`` is its name, ``Measure/$evaluate-measure``. ``server`` is the FHIR base, ``client_address``
    what the connection says. ``failure`` is the sentence that went to the client, where there was one.
    """

    interaction: Interaction
    time: datetime
    request_id: str
    server: str
    client_address: str | None
    status: int
    resources: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    request: str = ""
    operation: str | None = None
    failure: str = ""


def record(sink: AuditSink, principal: Principal | None, occurrence: Occurrence) -> int:
    """Write the events of an occurrence; how many there were."""
    count = 0
    for event in audit_events(principal, occurrence):
        sink.write(event)
        count += 1
    return count


def audit_events(principal: Principal | None, occurrence: Occurrence) -> Iterator[dict[str, Any]]:
    """The AuditEvents of an occurrence; ``principal`` is None for somebody who was not let in.

    BALP has one event a patient, and one a resource that is read or changed. An operation is one event with
    all its resources and patients, for which BALP has no profile.
    """
    patients = tuple(dict.fromkeys(occurrence.patients))
    resources = tuple(dict.fromkeys(occurrence.resources))
    if occurrence.interaction not in _PROFILES:
        yield _event(principal, occurrence, resources, patients)
        return
    if _PROFILES[occurrence.interaction][0] == "Query":
        # what was found is not recorded, only what was asked and whose data came of it
        resources = ()
    for resource in resources or (None,):
        for patient in patients or (None,):
            yield _event(
                principal,
                occurrence,
                (resource,) if resource is not None else (),
                (patient,) if patient is not None else (),
            )


def patient_of(event: dict[str, Any]) -> str | None:
    """The id of the one patient that an event is about; None where it names none or several."""
    named = [
        entity["what"]["reference"].removeprefix("Patient/")
        for entity in event.get("entity", ())
        if entity.get("role", {}).get("code") == "1"
    ]
    return named[0] if len(named) == 1 else None


def _event(
    principal: Principal | None,
    occurrence: Occurrence,
    resources: tuple[str, ...],
    patients: tuple[str, ...],
) -> dict[str, Any]:
    name, action = _PROFILES.get(occurrence.interaction, ("", _ACTIONS.get(occurrence.interaction, "E")))
    asks = occurrence.interaction == "operation" or name == "Query"
    entities: list[dict[str, Any]] = [_data(resource) for resource in resources]
    entities += [_patient(patient) for patient in patients]
    if asks and occurrence.request:
        entities.append(_query(occurrence))
    if occurrence.request_id:
        entities.append(_transaction(occurrence.request_id))
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": str(uuid.uuid4()),
        "type": _coding(f"{_TERMINOLOGY}/audit-event-type", "rest", "Restful Operation"),
        "subtype": _subtypes(occurrence),
        "action": action,
        "recorded": _instant(occurrence.time),
        "outcome": _outcome(occurrence.status),
        "agent": _agents(principal, occurrence, name),
        "source": {
            "site": urlsplit(occurrence.server).hostname or occurrence.server,
            "observer": {
                "identifier": {"system": "urn:ietf:rfc:3986", "value": occurrence.server},
                "display": "Measurewise",
            },
            "type": [_coding(f"{_TERMINOLOGY}/security-source-type", "4", "Application Server")],
        },
    }
    if entities:
        event["entity"] = entities
    if occurrence.failure:
        event["outcomeDesc"] = occurrence.failure
    profiles = _claimed(principal, occurrence, name, resources, patients)
    if profiles:
        event = {"resourceType": "AuditEvent", "id": event["id"], "meta": {"profile": profiles}} | event
    return event


def _claimed(
    principal: Principal | None,
    occurrence: Occurrence,
    name: str,
    resources: tuple[str, ...],
    patients: tuple[str, ...],
) -> list[str]:
    """The profiles that the event meets."""
    claimed: list[str] = []
    # a query profile wants the query, the others one resource
    about = bool(occurrence.request) if name == "Query" else bool(resources)
    if name and about and occurrence.client_address and occurrence.status < 400:
        claimed.append(f"IHE.BasicAudit.{'Patient' if patients else ''}{name}")
    if principal is not None and principal.token_id:
        claimed.append("IHE.BasicAudit.OAUTHaccessTokenUse.Minimal")
    return [f"{_BALP}/StructureDefinition/{profile}" for profile in claimed]


def _subtypes(occurrence: Occurrence) -> list[dict[str, Any]]:
    code = occurrence.interaction
    found = [_coding("http://hl7.org/fhir/restful-interaction", code, code)]
    move = _MOVES.get((occurrence.operation or "").rsplit("/", 1)[-1])
    if move is not None:
        found.append(_coding(_DCM, *move))
    return found


def _agents(principal: Principal | None, occurrence: Occurrence, profile: str) -> list[dict[str, Any]]:
    """The client, the server, and whoever stands behind the token; one of them is the requestor."""
    source = _concept(_DCM, "110153", "Source Role ID")
    destination = _concept(_DCM, "110152", "Destination Role ID")
    match profile:
        case "Read":
            client_type, server_type = destination, source
        case "Delete":
            client_type = _concept(_DCM, "110150", "Application")
            server_type = _concept(f"{_TERMINOLOGY}/provenance-participant-type", "custodian", "Custodian")
        case _:
            # the question flows from the client to the server, which is how DICOM and IHE see a query
            client_type, server_type = source, destination
    client: dict[str, Any] = {"type": client_type, "requestor": False}
    address = occurrence.client_address
    if principal is not None and principal.client_id:
        client["who"] = {"identifier": {"value": principal.client_id}}
    else:
        client["who"] = {"display": address or "unknown"}
    if address:
        client["network"] = {"address": address, "type": "2" if _is_address(address) else "1"}
    server = {
        "type": server_type,
        "who": {
            "identifier": {"system": "urn:ietf:rfc:3986", "value": occurrence.server},
            "display": "Measurewise",
        },
        "requestor": False,
        "network": {"address": occurrence.server, "type": "5"},
    }
    user = _user(principal, profile) if principal is not None else None
    if user is None:
        client["requestor"] = True
        return [client, server]
    return [client, server, user]


def _user(principal: Principal, profile: str) -> dict[str, Any] | None:
    """The person, or the backend service, whose token it is; None where there is neither name nor token."""
    codings: list[dict[str, Any]] = []
    person = principal.subject != principal.client_id
    if person:
        changes = profile in ("Create", "Update", "Delete")
        kind = ("AUT", "author (originator)") if changes else ("IRCP", "information recipient")
        codings.append(_coding(f"{_TERMINOLOGY}/v3-ParticipationType", *kind))
    if principal.token_id:
        codings.append(
            _coding(f"{_BALP}/CodeSystem/UserAgentTypes", "UserOauthAgent", "User OAuth Agent participant")
        )
    if not codings:
        return None
    identifier = {"value": principal.subject}
    if principal.issuer:
        identifier = {"system": principal.issuer} | identifier
    user: dict[str, Any] = {"type": {"coding": codings}, "who": {"identifier": identifier}}
    if principal.name:
        user["who"]["display"] = principal.name
        user["name"] = principal.name
    user["requestor"] = True
    if principal.token_id:
        user["policy"] = [f"urn:ietf:params:oauth:jti:{principal.token_id}"]
    return user


def _data(resource: str) -> dict[str, Any]:
    report = resource.split("/", 1)[0] in _REPORTS
    role = ("3", "Report") if report else ("4", "Domain Resource")
    return {
        "what": {"reference": resource},
        "type": _coding(f"{_TERMINOLOGY}/audit-entity-type", "2", "System Object"),
        "role": _coding(f"{_TERMINOLOGY}/object-role", *role),
    }


def _patient(patient: str) -> dict[str, Any]:
    return {
        "what": {"reference": f"Patient/{patient}"},
        "type": _coding(f"{_TERMINOLOGY}/audit-entity-type", "1", "Person"),
        "role": _coding(f"{_TERMINOLOGY}/object-role", "1", "Patient"),
    }


def _query(occurrence: Occurrence) -> dict[str, Any]:
    entity: dict[str, Any] = {
        "type": _coding(f"{_TERMINOLOGY}/audit-entity-type", "2", "System Object"),
        "role": _coding(f"{_TERMINOLOGY}/object-role", "24", "Query"),
        "query": base64.b64encode(occurrence.request.encode("utf-8", "surrogateescape")).decode(),
    }
    if occurrence.operation is not None:
        entity["description"] = occurrence.operation
    return entity


def _transaction(request_id: str) -> dict[str, Any]:
    return {
        "what": {"identifier": {"value": request_id}},
        "type": _coding(f"{_BALP}/CodeSystem/BasicAuditEntityType", "XrequestId"),
    }


def _outcome(status: int) -> str:
    """AuditEvent.outcome: success, a failure of the request (minor), a failure of the server (serious)."""
    if status < 400:
        return "0"
    return "4" if status < 500 else "8"


def _instant(time: datetime) -> str:
    moment = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _coding(system: str, code: str, display: str = "") -> dict[str, Any]:
    coding = {"system": system, "code": code}
    return coding | {"display": display} if display else coding


def _concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [_coding(system, code, display)]}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
