"""Resources over HTTP, as FHIR R4's RESTful API says."""

from __future__ import annotations

from fastapi.testclient import TestClient
from served import BASE, issue, put

XML = {"accept": "application/fhir+xml", "content-type": "application/fhir+xml"}
PATIENT = {"resourceType": "Patient", "id": "p", "birthDate": "1970-01-01"}


def test_a_resource_is_made_read_changed_and_deleted(client: TestClient) -> None:
    made = client.put("/fhir/Patient/p", json=PATIENT)
    assert made.status_code == 201
    assert made.headers["etag"] == 'W/"1"'
    assert made.headers["location"] == f"{BASE}/fhir/Patient/p/_history/1"
    assert client.get("/fhir/Patient/p").json()["birthDate"] == "1970-01-01"
    changed = client.put("/fhir/Patient/p", json={**PATIENT, "gender": "female"})
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    assert "gender" not in client.get("/fhir/Patient/p/_history/1").json()
    assert client.delete("/fhir/Patient/p").status_code == 204
    assert client.delete("/fhir/Patient/p").status_code == 204
    gone = client.get("/fhir/Patient/p")
    assert (gone.status_code, issue(gone)["code"]) == (410, "deleted")
    versions = client.get("/fhir/Patient/p/_history").json()["entry"]
    assert [entry["request"]["method"] for entry in versions] == ["DELETE", "PUT", "POST"]


def test_decimals_keep_their_digits(client: TestClient) -> None:
    body = '{"resourceType":"Observation","id":"o","valueQuantity":{"value":7.10}}'
    client.put("/fhir/Observation/o", content=body, headers={"content-type": "application/fhir+json"})
    assert '"value":7.10' in client.get("/fhir/Observation/o").text


def test_a_new_id_is_given_unless_the_condition_finds_one(client: TestClient) -> None:
    new = {"resourceType": "Patient", "identifier": [{"system": "s", "value": "7"}]}
    condition = {"if-none-exist": "identifier=s|7"}
    first = client.post("/fhir/Patient", json=new, headers=condition)
    second = client.post("/fhir/Patient", json=new, headers=condition)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]
    client.post("/fhir/Patient", json=new)
    third = client.post("/fhir/Patient", json=new, headers=condition)
    assert (third.status_code, issue(third)["code"]) == (412, "multiple-matches")


def test_a_conditional_update_changes_the_one_it_finds(client: TestClient) -> None:
    new = {"resourceType": "Patient", "identifier": [{"system": "s", "value": "7"}]}
    made = client.put("/fhir/Patient?identifier=s|7", json=new)
    changed = client.put("/fhir/Patient?identifier=s|7", json={**new, "gender": "male"})
    assert (made.status_code, changed.status_code) == (201, 200)
    assert made.json()["id"] == changed.json()["id"]


def test_a_change_to_another_version_than_expected_is_refused(client: TestClient) -> None:
    put(client, PATIENT)
    put(client, {**PATIENT, "gender": "male"})
    stale = client.put("/fhir/Patient/p", json=PATIENT, headers={"if-match": 'W/"1"'})
    assert (stale.status_code, issue(stale)["code"]) == (412, "conflict")
    assert client.get("/fhir/Patient/p", headers={"if-none-match": 'W/"2"'}).status_code == 304


def test_searches_page_by_next_links(client: TestClient) -> None:
    put(client, *({"resourceType": "Patient", "id": f"p{number}"} for number in range(5)))
    url, seen = "/fhir/Patient?_count=2", []
    while url:
        bundle = client.get(url).json()
        assert bundle["total"] == 5
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        url = links.get("next", "")
    assert seen == [f"p{number}" for number in range(5)]


def test_a_search_by_form_is_a_search(client: TestClient) -> None:
    put(client, PATIENT)
    found = client.post("/fhir/Patient/_search?_count=5", data={"birthdate": "1970-01-01"}).json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["p"]


def test_a_transaction_is_done_whole_with_its_references(client: TestClient) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": "urn:uuid:b",
                "resource": {"resourceType": "Encounter", "subject": {"reference": "urn:uuid:a"}},
                "request": {"method": "POST", "url": "Encounter"},
            },
            {
                "fullUrl": "urn:uuid:a",
                "resource": {"resourceType": "Patient"},
                "request": {"method": "POST", "url": "Patient"},
            },
        ],
    }
    answer = client.post("/fhir", json=bundle).json()
    encounter, patient = (entry["resource"] for entry in answer["entry"])
    assert encounter["subject"]["reference"] == f"Patient/{patient['id']}"
    assert [entry["response"]["status"] for entry in answer["entry"]] == ["201", "201"]


def test_a_transaction_with_a_fault_leaves_nothing(client: TestClient) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": PATIENT, "request": {"method": "PUT", "url": "Patient/p"}},
            {"resource": {"resourceType": "Patient"}, "request": {"method": "PUT", "url": "Observation/o"}},
        ],
    }
    assert client.post("/fhir", json=bundle).status_code == 400
    assert client.get("/fhir/Patient/p").status_code == 404
    bundle["type"] = "batch"
    entries = client.post("/fhir", json=bundle).json()["entry"]
    assert [entry["response"]["status"] for entry in entries] == ["201", "400"]
    assert entries[1]["response"]["outcome"]["resourceType"] == "OperationOutcome"


def test_every_refusal_is_an_operation_outcome_that_says_what_and_how(client: TestClient) -> None:
    cases = [
        (client.get("/fhir/Patient/nobody"), 404, "not-found", "There is no Patient/nobody"),
        (client.get("/fhir/Nothing/1"), 404, "not-supported", "no resource type"),
        (client.get("/fhir/Patient?shoe-size=4"), 400, "invalid", "not searched by 'shoe-size'"),
        (client.get("/fhir/Patient?_count=x"), 400, "invalid", "_count"),
        (client.put("/fhir/Patient/p", json={**PATIENT, "id": "q"}), 400, "invalid", "Make them the same"),
        (client.put("/fhir/Patient/p_1", json={**PATIENT, "id": "p_1"}), 400, "value", "no FHIR id"),
        (client.put("/fhir/Patient/p", json={"id": "p"}), 400, "structure", "no resourceType"),
        (client.get("/fhir/metadata", headers=XML), 406, "not-supported", "JSON only"),
        (client.get("/fhir/Patient?_format=xml"), 406, "not-supported", "JSON only"),
        (
            client.put("/fhir/Patient/p", content="<Patient/>", headers={**XML, "accept": "*/*"}),
            415,
            "not-supported",
            "JSON only",
        ),
        (client.get("/elsewhere"), 404, "not-found", "Not Found"),
        (client.patch("/fhir/Patient/p"), 415, "not-supported", "FHIRPath Patch"),
    ]
    for answer, status, code, text in cases:
        assert answer.status_code == status, answer.text
        assert issue(answer)["code"] == code
        assert text in issue(answer)["details"]["text"]


def test_broken_json_is_told_with_its_place(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    answer = client.put("/fhir/Patient/p", content='{"resourceType": "Patient",, }', headers=headers)
    assert answer.status_code == 400
    assert "column 28" in issue(answer)["expression"][0]


def test_validate_names_every_element_at_fault(client: TestClient) -> None:
    wrong = {"resourceType": "Patient", "birthDate": "yesterday", "gender": 7}
    found = client.post("/fhir/Patient/$validate", json=wrong).json()["issue"]
    assert {entry["expression"][0] for entry in found} == {"Patient.birthDate", "Patient.gender"}
    right = client.post("/fhir/Patient/$validate", json=PATIENT).json()["issue"]
    assert [entry["severity"] for entry in right] == ["information"]


def test_what_is_offered_is_said_in_the_capability_statement(client: TestClient) -> None:
    statement = client.get("/fhir/metadata").json()
    assert statement["fhirVersion"] == "4.0.1"
    (rest,) = statement["rest"]
    by_type = {resource["type"]: resource for resource in rest["resource"]}
    offered = {operation["name"] for operation in by_type["Measure"]["operation"]}
    assert {"evaluate-measure", "evaluate"} <= offered
    for resource in rest["resource"]:
        for operation in resource.get("operation", ()):
            if operation["definition"].startswith(BASE):
                assert client.get(operation["definition"]).json()["code"] == operation["name"]


def test_the_request_id_of_the_client_is_kept(client: TestClient) -> None:
    assert client.get("/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    forged = client.get("/health", headers={"x-request-id": "a b\tc"}).headers["x-request-id"]
    assert forged != "a b\tc"


def test_health_readiness_and_metrics(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
    client.get("/fhir/Patient/nobody")
    metrics = client.get("/metrics").text
    route = 'route="/{resource_type}/{identity}"'
    assert f'measurewise_requests_total{{method="GET",{route},status="404"}}' in metrics


def test_all_that_is_done_is_in_the_audit_trail(client: TestClient) -> None:
    put(client, PATIENT)
    client.get("/fhir/Patient/p")
    client.get("/fhir/Patient/nobody")
    database = client.app.state.services.database  # type: ignore[attr-defined]
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT patient, body FROM audit_events ORDER BY key").all()
    assert [row[0] for row in rows] == ["p", "p", None]
    assert b'"action":"C"' in rows[0][1]
    assert b'"action":"R"' in rows[1][1]
    assert b'"outcome":"4"' in rows[2][1]
