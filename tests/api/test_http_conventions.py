"""HTTP as FHIR uses it: versions, preferences, conditions, escapes in searches, links that lead on."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deqm_data import patient
from fastapi.testclient import TestClient
from served import issue, put, start
from sqlalchemy import select

from measurewise.api.settings import Settings
from measurewise.store.tables import audit_events

SYSTEM = "http://s.example"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("http")
    for served in start(Settings(data_folder=folder, _env_file=None)):  # type: ignore[call-arg]
        identifiers = [{"system": SYSTEM, "value": "a,b"}, {"value": "plain"}]
        put(served, *patient("one", name=[{"family": "Müller"}], identifier=identifiers))
        put(served, *patient("two", identifier=[{"system": SYSTEM, "value": "c|d"}]))
        yield served


def found(client: TestClient, query: str) -> list[str]:
    answer = client.get(f"/fhir/{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"]["id"] for entry in answer.json().get("entry", ())]


def test_what_the_client_has_already_is_not_sent_again(client: TestClient) -> None:
    version = client.get("/fhir/Patient/two").headers["etag"]
    number = version.strip('W/"')
    for path in ("/fhir/Patient/two", f"/fhir/Patient/two/_history/{number}"):
        for known in (version, f'"0", {version}', "*", version.removeprefix("W/")):
            answer = client.get(path, headers={"if-none-match": known})
            assert (answer.status_code, answer.content) == (304, b""), known
            assert answer.headers["etag"] == version
        assert client.get(path, headers={"if-none-match": 'W/"999"'}).status_code == 200
        assert client.get(path).headers["last-modified"].endswith(" GMT")


def test_a_client_chooses_what_a_change_answers_with(client: TestClient) -> None:
    kinds = {"return=representation": "Patient", "return=OperationOutcome": "OperationOutcome"}
    for number, preferred in enumerate(("return=minimal", *kinds)):
        sent = {**patient("chosen")[0], "multipleBirthInteger": number + 1}
        answer = client.put("/fhir/Patient/chosen", json=sent, headers={"prefer": preferred})
        assert answer.status_code == (201 if number == 0 else 200)
        assert answer.headers["etag"] == f'W/"{number + 1}"'
        kind = json.loads(answer.content)["resourceType"] if answer.content else None
        assert kind == kinds.get(preferred)


def test_escapes_and_bars_in_searches(client: TestClient) -> None:
    assert found(client, "Patient?identifier=a%5C,b") == ["one"]
    assert found(client, "Patient?identifier=a,b") == []
    assert found(client, f"Patient?identifier={SYSTEM}|c%5C|d") == ["two"]
    assert found(client, "Patient?identifier=a%5C,b,c%5C|d") == ["one", "two"]
    assert found(client, f"Patient?identifier={SYSTEM}|") == ["one", "two"]
    assert found(client, "Patient?identifier=|plain") == ["one"]
    assert found(client, "Patient?identifier=|a%5C,b") == []
    refused = client.get("/fhir/Patient?identifier:of-type=http://x.example|MR|1")
    assert refused.status_code == 400
    assert "of-type" in issue(refused)["details"]["text"]


def test_strings_are_found_without_case_and_accents_but_exactly_if_asked(client: TestClient) -> None:
    for name in ("muller", "MÜLLER", "mul", "Mu%CC%88ller"):
        assert found(client, f"Patient?name={name}") == ["one"], name
    assert found(client, "Patient?name:contains=LLE") == ["one"]
    assert found(client, "Patient?name:exact=Müller") == ["one"]
    assert found(client, "Patient?name:exact=müller") == []


def test_links_lead_through_all_pages(client: TestClient) -> None:
    for query in (
        "Patient?_count=1&identifier=a%5C,b,c%5C|d",
        "Patient?_count=1&_lastUpdated=gt2020-01-01T00:00:00%2B01:00&_id=one,two&_sort=-_id",
        "Patient?_count=1&_id=one,two&_revinclude=Observation:patient&_total=none",
        "Patient/one/$everything?_count=1&_type=Patient,Observation&_since=2020-01-01T00:00:00%2B01:00",
    ):
        bundle = client.get(f"/fhir/{query}").json()
        seen: list[str] = []
        while True:
            seen += [e["fullUrl"] for e in bundle["entry"] if e["search"]["mode"] == "match"]
            links = {link["relation"]: link["url"] for link in bundle.get("link", ())}
            if "next" not in links:
                break
            bundle = client.get(links["next"]).json()
        assert len(seen) == len(set(seen)) == 2, query
    first = client.get("/fhir/Patient?_count=1&name:exact=Müller&_include=Patient:organization").json()
    (own,) = [link["url"] for link in first["link"] if link["relation"] == "self"]
    assert client.get(own).json() == first


def test_counts_alone_and_no_totals(client: TestClient) -> None:
    count = client.get("/fhir/Observation?_summary=count").json()
    assert (count["total"], "entry" in count) == (2, False)
    assert "total" not in client.get("/fhir/Observation?_total=none").json()


def test_a_condition_of_a_batch_entry_makes_one_resource(client: TestClient) -> None:
    entry = {
        "resource": {"resourceType": "Patient", "identifier": [{"value": "once"}]},
        "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=once"},
    }
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry, entry]}
    answer = client.post("/fhir", json=bundle).json()
    assert [one["response"]["status"] for one in answer["entry"]] == ["201", "200"]
    assert len(found(client, "Patient?identifier=once")) == 1


def test_the_record_of_a_search_by_form_has_the_form(client: TestClient) -> None:
    answer = client.post("/fhir/Patient/_search?_count=5", data={"family": "Recognisable"})
    assert answer.status_code == 200
    with client.app.state.services.database.read() as connection:  # type: ignore[attr-defined]
        body = connection.execute(select(audit_events.c.body).order_by(audit_events.c.key.desc())).scalar()
    event: dict[str, Any] = json.loads(body)
    (query,) = [one["query"] for one in event["entity"] if "query" in one]
    assert base64.b64decode(query).decode() == "POST /fhir/Patient/_search?_count=5\nfamily=Recognisable"


def test_the_character_that_databases_cannot_hold_is_refused(client: TestClient) -> None:
    sent = '{"resourceType":"Patient","id":"nul","name":[{"family":"a%su0000"}]}'
    refused = client.put("/fhir/Patient/nul", content=sent % "\\")
    assert refused.status_code == 400
    assert "U+0000" in issue(refused)["details"]["text"]
    # The same letters after an escaped backslash are a text like any other.
    assert client.put("/fhir/Patient/nul", content=sent % "\\\\").status_code == 201
    for path in ("Patient?name=%00", "Patient/%00", "_jobs/%00", "Measure/$evaluate?measureId=a%00"):
        assert client.get(f"/fhir/{path}").status_code == 400, path
    entry = {"request": {"method": "GET", "url": "Patient?name=%00"}}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    assert client.post("/fhir", json=bundle).json()["entry"][0]["response"]["status"] == "400"
    assert client.post("/fhir/Patient/_search", content="name=%00", headers=FORM).status_code == 400


FORM = {"content-type": "application/x-www-form-urlencoded"}
