"""``$cql`` and ``Library/$evaluate`` over HTTP; the official conformance tests go through ``$cql`` whole."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient
from served import put
from shared_inputs import shared

from measurewise.engine.errors import MeasurewiseError
from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.runner.conformance import evaluate, read_tests
from measurewise.engine.runner.cql_values import FAILED, parameters

ENCOUNTER = {"resourceType": "Encounter", "id": "e", "subject": {"reference": "Patient/p"}}
PERIOD = {"name": "Measurement Period", "valuePeriod": {"start": "2026-01-01", "end": "2026-12-31"}}


RUNNER = {"Content-Type": "application/json", "Accept": "*/*"}
"""What the official runner sends beside its Parameters."""
FHIR_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?")


def ask(client: TestClient, expression: str, *more: dict[str, Any]) -> list[dict[str, Any]]:
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "expression", "valueString": expression}, *more],
    }
    answer = client.post("/fhir/$cql", content=json.dumps(body), headers=RUNNER)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = json.loads(answer.text, parse_float=Decimal)["parameter"]
    return found


def times(parts: list[dict[str, Any]]) -> Iterator[str]:
    """Every valueTime, at whatever depth."""
    for part in parts:
        if "valueTime" in part:
            yield part["valueTime"]
        yield from times(part.get("part", []))


def test_the_official_conformance_tests_have_the_same_answers_over_http(client: TestClient) -> None:
    """Each answer over HTTP is the encoding of what the engine gives, and its failures are failures there."""
    tally: Counter[str] = Counter()
    differing = []
    for test in read_tests(shared("cql-tests")):
        if not test.in_scope:
            tally["skipped"] += 1
            continue
        found = ask(client, test.expression)
        failed = found[0]["name"] == FAILED
        assert all(FHIR_TIME.fullmatch(text) for text in times(found)), test.name
        try:
            value = evaluate(test.expression)
        except MeasurewiseError:
            tally["error"] += 1
            if not failed:
                differing.append(test.name)
            continue
        tally["value"] += 1
        if failed or found != json.loads(to_json(parameters(value)), parse_float=Decimal)["parameter"]:
            differing.append(test.name)
    print(dict(tally))
    # What depends on the moment of evaluation cannot be the same twice.
    assert [name for name in differing if "Now" not in name and "Today" not in name] == []
    assert tally["value"] > 1000


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("1 + 1", [{"name": "return", "valueInteger": 2}]),
        ("'a' + null", None),
        ("{1, 2}", [{"name": "return", "valueInteger": 1}, {"name": "return", "valueInteger": 2}]),
        ("9000000000L", [{"name": "return", "valueString": "9000000000"}]),
        ("1.10 'mg'", [{"name": "return", "valueQuantity": {"value": Decimal("1.10"), "code": "mg"}}]),
        ("@2026-05", [{"name": "return", "valueDate": "2026-05"}]),
    ],
)
def test_values_have_the_types_of_fhir(
    client: TestClient, expression: str, found: list[dict[str, Any]] | None
) -> None:
    answer = ask(client, expression)
    if found is None:
        assert "data-absent-reason" in json.dumps(answer)
        return
    for part, expected in zip(answer, found, strict=True):
        for name, value in expected.items():
            if isinstance(value, dict):
                assert value.items() <= part[name].items()
            else:
                assert part[name] == value


def test_an_error_stands_in_the_answer(client: TestClient) -> None:
    (failed,) = ask(client, "1 + 'a'")
    assert failed["name"] == FAILED
    assert failed["resource"]["issue"][0]["severity"] == "error"
    assert client.post("/fhir/$cql", json={"resourceType": "Parameters"}).status_code == 400


def test_an_expression_sees_the_subject_and_data_of_the_request(client: TestClient) -> None:
    put(
        client,
        {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1970-01-01"},
        ENCOUNTER,
    )
    subject = {"name": "subject", "valueString": "Patient/p"}
    assert ask(client, "Count([Encounter])", subject)[0]["valueInteger"] == 1
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"resource": {"resourceType": "Encounter", "id": "e2", "subject": {"reference": "Patient/p"}}}
        ],
    }
    data = {"name": "data", "resource": bundle}
    assert ask(client, "Count([Encounter])", subject, data)[0]["valueInteger"] == 2
    bundle["entry"].append({"resource": {"resourceType": "Patient", "id": "x"}})  # type: ignore[attr-defined]
    alone = {"name": "useServerData", "valueBoolean": False}
    assert ask(client, "Count([Encounter])", subject, data, alone)[0]["valueInteger"] == 1


def test_an_expression_uses_a_stored_library(client: TestClient) -> None:
    library = client.get("/fhir/Library?name=DiabetesGlycemicControl").json()["entry"][0]["resource"]
    used = {
        "name": "library",
        "part": [{"name": "url", "valueCanonical": library["url"]}, {"name": "name", "valueString": "D"}],
    }
    given = {"name": "parameters", "resource": {"resourceType": "Parameters", "parameter": [PERIOD]}}
    put(client, {"resourceType": "Patient", "id": "p", "birthDate": "1970-01-01"})
    subject = {"name": "subject", "valueString": "Patient/p"}
    (found,) = ask(client, 'D."Initial Population"', used, given, subject)
    assert found["valueBoolean"] is False


def test_a_library_gives_all_its_definitions_or_those_asked_for(client: TestClient) -> None:
    library = client.get("/fhir/Library?name=DiabetesGlycemicControl").json()["entry"][0]["resource"]
    put(client, {"resourceType": "Patient", "id": "p", "birthDate": "1970-01-01"})
    body: dict[str, Any] = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subject", "valueString": "Patient/p"},
            {"name": "parameters", "resource": {"resourceType": "Parameters", "parameter": [PERIOD]}},
        ],
    }
    everything = client.post(f"/fhir/Library/{library['id']}/$evaluate", json=body).json()["parameter"]
    assert {"Initial Population", "Denominator", "Numerator"} <= {part["name"] for part in everything}
    body["parameter"].append({"name": "expression", "valueString": "Numerator"})
    (one,) = client.post(f"/fhir/Library/{library['id']}/$evaluate", json=body).json()["parameter"]
    assert one["name"] == "Numerator"
    body["parameter"].append({"name": "expression", "valueString": "Nothing"})
    assert client.post(f"/fhir/Library/{library['id']}/$evaluate", json=body).status_code == 404


def test_a_library_of_cql_alone_is_published_evaluated_by_url_and_removed(client: TestClient) -> None:
    """As the official runner does with a test that is a whole library."""
    cql = """library RunnerLibrary version '1.0.000'
        define "Group.Test": { 1, 2 }
        define Stopped: Message(1, true, '400', 'Error', 'stop')"""
    library = {
        "resourceType": "Library",
        "id": "cql-tests-RunnerLibrary",
        "url": "https://hl7.org/fhir/uv/cql/Library/RunnerLibrary",
        "name": "RunnerLibrary",
        "version": "1.0.000",
        "status": "active",
        "type": {"coding": [{"code": "logic-library"}]},
        "content": [{"contentType": "text/cql", "data": base64.b64encode(cql.encode()).decode()}],
    }
    address = f"/fhir/Library/{library['id']}"
    assert client.put(address, content=json.dumps(library), headers=RUNNER).status_code == 201
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "url", "valueCanonical": f"{library['url']}|1.0.000"},
            {"name": "expression", "valueString": "Group.Test"},
        ],
    }
    answer = client.post("/fhir/Library/$evaluate", content=json.dumps(body), headers=RUNNER)
    assert answer.status_code == 200, answer.text
    assert answer.json()["parameter"] == [
        {"name": "Group.Test", "valueInteger": 1},
        {"name": "Group.Test", "valueInteger": 2},
    ]
    body["parameter"][1]["valueString"] = "Stopped"
    answer = client.post("/fhir/Library/$evaluate", content=json.dumps(body), headers=RUNNER)
    (failed,) = answer.json()["parameter"]
    assert failed["name"] == FAILED
    assert "definition 'Stopped'" in failed["resource"]["issue"][0]["diagnostics"]
    assert client.delete(address).is_success
    assert client.post("/fhir/Library/$evaluate", content=json.dumps(body), headers=RUNNER).status_code == 404
