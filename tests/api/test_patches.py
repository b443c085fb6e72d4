"""JSON Patch, and changes on a condition: done whole, at the version that is meant, or refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from served import issue, put, start
from sqlalchemy import select

from measurewise.api.settings import Settings
from measurewise.store.tables import audit_events

PATCH = {"content-type": "application/json-patch+json"}
PERSON: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "identifier": [{"system": "http://s", "value": "1"}],
    "name": [{"family": "Old", "given": ["A", "B"]}],
    "gender": "female",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("patches")
    yield from start(Settings(data_folder=folder, shipped_content=False, _env_file=None))  # type: ignore[call-arg]


@pytest.fixture
def client(served: TestClient) -> TestClient:
    put(served, PERSON)
    return served


def patch(client: TestClient, *operations: dict[str, Any], to: str = "Patient/p", **headers: str) -> Any:
    content = json.dumps(operations)
    return client.patch(f"/fhir/{to}", content=content, headers={**PATCH, **headers})


def op(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **more}


@pytest.mark.parametrize(
    ("operations", "element", "value"),
    [
        ([op("replace", "/gender", value="male")], "gender", "male"),
        ([op("add", "/birthDate", value="1970")], "birthDate", "1970"),
        ([op("add", "/name/0/given/1", value="X")], "name", [{"family": "Old", "given": ["A", "X", "B"]}]),
        ([op("add", "/name/0/given/-", value="X")], "name", [{"family": "Old", "given": ["A", "B", "X"]}]),
        ([op("remove", "/name/0/given/0")], "name", [{"family": "Old", "given": ["B"]}]),
        ([op("remove", "/gender")], "gender", None),
        ([op("copy", "/name/0/text", **{"from": "/name/0/family"})], "name",
         [{"family": "Old", "given": ["A", "B"], "text": "Old"}]),
        ([op("move", "/name/0/text", **{"from": "/name/0/family"})], "name",
         [{"given": ["A", "B"], "text": "Old"}]),
        ([op("test", "/gender", value="female"), op("replace", "/gender", value="other")], "gender", "other"),
        ([op("replace", "", value={**PERSON, "gender": "unknown"})], "gender", "unknown"),
    ],
)  # fmt: skip
def test_a_patch_does_what_rfc_6902_says(
    client: TestClient, operations: list[dict[str, Any]], element: str, value: Any
) -> None:
    answer = patch(client, *operations)
    assert answer.status_code == 200, answer.text
    assert answer.json().get(element) == value
    kept = client.get("/fhir/Patient/p")
    assert kept.json() == answer.json()
    assert kept.headers["etag"] == answer.headers["etag"]


@pytest.mark.parametrize(
    ("operations", "status", "said"),
    [
        (
            [op("replace", "/gender", value="male"), op("test", "/gender", value="female")],
            422,
            "another than",
        ),
        ([op("test", "/name/0/given/0", value=True)], 422, "another than"),
        ([op("remove", "/name/7")], 422, "no '7'"),
        ([op("remove", "/name/-")], 422, "no '-'"),
        ([op("add", "/name/5", value={})], 422, "nothing can be put"),
        ([op("add", "/gender/x", value=1)], 422, "nothing can be put"),
        ([op("replace", "/id", value="q")], 422, "resourceType and id"),
        ([op("remove", "")], 422, "resourceType and id"),
        ([op("move", "/name/0/given", **{"from": "/name"})], 422, "into itself"),
        ([op("add", "/x", value=1), *[op("copy", "/name/-", **{"from": "/name"})] * 40], 422, "too"),
        ([op("add", "/x\u0000", value="a\u0000")], 400, "U+0000"),
        ([op("jump", "/gender")], 400, "no operation of JSON Patch"),
        ([op("add", "/gender")], 400, "needs 'value'"),
        ([op("add", "gender", value=1)], 400, "no JSON Pointer"),
        ([op("add", "/a~2", value=1)], 400, "no JSON Pointer"),
        ([op("copy", "/gender")], 400, "needs 'from'"),
        ([], 400, "no list of operations"),
    ],
)
def test_a_patch_that_cannot_be_done_changes_nothing(
    client: TestClient, operations: list[dict[str, Any]], status: int, said: str
) -> None:
    before = client.get("/fhir/Patient/p")
    answer = patch(client, *operations)
    assert (answer.status_code, said in issue(answer)["diagnostics"]) == (status, True), answer.text
    assert client.get("/fhir/Patient/p").content == before.content


def test_a_patch_keeps_the_digits_of_decimals(client: TestClient) -> None:
    sent = '{"resourceType": "Observation", "id": "o", "status": "final", "valueQuantity": {"value": 7.10}}'
    headers = {"content-type": "application/fhir+json"}
    assert client.put("/fhir/Observation/o", content=sent, headers=headers).is_success
    tested = op("test", "/valueQuantity/value", value=7.1)
    answer = patch(client, tested, op("add", "/valueQuantity/unit", value="kg"), to="Observation/o")
    assert '"value":7.10' in answer.text


def test_other_patches_are_refused_by_name(client: TestClient) -> None:
    for kind in ("application/fhir+json", "application/xml-patch+xml", "application/merge-patch+json"):
        answer = client.patch("/fhir/Patient/p", content="{}", headers={"content-type": kind})
        assert answer.status_code == 415
        assert "FHIRPath Patch" in issue(answer)["diagnostics"]
    assert patch(client, op("remove", "/gender"), to="Patient/none").status_code == 404


def test_a_change_is_made_to_the_version_that_is_meant(client: TestClient) -> None:
    current = client.get("/fhir/Patient/p").headers["etag"]
    stale = {"if-match": 'W/"99999"'}
    changes = [op("replace", "/gender", value="male")]
    assert patch(client, *changes, **stale).status_code == 412
    assert client.put("/fhir/Patient/p", json=PERSON, headers=stale).status_code == 412
    assert client.put("/fhir/Patient?_id=p", json=PERSON, headers=stale).status_code == 412
    refused = client.delete("/fhir/Patient/p", headers=stale)
    assert (refused.status_code, issue(refused)["code"]) == (412, "conflict")
    assert client.delete("/fhir/Patient?_id=p", headers=stale).status_code == 412
    assert client.delete("/fhir/Patient/p", headers={"if-match": "x"}).status_code == 400
    assert client.get("/fhir/Patient/p").headers["etag"] == current
    changed = patch(client, *changes, **{"if-match": current})
    assert changed.status_code == 200
    assert client.delete("/fhir/Patient/p", headers={"if-match": changed.headers["etag"]}).status_code == 204


def test_a_parameter_that_a_change_does_not_have_is_refused(client: TestClient) -> None:
    change = op("replace", "/gender", value="other")
    answers = (
        client.put("/fhir/Patient/p?_cascade=delete", json=PERSON),
        client.post("/fhir/Patient?identifier=1", json=PERSON),
        client.delete("/fhir/Patient/p?_cascade=delete"),
        patch(client, change, to="Patient/p?x=1"),
    )
    for answer in answers:
        assert (answer.status_code, issue(answer)["code"]) == (400, "not-supported")
    assert client.put("/fhir/Patient/p?_format=json&_pretty=true", json=PERSON).is_success


def test_changes_on_a_condition_need_one_that_meets_it(client: TestClient) -> None:
    put(client, {**PERSON, "id": "q"})
    one, several, none = "Patient?_id=q", "Patient?identifier=http://s|1", "Patient?_id=nobody"
    change = op("replace", "/gender", value="other")
    assert patch(client, change, to=one).json()["id"] == "q"
    assert patch(client, change, to=several).status_code == 412
    assert patch(client, change, to=none).status_code == 404
    assert patch(client, change, to="Patient").status_code == 400
    assert client.delete(f"/fhir/{several}").status_code == 412
    assert client.delete("/fhir/Patient").status_code == 400
    assert client.delete(f"/fhir/{none}").status_code == 204
    assert client.delete(f"/fhir/{one}").status_code == 204
    assert client.get("/fhir/Patient/q").status_code == 410
    assert client.get("/fhir/Patient/p").status_code == 200


def test_who_patched_what_is_in_the_audit_trail(client: TestClient) -> None:
    assert patch(client, op("replace", "/gender", value="other")).is_success
    app: Any = client.app
    with app.state.services.database.read() as connection:
        found = connection.execute(select(audit_events.c.body, audit_events.c.patient)).all()
    told = [(json.loads(body), patient) for body, patient in found]
    (event, patient) = [one for one in told if one[0]["subtype"][0]["code"] == "patch"][-1]
    assert (event["action"], event["outcome"], patient) == ("U", "0", "p")
    assert "Patient/p" in [entity.get("what", {}).get("reference") for entity in event["entity"]]


def test_patches_and_conditional_deletions_in_a_transaction(client: TestClient) -> None:
    put(client, {**PERSON, "id": "gone", "identifier": [{"value": "gone"}]})
    data = base64.b64encode(json.dumps([op("replace", "/gender", value="unknown")]).encode()).decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}
    entries = [
        {"resource": binary, "request": {"method": "PATCH", "url": "Patient/p"}},
        {"request": {"method": "DELETE", "url": "Patient?identifier=gone"}},
        {"request": {"method": "GET", "url": "Patient/p"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answers = client.post("/fhir", json=bundle).json()["entry"]
    assert [entry["response"]["status"] for entry in answers] == ["200", "204", "200"]
    assert answers[2]["resource"]["gender"] == "unknown"
    assert answers[2]["response"]["lastModified"].endswith("Z")
    assert client.get("/fhir/Patient/gone").status_code == 410
    entries[0]["request"]["ifMatch"] = 'W/"1"'  # type: ignore[index]
    assert client.post("/fhir", json=bundle).status_code == 412
    known = {"method": "GET", "url": "Patient/p", "ifNoneMatch": answers[2]["response"]["etag"]}
    bundle["entry"] = [{"request": known}]
    assert client.post("/fhir", json=bundle).json()["entry"][0]["response"]["status"] == "304"


def test_what_a_transaction_makes_on_a_condition_is_what_its_references_name(client: TestClient) -> None:
    new = {"resourceType": "Patient", "identifier": [{"value": "new"}]}
    entries = [
        {"fullUrl": "urn:uuid:1", "resource": new,
         "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=new"}},
        {"resource": {"resourceType": "Observation", "subject": {"reference": "urn:uuid:1"}},
         "request": {"method": "POST", "url": "Observation"}},
    ]  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    for status in ("201", "200"):
        made, about = client.post("/fhir", json=bundle).json()["entry"]
        assert made["response"]["status"] == status
        assert about["resource"]["subject"]["reference"] == f"Patient/{made['resource']['id']}"
