"""What measures need: data requirements whose searches are enough, and packages that run by themselves."""

from __future__ import annotations

import json

from fastapi.testclient import TestClient
from served import YEAR

from measurewise.engine import Content, Engine

MEASURE = "DiabetesGlycemicControl"


def test_a_measures_requirements_name_types_profiles_codes_libraries_and_value_sets(
    client: TestClient,
) -> None:
    found = client.get(f"/fhir/Measure/{MEASURE}/$data-requirements", params=YEAR).json()
    assert found["type"]["coding"][0]["code"] == "module-definition"
    assert found["effectivePeriod"] == {"start": "2026-01-01", "end": "2026-12-31"}
    by_type = {requirement["type"]: requirement for requirement in found["dataRequirement"]}
    assert {"Condition", "Encounter", "Observation"} <= by_type.keys()
    assert by_type["Condition"]["codeFilter"][0]["path"] == "code"
    value_set = by_type["Condition"]["codeFilter"][0]["valueSet"]
    depends = {artifact["resource"] for artifact in found["relatedArtifact"]}
    assert value_set in depends
    assert any("/Library/" in url for url in depends)
    assert {"name": "Measurement Period", "use": "in", "min": 0, "max": "1", "type": "Period"} in found[
        "parameter"
    ]


def test_several_measures_are_asked_at_once_and_a_library_by_itself(client: TestClient) -> None:
    measures = client.get("/fhir/Measure").json()["entry"]
    names = [entry["resource"]["id"] for entry in measures]
    both = client.get("/fhir/Measure/$data-requirements", params={"measureId": names}).json()
    one = client.get(f"/fhir/Measure/{names[0]}/$data-requirements").json()
    assert len(both["dataRequirement"]) > len(one["dataRequirement"])
    library = client.get(f"/fhir/Library?name={MEASURE}").json()["entry"][0]["resource"]["id"]
    found = client.get(f"/fhir/Library/{library}/$data-requirements").json()
    assert found["dataRequirement"]
    limited = client.get(
        f"/fhir/Library/{library}/$data-requirements", params={"expression": "Qualifying Visit"}
    )
    assert limited.status_code in (200, 404)


def test_a_measure_that_is_not_there_is_404(client: TestClient) -> None:
    assert client.get("/fhir/Measure/nothing/$data-requirements").status_code == 404
    assert client.get("/fhir/Measure/$data-requirements").status_code == 400
    assert client.get("/fhir/Measure/nothing/$package").status_code == 404


def test_a_package_has_all_that_the_measure_needs_to_run(client: TestClient) -> None:
    bundle = client.get(f"/fhir/Measure/{MEASURE}/$package").json()
    resources = [entry["resource"] for entry in bundle["entry"]]
    assert [r["id"] for r in resources if r["resourceType"] == "Measure"] == [MEASURE]
    prepared = Engine(Content.of(json.loads(json.dumps(resources)))).prepare(period="2026")
    assert prepared.remarks() == []


def test_an_address_means_the_measure_that_is_read_there(client: TestClient) -> None:
    newer = client.get(f"/fhir/Measure/{MEASURE}").json() | {"id": "newer", "version": "99.0.0"}
    assert client.put("/fhir/Measure/newer", json=newer).status_code == 201
    for identity in (MEASURE, "newer"):
        bundle = client.get(f"/fhir/Measure/{identity}/$package").json()
        kinds = [(entry["resource"]["resourceType"], entry["resource"]["id"]) for entry in bundle["entry"]]
        assert [found for kind, found in kinds if kind == "Measure"] == [identity]


def test_each_requirement_has_the_search_that_finds_it(client: TestClient) -> None:
    pattern = "http://hl7.org/fhir/us/cqfmeasures/StructureDefinition/cqfm-fhirQueryPattern"
    found = client.get(f"/fhir/Measure/{MEASURE}/$data-requirements").json()["dataRequirement"]
    queries = {one["extension"][0]["valueString"] for one in found if one["extension"][0]["url"] == pattern}
    value_sets = "https://measurewise.example/ValueSet/"
    assert "/Coverage?patient=Patient/{{context.patientId}}" in queries
    assert (
        f"/Encounter?type:in={value_sets}outpatient-visit&patient=Patient/{{{{context.patientId}}}}"
        in queries
    )
    for query in queries:
        assert client.get("/fhir" + query.replace("{{context.patientId}}", "nobody")).json()["total"] == 0
