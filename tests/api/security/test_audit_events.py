"""AuditEvents meet the Basic Audit Log Patterns that they claim, checked here slice by slice.

The tables below are those of BALP 1.1.4 (https://profiles.ihe.net/ITI/BALP/): what each profile fixes, and
which agents and entities it wants how often.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from measurewise.api.audit import AuditSink, Interaction, Occurrence, audit_events, patient_of, record
from measurewise.api.security.principal import Principal, operator
from measurewise.api.security.scopes import Scopes
from measurewise.store.access import Access

PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CUSTODIAN = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
REST = "http://hl7.org/fhir/restful-interaction"
ENTITY = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
OAUTH_AGENT = ("https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes", "UserOauthAgent")
DATA_SOURCES = {(PARTICIPATION, code) for code in ("AUT", "INF", "CST")}

# profile: subtypes, action, the client's type, the server's type, the user's types
SHAPES: dict[str, tuple[set[str], str, tuple[str, str], tuple[str, str], set[tuple[str, str]]]] = {
    "Read": ({"read", "vread"}, "R", (DCM, "110152"), (DCM, "110153"), {(PARTICIPATION, "IRCP")}),
    "Query": (
        {"search", "search-type", "search-system"},
        "E",
        (DCM, "110153"),
        (DCM, "110152"),
        {(PARTICIPATION, "IRCP")},
    ),
    "Create": ({"create"}, "C", (DCM, "110153"), (DCM, "110152"), DATA_SOURCES),
    "Update": ({"update", "patch"}, "U", (DCM, "110153"), (DCM, "110152"), DATA_SOURCES),
    "Delete": ({"delete"}, "D", (DCM, "110150"), (CUSTODIAN, "custodian"), DATA_SOURCES),
}

JTI = "token-1"
NURSE = Principal(
    "nurse-7",
    "dashboard",
    Scopes.parse("user/*.rs"),
    Access(frozenset({"practice-a"})),
    name="Nora Nurse",
    issuer="https://sign-in.example.org",
    token_id=JTI,
)
REGISTRY = replace(NURSE, subject="registry", client_id="registry", name="")
READ = Occurrence(
    "read",
    datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC),
    "request-1",
    "https://measures.example.org/fhir",
    "192.0.2.7",
    200,
    ("Observation/o1",),
    ("p1",),
    "GET /fhir/Observation/o1",
)


def codes(concept: dict[str, Any]) -> set[tuple[str, str]]:
    return {(coding["system"], coding["code"]) for coding in concept["coding"]}


def meets(event: dict[str, Any], profile: str) -> None:
    """Asserts what the profile asks of the event."""
    patient = profile.startswith("Patient")
    subtypes, action, client_type, server_type, user_types = SHAPES[profile.removeprefix("Patient")]
    assert event["type"]["system"] == "http://terminology.hl7.org/CodeSystem/audit-event-type"
    assert event["type"]["code"] == "rest"
    said = [(subtype["system"], subtype["code"]) for subtype in event["subtype"]]
    assert any(system == REST and code in subtypes for system, code in said)
    assert event["action"] == action
    assert event["outcome"] == "0"
    assert event["recorded"]

    agents = event["agent"]
    assert len(agents) >= 2
    assert sum(agent["requestor"] for agent in agents) == 1
    for wanted in (client_type, server_type):
        (agent,) = (agent for agent in agents if wanted in codes(agent["type"]))
        assert agent["who"]
        assert agent["network"]["address"]
        assert "media" not in agent
    users = [agent for agent in agents if codes(agent["type"]) & user_types]
    assert len(users) <= 1
    for user in users:
        assert user["who"]
        assert user["requestor"] is True
        assert not {"media", "network"} & set(user)

    entities = event["entity"]
    kinds = [(entity["type"]["system"], entity["type"]["code"]) for entity in entities]
    assert sum(code == "XrequestId" for _, code in kinds) <= 1
    patients = [e for e, kind in zip(entities, kinds, strict=True) if kind == (ENTITY, "1")]
    assert len(patients) == (1 if patient else 0)
    for entity in patients:
        assert entity["role"] == {"system": ROLE, "code": "1", "display": "Patient"}
        assert entity["what"]["reference"].startswith("Patient/")
    (data,) = (e for e, kind in zip(entities, kinds, strict=True) if kind == (ENTITY, "2"))
    if profile.endswith("Query"):
        assert (data["role"]["system"], data["role"]["code"]) == (ROLE, "24")
        assert data["query"]
        assert not {"what", "lifecycle", "detail"} & set(data)
    else:
        assert data["role"]["system"] == ROLE
        assert data["role"]["code"] in ("3", "4", "20")
        assert data["what"]["reference"]


def meets_oauth_minimal(event: dict[str, Any]) -> None:
    """Asserts IHE.BasicAudit.OAUTHaccessTokenUse.Minimal."""
    users = [agent for agent in event["agent"] if OAUTH_AGENT in codes(agent["type"])]
    assert users
    for user in users:
        assert user["requestor"] is True
        (policy,) = user["policy"]
        assert policy.startswith("urn:ietf:params:oauth:jti:")
        assert not {"media", "network"} & set(user)


def claimed(event: dict[str, Any]) -> list[str]:
    return [url.removeprefix(PROFILE + "IHE.BasicAudit.") for url in event.get("meta", {}).get("profile", ())]


def checked(event: dict[str, Any]) -> list[str]:
    """The profiles that the event claims, each of which it is checked against, after R4 itself."""
    AuditEvent.model_validate(event)
    for entity in event.get("entity", ()):
        assert not {"name", "query"} <= set(entity), "sev-1"
    for profile in claimed(event):
        if profile == "OAUTHaccessTokenUse.Minimal":
            meets_oauth_minimal(event)
        else:
            meets(event, profile)
    return claimed(event)


INTERACTIONS: dict[Interaction, str] = {
    "read": "Read",
    "vread": "Read",
    "search": "Query",
    "search-type": "Query",
    "search-system": "Query",
    "create": "Create",
    "update": "Update",
    "patch": "Update",
    "delete": "Delete",
}


@pytest.mark.parametrize("interaction", INTERACTIONS)
@pytest.mark.parametrize("who", [NURSE, REGISTRY, operator()], ids=["nurse", "registry", "operator"])
@pytest.mark.parametrize("patients", [(), ("p1",)], ids=["no patient", "patient"])
def test_what_succeeds_meets_its_profile(
    interaction: Interaction, who: Principal, patients: tuple[str, ...]
) -> None:
    (event,) = audit_events(who, replace(READ, interaction=interaction, patients=patients))
    name = f"{'Patient' if patients else ''}{INTERACTIONS[interaction]}"
    oauth = ["OAUTHaccessTokenUse.Minimal"] if who.token_id else []
    assert checked(event) == [name, *oauth]


@pytest.mark.parametrize("interaction", INTERACTIONS)
@pytest.mark.parametrize(("status", "outcome"), [(400, "4"), (403, "4"), (404, "4"), (500, "8"), (503, "8")])
def test_what_fails_is_recorded_and_claims_no_success(
    interaction: Interaction, status: int, outcome: str
) -> None:
    what = replace(READ, interaction=interaction, status=status, failure="there is no such thing.")
    (event,) = audit_events(NURSE, what)
    assert checked(event) == ["OAUTHaccessTokenUse.Minimal"]
    assert event["outcome"] == outcome
    assert event["outcomeDesc"] == "there is no such thing."


def test_somebody_who_was_not_let_in_is_recorded_as_the_address_alone() -> None:
    (event,) = audit_events(None, replace(READ, status=401, resources=(), patients=()))
    assert checked(event) == []
    client, server = event["agent"]
    assert client["requestor"] is True
    assert client["who"] == {"display": "192.0.2.7"}
    assert server["requestor"] is False


def test_the_token_is_recorded_by_its_id_and_the_person_by_the_issuers_name() -> None:
    (event,) = audit_events(NURSE, READ)
    (user,) = (agent for agent in event["agent"] if agent["requestor"])
    assert user["who"] == {
        "identifier": {"system": "https://sign-in.example.org", "value": "nurse-7"},
        "display": "Nora Nurse",
    }
    assert user["name"] == "Nora Nurse"
    assert user["policy"] == ["urn:ietf:params:oauth:jti:token-1"]


def test_who_changes_is_the_author_and_who_reads_the_recipient() -> None:
    for interaction, kind in (("read", "IRCP"), ("search", "IRCP"), ("create", "AUT"), ("delete", "AUT")):
        (event,) = audit_events(NURSE, replace(READ, interaction=interaction))
        (user,) = (agent for agent in event["agent"] if agent["requestor"])
        assert codes(user["type"]) == {(PARTICIPATION, kind), OAUTH_AGENT}


def test_a_backend_service_is_no_person() -> None:
    (event,) = audit_events(REGISTRY, READ)
    (user,) = (agent for agent in event["agent"] if agent["requestor"])
    assert codes(user["type"]) == {OAUTH_AGENT}


def test_a_query_is_kept_as_it_came_whatever_it_holds() -> None:
    nasty = "GET /fhir/Patient?name=<script>\x00\udcff' OR 1=1"
    (event,) = audit_events(NURSE, replace(READ, interaction="search", patients=(), request=nasty))
    (query,) = (entity["query"] for entity in event["entity"] if "query" in entity)
    assert base64.b64decode(query).decode("utf-8", "surrogateescape") == nasty


def test_a_query_names_no_results() -> None:
    what = replace(READ, interaction="search", resources=("Observation/o1", "Observation/o2"), patients=())
    (event,) = audit_events(NURSE, what)
    assert not any("reference" in entity.get("what", {}) for entity in event["entity"])


def test_each_patient_of_a_query_has_an_event() -> None:
    events = list(audit_events(NURSE, replace(READ, interaction="search", patients=("p1", "p2", "p1", "p3"))))
    assert [checked(event)[0] for event in events] == ["PatientQuery"] * 3
    found = [
        entity["what"]["reference"]
        for event in events
        for entity in event["entity"]
        if entity["type"]["code"] == "1"
    ]
    assert found == ["Patient/p1", "Patient/p2", "Patient/p3"]
    assert [patient_of(event) for event in events] == ["p1", "p2", "p3"]
    assert len({event["id"] for event in events}) == 3


def test_an_operation_is_one_event_with_all_it_touched() -> None:
    what = replace(
        READ,
        interaction="operation",
        operation="Measure/$evaluate-measure",
        resources=("Measure/m1", "MeasureReport/r1"),
        patients=("p1", "p2"),
        request="GET /fhir/Measure/m1/$evaluate-measure?subject=Patient/p1",
    )
    (event,) = audit_events(NURSE, what)
    assert checked(event) == ["OAUTHaccessTokenUse.Minimal"]
    assert patient_of(event) is None  # of several patients it belongs to none
    assert event["action"] == "E"
    assert event["subtype"] == [{"system": REST, "code": "operation", "display": "operation"}]
    references = [entity["what"].get("reference") for entity in event["entity"] if "what" in entity]
    assert references == ["Measure/m1", "MeasureReport/r1", "Patient/p1", "Patient/p2", None]
    roles = [entity["role"]["code"] for entity in event["entity"] if "role" in entity]
    assert roles == ["4", "3", "1", "1", "24"]
    assert any(entity.get("description") == "Measure/$evaluate-measure" for entity in event["entity"])


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("Group/$export", "110106"),
        ("$export", "110106"),
        ("$import", "110107"),
        ("Measure/$submit-data", "110107"),
        ("Measure/$bulk-submit-data", "110107"),
    ],
)
def test_what_carries_data_in_or_out_says_so(operation: str, code: str) -> None:
    (event,) = audit_events(NURSE, replace(READ, interaction="operation", operation=operation))
    checked(event)
    assert (DCM, code) in {(subtype["system"], subtype["code"]) for subtype in event["subtype"]}


@pytest.mark.parametrize("interaction", ["history", "transaction", "batch", "capabilities"])
def test_other_interactions_are_valid_events(interaction: Interaction) -> None:
    (event,) = audit_events(NURSE, replace(READ, interaction=interaction))
    assert checked(event) == ["OAUTHaccessTokenUse.Minimal"]


def test_without_an_address_or_a_resource_no_profile_is_claimed() -> None:
    for what in (replace(READ, client_address=None), replace(READ, resources=())):
        (event,) = audit_events(operator(), what)
        assert checked(event) == []


@pytest.mark.parametrize(
    ("address", "kind"), [("192.0.2.7", "2"), ("2001:db8::7", "2"), ("workstation.example.org", "1")]
)
def test_the_clients_address_says_what_kind_it_is(address: str, kind: str) -> None:
    (event,) = audit_events(NURSE, replace(READ, client_address=address))
    assert event["agent"][0]["network"] == {"address": address, "type": kind}


def test_the_time_is_an_instant_in_utc() -> None:
    local = datetime(2026, 3, 1, 7, 0, tzinfo=timezone(timedelta(hours=-5)))
    (event,) = audit_events(NURSE, replace(READ, time=local))
    assert event["recorded"] == "2026-03-01T12:00:00.000Z"


def test_the_request_id_ties_the_event_to_the_log() -> None:
    (event,) = audit_events(NURSE, READ)
    (transaction,) = (entity for entity in event["entity"] if entity["type"]["code"] == "XrequestId")
    assert transaction["what"]["identifier"]["value"] == "request-1"


def test_events_go_to_the_sink_as_they_are() -> None:
    class Kept:
        def __init__(self) -> None:
            self.events: list[dict[str, Any]] = []

        def write(self, event: dict[str, Any]) -> None:
            self.events.append(event)

    kept = Kept()
    sink: AuditSink = kept
    assert record(sink, NURSE, replace(READ, patients=("p1", "p2"))) == 2
    assert [checked(event)[0] for event in kept.events] == ["PatientRead", "PatientRead"]
