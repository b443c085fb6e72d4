"""Every endpoint with no token, a wrong audience, another patient's and another organisation's token.

Whatever is asked, and whether it is refused or answered, the data of the one patient must not come out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi.testclient import TestClient
from served import YEAR, issue, start

sys.path.insert(0, str(Path(__file__).parent / "security"))
from outside_issuer import AUDIENCE, BASE, ISSUER, Clock, OutsideIssuer

from measurewise.api.settings import Settings

PRIVATE: Final = "Unmistakable-Private-Name"
EVERYTHING: Final = "user/*.cruds system/*.cruds"
DIABETES: Final = "DiabetesGlycemicControl"
LIBRARY: Final = f"https://measurewise.example/Library/{DIABETES}"
VALUE_SET: Final = "https://measurewise.example/ValueSet/pregnancy"
OPEN: Final = {
    # What says how to sign in, and what tells nothing of anybody.
    "/fhir/metadata", "/fhir/.well-known/smart-configuration", "/fhir/OperationDefinition/{identity}",
    "/health", "/ready", "/metrics",
}  # fmt: skip


@dataclass
class Site:
    client: TestClient
    issuer: OutsideIssuer

    def token(self, **claims: Any) -> dict[str, str]:
        made = self.issuer.token(**claims)
        return {"authorization": f"Bearer {made}"}

    def tokens(self) -> dict[str, dict[str, str]]:
        patient = {
            "scope": "patient/*.cruds launch/patient",
            "sub": "q",
            "patient": "q",
            "fhirUser": "Patient/q",
        }
        return {
            "no token": {},
            "wrong audience": self.token(aud="https://elsewhere.example/fhir", scope=EVERYTHING),
            "another patient": self.token(**patient),
            "another organisation": self.token(scope=EVERYTHING, organization="practice-b"),
            "own organisation": self.token(scope=EVERYTHING),
        }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    issuer = OutsideIssuer(Clock())
    outside = httpx.AsyncClient(transport=httpx.MockTransport(issuer.answer))
    settings = Settings(
        data_folder=tmp_path_factory.mktemp("tenancy"),
        security={"base_url": BASE, "issuers": [{"url": ISSUER, "audience": AUDIENCE}]},
        _env_file=None,
    )  # type: ignore[call-arg]
    for client in start(settings, outside):
        site = Site(client, issuer)
        fill(site)
        yield site


def fill(site: Site) -> None:
    ours = site.token(scope=EVERYTHING)
    about = {"subject": {"reference": "Patient/p"}}
    note = [{"text": PRIVATE}]
    resources: list[dict[str, Any]] = [
        {"resourceType": "Patient", "id": "p", "name": [{"family": PRIVATE}], "birthDate": "1970-01-01"},
        {"resourceType": "Patient", "id": "q", "birthDate": "1980-01-01"},
        {"resourceType": "Observation", "id": "o", "status": "final", "note": note, **about},
        {"resourceType": "Group", "id": "g", "name": PRIVATE, "type": "person", "actual": True,
         "member": [{"entity": {"reference": "Patient/p"}}]},
        {"resourceType": "Organization", "id": "org", "name": PRIVATE},
        {"resourceType": "MeasureReport", "id": "m", "status": "complete", "type": "individual",
         "measure": "http://m", "period": {"start": "2026", "end": "2026"}, **about,
         "text": {"div": PRIVATE}},
    ]  # fmt: skip
    for resource in resources:
        path = f"/fhir/{resource['resourceType']}/{resource['id']}"
        assert site.client.put(path, json=resource, headers=ours).status_code == 201
    changed = {**resources[0], "gender": "female"}
    assert site.client.put("/fhir/Patient/p", json=changed, headers=ours).status_code == 200


def endpoints(site: Site) -> list[tuple[str, str]]:
    """Every method and path that the application routes."""
    found = []
    for path, methods in site.client.app.openapi()["paths"].items():  # type: ignore[attr-defined]
        found += [(method.upper(), path) for method in methods]
    return sorted(found)


def asked(site: Site, method: str, path: str, headers: dict[str, str]) -> list[httpx.Response]:
    """An endpoint asked for the patient's data in each way that it can be."""
    answers = []
    shapes = site.client.app.openapi()["paths"]  # type: ignore[attr-defined]
    kinds = [("Patient", "p"), ("Observation", "o"), ("Group", "g"), ("MeasureReport", "m")]
    if "{resource_type}" not in path:
        kinds = kinds[:1]
    for kind, identity in kinds:
        wanted = identity if "{resource_type}" in path or "/Patient/" in path else DIABETES
        wanted = "g" if "/Group/" in path else "pregnancy" if "/ValueSet/" in path else wanted
        url = path.replace("{resource_type}", kind).replace("{identity}", wanted).replace("{version}", "1")
        body: dict[str, Any] = {"resourceType": kind, "id": identity}
        query: dict[str, str] = {}
        if "$" in path and "$validate" not in path:
            declared = {parameter["name"] for parameter in shapes[path].get("get", {}).get("parameters", ())}
            offered = {**YEAR, "subject": "Patient/p", "expression": "Patient.name", "url": LIBRARY}
            if "/{identity}/" not in path:
                offered |= {"measure": DIABETES, "measureId": DIABETES}
            if "ValueSet" in path:
                offered |= {"url": VALUE_SET, "code": "1", "system": "http://s"}
            query = {name: value for name, value in offered.items() if name in declared}
            if "measureId" in query:
                query.pop("measure", None)
            if "/{identity}/" in path:
                query.pop("url", None)
            body = {"resourceType": "Parameters"}
            if "submit-data" in path:
                query = {}
        if path.rstrip("/") == "/fhir":
            entry = {"request": {"method": "GET", "url": "Patient/p"}}
            body = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
        sent: dict[str, Any] = {"json": body} if method in ("POST", "PUT") else {}
        if method == "PATCH":
            sent = {"content": '[{"op": "test", "path": "/id", "value": ""}]'}
            headers = {**headers, "content-type": "application/json-patch+json"}
            query = {} if "{identity}" in path else {"_id": identity}
        answers.append(site.client.request(method, url, params=query, headers=headers, **sent))
        if method == "GET" and ("{resource_type}" in path or "_history" in path):
            head = site.client.head(url, params=query, headers=headers)
            assert (head.status_code, PRIVATE in head.text) == (answers[-1].status_code, False), path
    return answers


def test_no_endpoint_gives_out_what_is_not_the_callers(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    for method, path in endpoints(site):
        if (
            path in OPEN
            or method == "DELETE"
            or (method in ("PUT", "POST") and path == "/fhir/{resource_type}")
        ):
            continue
        row = []
        for name, headers in site.tokens().items():
            if name == "own organisation" and method in ("PUT", "PATCH"):
                row.append("-")
                continue
            answers = asked(site, method, path, headers)
            statuses = {answer.status_code for answer in answers}
            row.append("/".join(map(str, sorted(statuses))))
            if name in ("no token", "wrong audience"):
                assert statuses == {401}, (method, path, name)
            if name != "own organisation":
                for answer in answers:
                    assert PRIVATE not in answer.text, (method, path, name)
            assert 500 not in statuses, (method, path, name)
        rows.append((method, path, *row))
    with capsys.disabled():
        print(f"\n{'endpoint':66}" + "".join(f"{name:>22}" for name in site.tokens()))
        for method, path, *row in rows:
            print(f"{method:5}{path:61}" + "".join(f"{status:>22}" for status in row))
    assert len(rows) > 30


def test_the_own_data_come_out(site: Site) -> None:
    """The test above could not fail if nothing ever came out."""
    ours = site.token(scope=EVERYTHING)
    for path in ("Patient/p", "Patient/p/$everything", "Patient?_id=p", "Group/g", "Patient/p/_history/1"):
        assert PRIVATE in site.client.get(f"/fhir/{path}", headers=ours).text, path


def test_another_patients_token_changes_nothing_of_this_one(site: Site) -> None:
    theirs = site.tokens()["another patient"]
    person = {"resourceType": "Patient", "id": "p", "name": [{"family": "Changed"}]}
    mine = {
        "resourceType": "Observation",
        "id": "mine",
        "status": "final",
        "subject": {"reference": "Patient/q"},
    }
    assert site.client.put("/fhir/Patient/p", json=person, headers=theirs).status_code == 403
    stolen = {**mine, "id": "o"}
    assert site.client.put("/fhir/Observation/o", json=stolen, headers=theirs).status_code == 403
    planted = {**mine, "id": "new", "subject": {"reference": "Patient/p"}}
    assert site.client.put("/fhir/Observation/new", json=planted, headers=theirs).status_code == 403
    assert site.client.delete("/fhir/Observation/o", headers=theirs).status_code in (403, 404)
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": person, "request": {"method": "PUT", "url": "Patient/p"}}],
    }
    assert site.client.post("/fhir", json=bundle, headers=theirs).status_code == 403
    assert site.client.put("/fhir/Observation/mine", json=mine, headers=theirs).status_code == 201
    kept = site.client.get("/fhir/Patient/p", headers=site.token(scope=EVERYTHING))
    assert PRIVATE in kept.text


def test_another_organisation_writes_beside_not_over(site: Site) -> None:
    theirs = site.tokens()["another organisation"]
    person = {"resourceType": "Patient", "id": "p", "name": [{"family": "Theirs"}]}
    assert site.client.put("/fhir/Patient/p", json=person, headers=theirs).is_success
    assert PRIVATE in site.client.get("/fhir/Patient/p", headers=site.token(scope=EVERYTHING)).text
    assert PRIVATE not in site.client.get("/fhir/Patient/p", headers=theirs).text


def test_only_the_keeper_of_the_content_changes_it(site: Site) -> None:
    measure = site.client.get(f"/fhir/Measure/{DIABETES}", headers=site.token(scope=EVERYTHING)).json()
    for organization, status in (("practice-b", 403), ("default", 200)):
        changed = {**measure, "purpose": organization}
        headers = site.token(scope=EVERYTHING, organization=organization)
        answer = site.client.put(f"/fhir/Measure/{DIABETES}", json=changed, headers=headers)
        assert answer.status_code == status, answer.text
    assert (
        site.client.delete(
            f"/fhir/Measure/{DIABETES}", headers=site.tokens()["another organisation"]
        ).status_code
        == 403
    )


def test_a_patients_token_evaluates_that_patient_only(site: Site) -> None:
    theirs = site.tokens()["another patient"]
    path = f"/fhir/Measure/{DIABETES}/$evaluate-measure"
    own = site.client.get(path, params={**YEAR, "subject": "Patient/q"}, headers=theirs)
    assert own.status_code == 200
    for other in ({"subject": "Patient/p"}, {"subject": "Group/g"}, {}):
        refused = site.client.get(path, params={**YEAR, **other}, headers=theirs)
        assert refused.status_code == 403, other
        assert issue(refused)["code"] == "forbidden"


def test_a_job_is_its_organisations(site: Site) -> None:
    ours, theirs = site.token(scope=EVERYTHING), site.tokens()["another organisation"]
    path = f"/fhir/Measure/{DIABETES}/$evaluate-measure"
    accepted = site.client.get(path, params=YEAR, headers={**ours, "prefer": "respond-async"})
    where = accepted.headers["content-location"]
    assert site.client.get(where, headers=theirs).status_code == 404
    assert site.client.delete(where, headers=theirs).status_code == 404
    assert site.client.get(where, headers=site.tokens()["another patient"]).status_code in (403, 404)
    assert site.client.get(where, headers=ours).status_code in (200, 202)


WAYS: Final = (
    "_history", "_history?_since=2000", "Patient/_history", "Observation/_history", "Group/_history?_count=1",
    "Observation?_include=Observation:patient", "Patient?_revinclude=Observation:patient",
    "Patient?_revinclude=MeasureReport:patient&_revinclude:iterate=Observation:patient",
    "MeasureReport?_include=MeasureReport:subject&_include:iterate=Patient:organization",
    "Patient?_sort=-family", "Patient?_elements=name", "Patient?_summary=true", "Observation?_pretty=true",
)  # fmt: skip
TELLING: Final = (
    f"Observation?patient.family={PRIVATE}", f"Patient?_has:Observation:patient:_id=o&family={PRIVATE}",
    f"Observation?subject:Patient.name={PRIVATE}", f"MeasureReport?patient.name:exact={PRIVATE}",
    "Patient?_id=p&_has:Observation:patient:status=final",
)  # fmt: skip


def test_no_roundabout_way_gives_out_what_is_not_the_callers(site: Site) -> None:
    for name in ("another patient", "another organisation"):
        headers = site.tokens()[name]
        for path in WAYS:
            answer = site.client.get(f"/fhir/{path}", headers=headers)
            assert (answer.status_code, PRIVATE in answer.text) == (200, False), (name, path, answer.text)
        for path in TELLING:
            answer = site.client.get(f"/fhir/{path}", headers=headers)
            assert answer.json()["total"] == 0, (name, path)
    ours = site.token(scope=EVERYTHING)
    for path in WAYS:
        assert PRIVATE in site.client.get(f"/fhir/{path}", headers=ours).text, path
    for path in TELLING:
        assert site.client.get(f"/fhir/{path}", headers=ours).json()["total"] == 1, path


def test_what_was_another_patients_stays_so_when_it_is_moved(site: Site) -> None:
    ours, theirs = site.token(scope=EVERYTHING), site.tokens()["another patient"]
    for patient, text in (("p", PRIVATE), ("q", "theirs")):
        about = {"reference": f"Patient/{patient}"}
        moved = {"resourceType": "Observation", "id": "moved", "subject": about, "note": [{"text": text}]}
        assert site.client.put("/fhir/Observation/moved", json=moved, headers=ours).is_success
    assert PRIVATE in site.client.get("/fhir/Observation/moved/_history/1", headers=ours).text
    assert site.client.get("/fhir/Observation/moved/_history/2", headers=theirs).status_code == 200
    assert site.client.get("/fhir/Observation/moved/_history/1", headers=theirs).status_code == 404
    for path in ("Observation/moved/_history", "Observation/_history", "_history"):
        answer = site.client.get(f"/fhir/{path}", headers=theirs)
        versions = [entry["fullUrl"] for entry in answer.json()["entry"] if "moved" in entry["fullUrl"]]
        assert (len(versions), PRIVATE in answer.text) == (1, False), path
        assert "total" not in answer.json()


def test_scopes_hold_on_every_way(site: Site) -> None:
    """A type that may not be read or searched is neither followed nor brought along."""
    of_one_type = site.token(scope="user/Observation.rs")
    along = site.client.get("/fhir/Observation?_include=Observation:patient", headers=of_one_type).json()
    assert {entry["resource"]["resourceType"] for entry in along["entry"]} == {"Observation"}
    for path, status in (
        ("Observation/_history", 200), ("Observation/o/_history", 200), ("_history", 403),
        ("Patient/_history", 403), (f"Observation?patient.family={PRIVATE}", 403),
        ("Observation?_has:MeasureReport:evaluated-resource:status=complete", 403),
    ):  # fmt: skip
        assert site.client.get(f"/fhir/{path}", headers=of_one_type).status_code == status, path
    limited = site.token(scope="user/Observation.rs?status=final")
    for path, status in (
        ("Observation/o", 200), ("Observation/o/_history/1", 200), ("Observation/o/_history", 403),
        ("Observation/_history", 403), ("Observation/moved/_history/1", 403), ("Observation/moved", 404),
    ):  # fmt: skip
        assert site.client.get(f"/fhir/{path}", headers=limited).status_code == status, path


def test_who_may_write_only_reads_nothing_by_writing(site: Site) -> None:
    writer = site.token(scope="user/Observation.cud")
    about = {"subject": {"reference": "Patient/p"}}
    secret = {"resourceType": "Observation", "id": "secret", "note": [{"text": PRIVATE}], **about}
    made = site.client.put("/fhir/Observation/secret", json=secret, headers=writer)
    assert (made.status_code, made.content) == (201, b"")
    patch = {**writer, "content-type": "application/json-patch+json"}
    content = '[{"op": "add", "path": "/status", "value": "final"}]'
    patched = site.client.patch("/fhir/Observation/secret", content=content, headers=patch)
    assert (patched.status_code, patched.content) == (200, b"")
    condition = {**writer, "if-none-exist": "_id=secret"}
    new = {"resourceType": "Observation", **about}
    refusals = (
        site.client.post("/fhir/Observation", json=new, headers=condition),
        site.client.patch("/fhir/Observation?_id=secret", content=content, headers=patch),
        site.client.put("/fhir/Observation?_id=secret", json=new, headers=writer),
        site.client.delete("/fhir/Observation?_id=secret", headers=writer),
    )
    for answer in refusals:
        assert (answer.status_code, PRIVATE in answer.text) == (403, False)
    request = {"method": "POST", "url": "Observation", "ifNoneExist": "_id=secret"}
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": new, "request": request}],
    }
    assert site.client.post("/fhir", json=bundle, headers=writer).status_code == 403


def test_another_patients_token_patches_and_removes_nothing_of_this_one(site: Site) -> None:
    theirs = {**site.tokens()["another patient"], "content-type": "application/json-patch+json"}
    mine = {"resourceType": "Observation", "id": "q1", "subject": {"reference": "Patient/q"}}
    ours = site.token(scope=EVERYTHING)
    assert site.client.put("/fhir/Observation/q1", json=mine, headers=ours).is_success
    stolen = '[{"op": "replace", "path": "/subject/reference", "value": "Patient/p"}]'
    changed = '[{"op": "add", "path": "/status", "value": "final"}]'
    statuses = [
        site.client.patch("/fhir/Observation/o", content=changed, headers=theirs).status_code,
        site.client.patch("/fhir/Observation?_id=o", content=changed, headers=theirs).status_code,
        site.client.patch("/fhir/Observation/q1", content=stolen, headers=theirs).status_code,
        site.client.patch("/fhir/Observation/q1", content=changed, headers=theirs).status_code,
    ]
    assert statuses == [404, 404, 403, 200]
    assert site.client.delete("/fhir/Observation?_id=o", headers=theirs).status_code == 204
    assert site.client.get("/fhir/Observation/o", headers=ours).status_code == 200
