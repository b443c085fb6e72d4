"""Whatever the server answers with is valid FHIR: the models, and what they do not check."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from deqm_data import DIABETES, URL, group, parameters, patient
from fastapi.testclient import TestClient
from fhir.resources.R4B import get_fhir_model_class
from official_site import give_official_content, give_patients, official_cases
from pydantic import ValidationError
from served import YEAR, put, start
from sqlalchemy import select

from measurewise.api.operations import OPERATIONS
from measurewise.api.settings import Settings
from measurewise.store.tables import audit_events

RATIO: Final = "CMS816FHIRHHHypo"
INTERVAL: Final = "HospitalFollowUpInterval"
_DEQM: Final = "http://hl7.org/fhir/us/davinci-deqm/StructureDefinition/"
_VERSIONED: Final = re.compile(r"/_history/")
_RESTFUL: Final = re.compile(r"^(https?://.+)/([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})$")
_RELATIVE: Final = re.compile(r"^[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}$")
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REQUIRED: Final = {
    "indv-measurereport-deqm": ("status", "measure", "subject", "date", "reporter", "period"),
    "summary-measurereport-deqm": ("status", "measure", "date", "reporter", "period", "group"),
    "subjectlist-measurereport-deqm": ("status", "measure", "date", "reporter", "period", "group"),
    "datax-measurereport-deqm": ("status", "measure", "subject", "date", "reporter", "period"),
    "gaps-bundle-deqm": ("identifier", "type", "timestamp", "entry"),
    "gaps-composition-deqm": ("status", "type", "subject", "date", "author", "title", "section"),
    "gaps-detectedissue-deqm": ("modifierExtension", "status", "code", "patient", "evidence"),
}
"""The elements that DEQM's profiles make mandatory."""


def faults(resource: dict[str, Any]) -> list[str]:
    """What is wrong with a resource, as sentences."""
    found: list[str] = []
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate_json(json.dumps(resource))
    except ValidationError as error:
        found += [f"{fault['loc']}: {fault['msg']}" for fault in error.errors()]
    for held in _resources(resource):
        found += _profile_faults(held)
        if held["resourceType"] == "Bundle":
            found += _bundle_faults(held)
        if held["resourceType"] == "OperationOutcome" and not held["issue"]:
            found.append("OperationOutcome without an issue")
        if "id" in held and not _ID.fullmatch(held["id"]):
            found.append(f"'{held['id']}' is no id")
    return found + list(_empty(resource, resource["resourceType"]))


def _resources(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "resourceType" in node:
            yield node
        for value in node.values():
            yield from _resources(value)
    elif isinstance(node, list):
        for value in node:
            yield from _resources(value)


def _empty(node: Any, path: str) -> Iterator[str]:
    """Elements that are there and empty, which FHIR's JSON does not have (ele-1, and 2.6.2 JSON)."""
    if node in ({}, [], "", None) and node is not False and node != 0:
        yield f"{path} is empty"
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _empty(value, f"{path}.{name}")
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from _empty(value, f"{path}[{position}]")


def _profile_faults(resource: dict[str, Any]) -> Iterator[str]:
    for profile in (resource.get("meta") or {}).get("profile", ()):
        if not profile.startswith(_DEQM):
            continue
        name = profile.removeprefix(_DEQM).partition("|")[0]
        assert name in _REQUIRED, name
        for element in _REQUIRED[name]:
            if element not in resource:
                yield f"{name} without {element}"
        if name == "gaps-detectedissue-deqm":
            urls = [extension["url"] for extension in resource["modifierExtension"]]
            if urls != [f"{_DEQM}extension-gapStatus"]:
                yield f"{name} with {urls}"
        if name == "gaps-composition-deqm":
            for section in resource["section"]:
                if not {"title", "focus", "text", "entry"} <= set(section):
                    yield f"{name}: a section has only {sorted(section)}"


def _bundle_faults(bundle: dict[str, Any]) -> Iterator[str]:
    """The invariants bdl-1 to bdl-12 of FHIR R4, and how references within are resolved."""
    kind, entries = bundle["type"], bundle.get("entry", [])
    if "total" in bundle and kind not in ("searchset", "history"):
        yield "bdl-1: total"
    for entry in entries:
        if "search" in entry and kind != "searchset":
            yield "bdl-2: search"
        if ("request" in entry) != (kind in ("batch", "transaction", "history")):
            yield "bdl-3: request"
        if ("response" in entry) != (kind in ("batch-response", "transaction-response", "history")):
            yield "bdl-4: response"
        if not {"resource", "request", "response"} & set(entry):
            yield "bdl-5: an empty entry"
        if _VERSIONED.search(entry.get("fullUrl", "")):
            yield "bdl-8: a fullUrl with a version"
        if "resource" in entry and kind in ("searchset", "document", "collection", "history"):
            yield from _address_faults(entry)
    if kind != "history":
        names = [entry["fullUrl"] for entry in entries if "fullUrl" in entry]
        if len(names) != len(set(names)):
            yield f"bdl-7: {[name for name in names if names.count(name) > 1]} twice"
    if kind == "document":
        if not {"system", "value"} <= set(bundle.get("identifier", ())):
            yield "bdl-9: no identifier"
        if "timestamp" not in bundle:
            yield "bdl-10: no timestamp"
        if entries[0]["resource"]["resourceType"] != "Composition":
            yield "bdl-11: the first entry is no Composition"
    if kind in ("document", "collection"):
        yield from _reference_faults(entries, kind)


def _address_faults(entry: dict[str, Any]) -> Iterator[str]:
    """A fullUrl is there, and says the type and id of its resource, or is a UUID."""
    name, resource = entry.get("fullUrl"), entry["resource"]
    if name is None:
        yield f"{resource['resourceType']} has no fullUrl"
    elif name.startswith("urn:uuid:"):
        if str(uuid.UUID(name[9:])) != name[9:]:
            yield f"{name} is no UUID"
    else:
        parts = _RESTFUL.match(name)
        if parts is None or (parts[2], parts[3]) != (resource["resourceType"], resource.get("id")):
            yield f"the fullUrl {name} is not that of {resource['resourceType']}/{resource.get('id')}"


def _reference_faults(entries: list[dict[str, Any]], kind: str) -> Iterator[str]:
    """Relative references of reports, compositions and issues that the Bundle does not resolve.

    FHIR R4, Bundle, "Resolving references in Bundles": a relative reference is resolved against the root of
    the fullUrl of the entry that it is in.
    """
    names = {entry.get("fullUrl") for entry in entries}
    for entry in entries:
        resource = entry["resource"]
        root = _RESTFUL.match(entry["fullUrl"])
        if resource["resourceType"] not in ("Composition", "DetectedIssue", "MeasureReport"):
            continue
        # In a document all is there; a collection may leave out who reports.
        told = {k: v for k, v in resource.items() if kind == "document" or k not in ("reporter", "author")}
        for reference in _references(told):
            absolute = f"{root[1]}/{reference}" if root and _RELATIVE.match(reference) else reference
            if absolute not in names and not reference.startswith("#"):
                yield f"{resource['resourceType']}: {reference} is not in the Bundle"


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node["reference"]
        for name, value in node.items():
            if name != "contained":
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("valid")
    chosen = Settings(data_folder=folder, reporter="Organization/org", _env_file=None)  # type: ignore[call-arg]
    for served in start(chosen):
        mine = {"managingOrganization": {"reference": "Organization/org"}}
        put(
            served, {"resourceType": "Organization", "id": "org", "name": "Practice"}, *patient("one", **mine)
        )
        put(served, *patient("two"), group("pair", "one", "two"))
        yield served


def resource_of(answer: Any, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_rules_find_what_is_wrong() -> None:
    """Nothing is shown by rules that never fail."""
    entry = {"fullUrl": "http://x.example/Patient/a", "resource": {"resourceType": "Patient", "id": "a"}}
    issue = {
        "resourceType": "DetectedIssue",
        "id": "i",
        "status": "final",
        "patient": {"reference": "Patient/b"},
    }
    lost = {"fullUrl": "http://x.example/DetectedIssue/i", "resource": issue}
    bundle = {"resourceType": "Bundle", "type": "collection"}
    for wrong, said in (
        ({**bundle, "entry": [entry, entry]}, "bdl-7"),
        ({**bundle, "total": 1, "entry": [entry]}, "bdl-1"),
        ({**bundle, "type": "history", "entry": [entry]}, "bdl-3"),
        ({**bundle, "type": "document", "entry": [entry]}, "bdl-11"),
        ({**bundle, "entry": [{**entry, "fullUrl": "http://x.example/Patient/b"}]}, "is not that of"),
        ({**bundle, "entry": [entry, lost]}, "Patient/b is not in the Bundle"),
        ({**bundle, "entry": []}, "is empty"),
        ({"resourceType": "Patient", "birthDate": "x"}, "birthDate"),
    ):
        found = faults(wrong)
        assert any(said in fault for fault in found), (said, found)
    claiming = {**issue, "meta": {"profile": [f"{_DEQM}gaps-composition-deqm"]}, "section": []}
    assert "gaps-composition-deqm without subject" in list(_profile_faults(claiming))


def test_what_the_server_says_of_itself(client: TestClient) -> None:
    assert faults(resource_of(client.get("/fhir/metadata"))) == []
    for operation in OPERATIONS:
        definition = resource_of(client.get(f"/fhir/OperationDefinition/{operation.id}"))
        assert faults(definition) == [], operation.name
        assert re.fullmatch(r"[A-Z]([A-Za-z0-9_]){0,254}", definition["name"]), "opd-0"


def test_outcomes(client: TestClient) -> None:
    for path, status in (
        ("Patient/none", 404), ("Nothing", 404), ("Patient?x=y", 400), ("$cql", 400), ("x/y/z", 404),
        (f"Measure/{DIABETES}/$evaluate?periodStart=2026", 400), ("_jobs/none", 404),
    ):  # fmt: skip
        outcome = resource_of(client.get(f"/fhir/{path}"), status)
        assert outcome["resourceType"] == "OperationOutcome"
        assert faults(outcome) == [], path
    for valid in (patient("one")[0], {"resourceType": "Patient", "birthDate": 1}):
        assert faults(resource_of(client.post("/fhir/Patient/$validate", json=valid))) == []


def test_bundles_of_the_interactions(client: TestClient) -> None:
    queries = ("Patient", "Patient?_count=1", "Patient?_id=none", "Patient?_summary=count",
               "Observation?_include=Observation:patient",
               "Patient?_revinclude=Observation:patient")  # fmt: skip
    for query in queries:
        assert faults(resource_of(client.get(f"/fhir/{query}"))) == [], query
    put(client, {"resourceType": "Location", "id": "place", "name": "a"})
    put(client, {"resourceType": "Location", "id": "place", "name": "b"})
    assert client.delete("/fhir/Location/place").status_code == 204
    assert faults(resource_of(client.get("/fhir/Location/place/_history"))) == []
    entries = [
        {"fullUrl": "urn:uuid:1", "resource": {"resourceType": "Location"},
         "request": {"method": "POST", "url": "Location"}},
        {"request": {"method": "GET", "url": "Patient/one"}},
        {"request": {"method": "DELETE", "url": "Location/place"}},
    ]  # fmt: skip
    for kind in ("batch", "transaction"):
        bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
        assert faults(resource_of(client.post("/fhir", json=bundle))) == [], kind
    failing = {"resourceType": "Bundle", "type": "batch",
               "entry": [{"request": {"method": "GET", "url": "Patient/none"}}]}  # fmt: skip
    assert faults(resource_of(client.post("/fhir", json=failing))) == []
    for path in ("Patient/one/$everything", "Patient/one/$everything?_count=1", "Patient/$everything"):
        assert faults(resource_of(client.get(f"/fhir/{path}"))) == [], path


@pytest.mark.parametrize("measure", [DIABETES, INTERVAL])
@pytest.mark.parametrize("kind", ["individual", "subject-list", "summary"])
def test_reports_of_shipped_measures(client: TestClient, measure: str, kind: str) -> None:
    _check_reports(client, measure, kind, YEAR, "Patient/one", "Group/pair")


def _check_reports(
    client: TestClient, measure: str, kind: str, period: dict[str, str], one: str, many: str
) -> None:
    asked = {**period, "reportType": kind, "subject": one if kind == "individual" else many}
    report = resource_of(client.get(f"/fhir/Measure/{measure}/$evaluate-measure", params=asked))
    assert report["resourceType"] == "MeasureReport"
    assert faults(report) == []
    found = resource_of(client.get(f"/fhir/Measure/{measure}/$evaluate", params=asked))
    assert found["parameter"]
    assert faults(found) == []
    later = client.get(
        f"/fhir/Measure/{measure}/$evaluate", params=asked, headers={"prefer": "respond-async"}
    )
    assert later.status_code == 202
    job = later.headers["content-location"]
    while (done := client.get(job)).status_code == 202:
        pass
    assert faults(resource_of(done)) == []


@pytest.mark.parametrize("kind", ["individual", "subject-list", "summary"])
def test_reports_of_an_official_ratio_measure(official: TestClient, kind: str) -> None:
    period = {"periodStart": "2026-01-01", "periodEnd": "2026-12-31"}
    found = official.get("/fhir/Patient?_count=3").json()["entry"]
    one = f"Patient/{found[0]['resource']['id']}"
    put(official, group("some", *(entry["resource"]["id"] for entry in found)))
    _check_reports(official, RATIO, kind, period, one, "Group/some")


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory, ecqm_dir: Path) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("valid-official")
    chosen = Settings(data_folder=folder, reporter="Organization/org", _env_file=None)  # type: ignore[call-arg]
    for served in start(chosen):
        put(served, {"resourceType": "Organization", "id": "org"})
        give_official_content(served, ecqm_dir)
        give_patients(served, official_cases(ecqm_dir, RATIO)[:3], "default")
        yield served


def test_gaps_in_care_are_documents_that_hold_what_they_refer_to(client: TestClient) -> None:
    for more in ({}, {"isDocument": "false"}, {"status": ["open-gap", "closed-gap", "not-applicable"]}):
        asked = {**YEAR, "subject": "Group/pair", "measureId": DIABETES, **more}
        found = resource_of(client.get("/fhir/Measure/$care-gaps", params=asked))
        assert len(found["parameter"]) == 2
        assert faults(found) == [], more
    kinds = [part["resource"]["type"] for part in found["parameter"]]
    assert kinds == ["document", "document"]


def test_data_exchange_logic_terminology_and_requirements(client: TestClient) -> None:
    collected = resource_of(
        client.get(f"/fhir/Measure/{DIABETES}/$collect-data", params={**YEAR, "subject": "Patient/one"})
    )
    assert faults(collected) == []
    bundle = collected["parameter"][0]["resource"]
    submitted = client.post("/fhir/Measure/$submit-data", json=parameters(bundle=bundle))
    assert faults(resource_of(submitted)) == []
    for expression in ("1.50", "{1, 2}", "null", "{}", "1/0", "x y", "Interval[@2026-01-01, null]", "5 'mg'",
                       "Tuple { a: 1 }", "@T10:30:00", "1 : 2", "[Patient]"):  # fmt: skip
        asked = parameters(expression=expression, subject="Patient/one")
        assert faults(resource_of(client.post("/fhir/$cql", json=asked))) == [], expression
    library = client.get("/fhir/Library?name=DiabetesGlycemicControl").json()["entry"][0]["resource"]
    evaluated = client.get(f"/fhir/Library/{library['id']}/$evaluate", params={"subject": "Patient/one"})
    assert faults(resource_of(evaluated)) == []
    value_set = client.get("/fhir/ValueSet?_count=1").json()["entry"][0]["resource"]
    for path in (
        f"ValueSet/{value_set['id']}/$expand?count=2",
        f"ValueSet/{value_set['id']}/$validate-code?code=x&system=http://x.example",
        f"Measure/{DIABETES}/$data-requirements",
        f"Library/{library['id']}/$data-requirements",
        f"Measure/{DIABETES}/$package",
        f"Measure?url={URL}{DIABETES}",
    ):
        assert faults(resource_of(client.get(f"/fhir/{path}"))) == [], path


def test_the_audit_events_of_all_this(client: TestClient) -> None:
    for path in ("Patient/one", "Patient/none", "Patient?name=a", "Patient/one/_history"):
        client.get(f"/fhir/{path}")
    client.post("/fhir/Patient/_search", data={"identifier": "http://x.example|1"})
    with client.app.state.services.database.read() as connection:  # type: ignore[attr-defined]
        rows = connection.execute(select(audit_events.c.body)).scalars().all()
    events = [json.loads(body) for body in rows]
    assert len(events) > 20
    shapes = {json.dumps(sorted(event)) + event["subtype"][0]["code"]: event for event in events}
    for event in [*shapes.values(), *events[-20:]]:
        assert faults(event) == []
