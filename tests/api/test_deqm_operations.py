"""What the public DEQM test kit asks of a server, check by check, over HTTP (its three suites)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deqm_data import DIABETES, PRESSURE, URL, group, parameters, patient
from fastapi.testclient import TestClient
from served import YEAR, issue, put, start

from measurewise.api.settings import Settings


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("deqm")
    for served in start(Settings(data_folder=folder, _env_file=None)):  # type: ignore[call-arg]
        put(
            served,
            {"resourceType": "Practitioner", "id": "dr"},
            {"resourceType": "Organization", "id": "org"},
        )
        put(served, *patient("one", generalPractitioner=[{"reference": "Practitioner/dr"}]))
        put(served, *patient("two", managingOrganization={"reference": "Organization/org"}))
        put(served, group("pair", "one", "two"), group("empty"))
        yield served


def reports(answer: Any) -> list[dict[str, Any]]:
    """The MeasureReports in DEQM's Parameters of Bundles, after what the kit asserts of each."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/fhir+json")
    body = answer.json()
    assert body["resourceType"] == "Parameters"
    found = []
    for part in body.get("parameter", ()):
        assert part["name"] == "return"
        assert part["resource"]["resourceType"] == "Bundle"
        found += [
            entry["resource"]
            for entry in part["resource"]["entry"]
            if entry["resource"]["resourceType"] == "MeasureReport"
        ]
    for report in found:
        assert report["status"] == "complete"
        assert report["period"] == {"start": YEAR["periodStart"], "end": YEAR["periodEnd"]}
    return found


def test_a_measure_is_found_by_url_and_an_unknown_one_is_an_empty_bundle(client: TestClient) -> None:
    assert client.get(f"/fhir/Measure?url={URL}{DIABETES}").json()["total"] == 1
    nothing = client.get("/fhir/Measure?url=http://nothing.example").json()
    assert (nothing["total"], nothing.get("entry")) == (0, None)


def test_individual_reports_of_one_patient(client: TestClient) -> None:
    for path, more in ((f"Measure/{DIABETES}/$evaluate", {}), ("Measure/$evaluate", {"measureId": DIABETES})):
        asked = {**YEAR, **more, "subject": "Patient/one", "reportType": "subject"}
        for answer in (
            client.get(f"/fhir/{path}", params=asked),
            client.post(f"/fhir/{path}", json=parameters(**asked)),
            client.post(f"/fhir/{path}", params=asked),
        ):
            (report,) = reports(answer)
            assert (report["type"], report["subject"]["reference"]) == ("individual", "Patient/one")
            assert report["measure"].startswith(URL + DIABETES)


def test_the_kinds_of_report_have_both_generations_names(client: TestClient) -> None:
    for name, kind in (
        ("subject", "individual"), ("individual", "individual"), ("subject-list", "subject-list"),
        ("population", "summary"), ("summary", "summary"),
    ):  # fmt: skip
        asked = {**YEAR, "measureUrl": URL + DIABETES, "subject": "Group/pair", "reportType": name}
        found = reports(client.get("/fhir/Measure/$evaluate", params=asked))
        assert {report["type"] for report in found} == {kind}
        assert len(found) == (2 if kind == "individual" else 1)


def test_without_a_kind_one_patient_is_individual_and_all_else_summary(client: TestClient) -> None:
    for subject, kind in (("Patient/one", "individual"), ("Group/pair", "summary"), (None, "summary")):
        asked = {**YEAR, "measureId": DIABETES, **({"subject": subject} if subject else {})}
        (report,) = reports(client.get("/fhir/Measure/$evaluate", params=asked))
        assert report["type"] == kind


@pytest.mark.parametrize("members", [("one",), ("one", "two")])
def test_a_group_in_the_request_is_its_subjects(client: TestClient, members: tuple[str, ...]) -> None:
    asked = parameters(**YEAR, measureId=DIABETES, subjectGroup=group(None, *members), reportType="subject")
    found = reports(client.post("/fhir/Measure/$evaluate", json=asked))
    assert [report["subject"]["reference"] for report in found] == [f"Patient/{member}" for member in members]


def test_several_measures_give_a_report_each(client: TestClient) -> None:
    asked: dict[str, Any] = {**YEAR, "measureId": [DIABETES, PRESSURE], "subject": "Patient/one"}
    found = reports(client.get("/fhir/Measure/$evaluate", params=asked))
    assert len({report["measure"] for report in found}) == 2
    together = client.post("/fhir/Measure/$evaluate", json=parameters(**asked)).json()
    assert len(together["parameter"]) == 1


def test_measures_are_named_by_url_version_and_identifier(client: TestClient) -> None:
    measure = client.get(f"/fhir/Measure/{DIABETES}").json()
    asked = {**YEAR, "subject": "Patient/one"}
    url = f"{measure['url']}|{measure['version']}"
    assert reports(client.get("/fhir/Measure/$evaluate", params={**asked, "measureUrl": url}))
    assert client.get("/fhir/Measure/$evaluate", params={**asked, "measureUrl": f"{url}9"}).status_code == 404
    for identifier in measure.get("identifier", ()):
        named = f"{identifier.get('system', '')}|{identifier['value']}"
        assert reports(client.get("/fhir/Measure/$evaluate", params={**asked, "measureIdentifier": named}))


def test_only_the_providers_patients_count(client: TestClient) -> None:
    for provider, count in (("Practitioner/dr", 1), ("Organization/org", 1), (None, 2)):
        asked = {**YEAR, "measureId": DIABETES, **({"provider": provider} if provider else {})}
        (report,) = reports(client.get("/fhir/Measure/$evaluate", params=asked))
        initial = report["group"][0]["population"][0]
        assert (initial["code"]["coding"][0]["code"], initial["count"]) == ("initial-population", count)


def test_evaluate_measure_of_r4_gives_the_report_itself(client: TestClient) -> None:
    path = f"/fhir/Measure/{DIABETES}/$evaluate-measure"
    one = client.get(path, params={**YEAR, "subject": "Patient/one"}).json()
    assert (one["resourceType"], one["type"]) == ("MeasureReport", "individual")
    everybody = client.get(path, params=YEAR).json()
    assert (everybody["type"], everybody["group"][0]["population"][0]["count"]) == ("summary", 2)
    theirs = client.get(path, params={**YEAR, "practitioner": "Practitioner/dr"}).json()
    assert theirs["group"][0]["population"][0]["count"] == 1
    listed = client.get(path, params={**YEAR, "reportType": "subject-list"}).json()
    assert listed["type"] == "subject-list"
    named = client.get("/fhir/Measure/$evaluate-measure", params={**YEAR, "measure": URL + DIABETES}).json()
    assert named["type"] == "summary"


def test_what_was_received_is_not_sent_again(client: TestClient) -> None:
    path = f"/fhir/Measure/{DIABETES}/$evaluate-measure"
    asked = {**YEAR, "subject": "Patient/one"}
    before = client.get(path, params={**asked, "lastReceivedOn": "2020-01-01T00:00:00Z"}).json()
    after = client.get(path, params={**asked, "lastReceivedOn": "2100-01-01T00:00:00Z"}).json()
    assert before["evaluatedResource"]
    assert "evaluatedResource" not in after
    assert before["group"] == after["group"]


REFUSED = [
    ("$evaluate", {**YEAR, "measureId": "nothing", "subject": "Patient/one"}, 404, "no measure"),
    ("$evaluate", {**YEAR, "measureUrl": "http://nothing", "subject": "Patient/one"}, 404, "no measure"),
    ("$evaluate", {**YEAR, "measureId": DIABETES, "subject": "Patient/nobody"}, 404, "no Patient/nobody"),
    ("$evaluate", {**YEAR, "measureId": DIABETES, "subject": "Group/nobody"}, 404, "no Group/nobody"),
    ("$evaluate", {"periodEnd": "2026-12-31", "measureId": DIABETES}, 400, "'periodStart' is missing"),
    ("$evaluate", {"periodStart": "2026-01-01", "measureId": DIABETES}, 400, "'periodEnd' is missing"),
    ("$evaluate", {**YEAR, "measureId": DIABETES, "reportType": "subject"}, 400, "'subject' is missing"),
    ("$evaluate", {**YEAR, "measureId": DIABETES, "reportType": "novel"}, 400, "is one of subject"),
    ("$evaluate", {**YEAR, "subject": "Patient/one"}, 400, "'measureUrl' is missing"),
    ("$evaluate", {**YEAR, "measureId": DIABETES, "subject": "Device/one"}, 400, "cannot be the subject"),
    ("$evaluate", {**YEAR, "measureId": DIABETES, "manifest": "http://x"}, 404, "no Library http://x"),
    ("$evaluate", {**YEAR, "measureId": DIABETES, "provider": "Device/1"}, 400, "Name a Practitioner"),
    ("$evaluate", {**YEAR, "measureId": DIABETES, "colour": "red"}, 400, "no parameter 'colour'"),
    ("$evaluate", {**YEAR, "measureId": DIABETES, "periodEnd": "2025-01-01"}, 400, "before it starts"),
    ("$evaluate-measure", {**YEAR, "measure": DIABETES, "productLine": "x"}, 400, "is not supported"),
    ("$evaluate-measure", {**YEAR, "measure": DIABETES, "lastReceivedOn": "2026-01-01"}, 400, "one patient"),
    ("$evaluate-measure", {**YEAR, "measure": DIABETES, "practitioner": "Practitioner/no"}, 404, "no Pract"),
    ("$evaluate-measure", {**YEAR}, 400, "'measure' is missing"),
    ("$collect-data", {**YEAR, "measureId": "nothing", "subject": "Patient/one"}, 404, "no measure"),
    ("$collect-data", {**YEAR, "measureId": DIABETES, "subject": "Patient/nobody"}, 404, "no Patient/nobody"),
    ("$data-requirements", {"measureId": "nothing"}, 404, "no measure"),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "asked", "status", "said"), REFUSED)
def test_what_cannot_be_honoured_is_refused_with_an_outcome(
    client: TestClient, operation: str, asked: dict[str, str], status: int, said: str
) -> None:
    for answer in (
        client.get(f"/fhir/Measure/{operation}", params=asked),
        client.post(f"/fhir/Measure/{operation}", json=parameters(**asked)),
    ):
        assert answer.status_code == status, answer.text
        assert issue(answer)["severity"] == "error"
        assert said.casefold() in issue(answer)["details"]["text"].casefold()


def one_parameter(**part: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [part]}


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Patient"},
        {"resourceType": "Parameters", "parameter": {"name": "periodStart"}},
        one_parameter(valueString="nameless"),
        one_parameter(name="periodStart", valueDate="2026", valueCode="x"),
        one_parameter(name="periodStart", valuePeriod={"start": "2026"}),
        one_parameter(name="subjectGroup", resource={"resourceType": "Patient"}),
    ],
)
def test_a_request_of_the_wrong_structure_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post("/fhir/Measure/$evaluate", json=body)
    assert answer.status_code == 400
    assert issue(answer)["code"] == "structure"


@pytest.mark.parametrize("measures", [[DIABETES], [DIABETES, PRESSURE]])
def test_data_are_collected_with_a_report_a_measure(client: TestClient, measures: list[str]) -> None:
    asked = {**YEAR, "measureId": measures, "subject": "Patient/one"}
    for answer in (
        client.get("/fhir/Measure/$collect-data", params=asked),
        client.post("/fhir/Measure/$collect-data", json=parameters(**asked)),
    ):
        found = reports(answer)
        assert [report["type"] for report in found] == ["data-collection"] * len(measures)
        names = {
            f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
            for part in answer.json()["parameter"]
            for entry in part["resource"]["entry"]
        }
        listed = {item["reference"] for report in found for item in report["evaluatedResource"]}
        assert {"Patient/one", "Encounter/one-visit", "Observation/one-a1c"} <= listed
        assert listed <= names


def test_collected_data_can_be_submitted_elsewhere_and_give_the_same_result(
    client: TestClient, tmp_path: Path
) -> None:
    asked = {**YEAR, "measureId": DIABETES, "subject": "Group/pair"}
    collected = client.get("/fhir/Measure/$collect-data", params=asked).json()
    bundles = [{"name": "bundle", "resource": part["resource"]} for part in collected["parameter"]]
    path = f"/fhir/Measure/{DIABETES}/$evaluate-measure"
    for other in start(Settings(data_folder=tmp_path, _env_file=None)):  # type: ignore[call-arg]
        body = {"resourceType": "Parameters", "parameter": bundles}
        assert other.post("/fhir/Measure/$submit-data", json=body).status_code == 200
        for subject in ("Patient/one", "Patient/two"):
            here = client.get(path, params={**YEAR, "subject": subject}).json()
            there = other.get(path, params={**YEAR, "subject": subject}).json()
            assert here["group"] == there["group"]
            assert there["group"][0]["population"][0]["count"] == 1


def submission(report: dict[str, Any] | None, *resources: dict[str, Any]) -> dict[str, Any]:
    parts = [{"name": "measureReport", "resource": report}] if report else []
    parts += [{"name": "resource", "resource": resource} for resource in resources]
    return {"resourceType": "Parameters", "parameter": parts}


def data_report(subject: str, *references: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MeasureReport", "status": "complete", "type": "data-collection",
        "measure": URL + DIABETES, "subject": {"reference": f"Patient/{subject}"},
        "period": {"start": "2026-01-01", "end": "2026-12-31"},
        "evaluatedResource": [{"reference": reference} for reference in references], **more,
    }  # fmt: skip


def test_a_snapshot_takes_the_place_of_the_one_before(client: TestClient) -> None:
    path = f"/fhir/Measure/{DIABETES}/$submit-data"
    person, visit, _, test = patient("three")
    names = ("Patient/three", "Encounter/three-visit", "Observation/three-a1c")
    assert client.post(path, json=submission(data_report("three", *names), person, visit, test)).is_success
    assert client.get("/fhir/Observation/three-a1c").status_code == 200
    assert client.post(path, json=submission(data_report("three", *names[:2]), person, visit)).is_success
    assert client.get("/fhir/Observation/three-a1c").status_code == 410
    assert client.get("/fhir/Encounter/three-visit").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (submission(None, *patient("four")), 400, "'measureReport' is missing"),
        (
            {
                "resourceType": "Parameters",
                "parameter": [{"name": "measureReport", "resource": data_report("four")}] * 2,
            },
            400,
            "came 2 times",
        ),
        (submission(data_report("four"), *patient("five")), 400, "the data have Patient/five"),
        (submission(data_report("four", type="summary"), *patient("four")), 400, "type 'summary'"),
        (submission(data_report("four", measure="http://no"), *patient("four")), 404, "no measure"),
        (
            {
                "resourceType": "Parameters",
                "parameter": [
                    {"name": "bundle", "resource": {"resourceType": "Bundle", "type": "collection"}}
                ],
            },
            400,
            "MeasureReport is missing",
        ),
    ],
)
def test_a_submission_that_is_not_whole_is_refused_and_leaves_nothing(
    client: TestClient, body: dict[str, Any], status: int, said: str
) -> None:
    answer = client.post("/fhir/Measure/$submit-data", json=body)
    assert answer.status_code == status, answer.text
    assert said in issue(answer)["details"]["text"]
    assert client.get("/fhir/Patient/four").status_code == 404
    assert client.get("/fhir/Patient/five").status_code == 404


def test_data_cannot_be_submitted_by_get(client: TestClient) -> None:
    assert client.get("/fhir/Measure/$submit-data").status_code in (404, 405)


def test_everything_of_a_patient_in_its_three_forms(client: TestClient) -> None:
    one = client.get("/fhir/Patient/one/$everything").json()
    assert {entry["resource"]["id"] for entry in one["entry"]} >= {"one", "one-visit", "one-a1c", "dr"}
    posted = client.post("/fhir/Patient/one/$everything").json()
    assert posted == one
    types = client.get("/fhir/Patient/one/$everything?_type=Observation").json()
    assert [entry["resource"]["resourceType"] for entry in types["entry"]] == ["Observation"]
    everybody = client.get("/fhir/Patient/$everything?_count=2").json()
    assert len([entry for entry in everybody["entry"] if entry["search"]["mode"] == "match"]) == 2
    assert everybody["link"][0]["relation"] == "next"
    assert client.get("/fhir/Patient/nobody/$everything").status_code == 404


def test_an_asynchronous_request_is_polled_to_its_result_and_can_be_cancelled(client: TestClient) -> None:
    path = f"/fhir/Measure/{DIABETES}/$evaluate-measure"
    accepted = client.get(path, params=YEAR, headers={"prefer": "respond-async"})
    assert accepted.status_code == 202
    where = accepted.headers["content-location"]
    for _ in range(200):
        answer = client.get(where)
        if answer.status_code != 202:
            break
        assert "x-progress" in answer.headers
        assert "retry-after" in answer.headers
        time.sleep(0.05)
    bundle = answer.json()
    assert bundle["type"] == "batch-response"
    assert bundle["entry"][0]["response"]["status"] == "200"
    assert bundle["entry"][0]["resource"]["type"] == "summary"
    assert client.delete(where).status_code == 202
    assert client.get(where).status_code == 404


def test_a_failing_patient_is_reported_and_the_others_count(client: TestClient) -> None:
    broken = patient("broken")
    broken[0]["birthDate"] = {"not": "a date"}
    put(client, *broken, group("with-broken", "one", "broken", "gone"))
    asked = {**YEAR, "measureId": DIABETES, "subject": "Group/with-broken"}
    answer = client.get("/fhir/Measure/$evaluate", params=asked)
    (report,) = reports(answer)
    assert report["group"][0]["population"][0]["count"] >= 1
    said = [one for one in report.get("contained", ()) if one["resourceType"] == "OperationOutcome"]
    assert said, "members who are not there are told"
    assert "Patient/gone" in str(said)
