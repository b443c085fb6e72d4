"""How answers are given: in parts, as heads, indented, packed, to other origins; and none of it ignored."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from over_http import serving
from served import issue, put, start

from measurewise.api.fhir.sending import WORTH_PACKING, takes_gzip
from measurewise.api.security.errors import SecuritySettingsError
from measurewise.api.security.settings import SecuritySettings
from measurewise.api.settings import Settings

FHIR = {"content-type": "application/fhir+json"}
NOTE = "n" * WORTH_PACKING
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "text": {"status": "generated", "div": "<div>x</div>"},
    "status": "final",
    "code": {"text": "weight"},
    "subject": {"reference": "Patient/p"},
    "valueQuantity": {"value": 70},
    "note": [{"text": "short"}],
}


def settings_in(folder: Path, **more: Any) -> Settings:
    return Settings(data_folder=folder, shipped_content=False, _env_file=None, **more)  # type: ignore[call-arg]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    for served in start(settings_in(tmp_path_factory.mktemp("answers"), largest_body=200_000)):
        put(served, {"resourceType": "Patient", "id": "p", "gender": "female", "name": [{"family": "A"}]})
        put(served, OBSERVATION, {**OBSERVATION, "id": "long", "note": [{"text": NOTE}]})
        yield served


def elements(resource: dict[str, Any]) -> set[str]:
    return set(resource) - {"resourceType", "id", "meta"}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("_summary=true", {"status", "code", "subject", "valueQuantity"}),
        ("_summary=text", {"text", "status", "code"}),
        ("_summary=data", {"status", "code", "subject", "valueQuantity", "note"}),
        ("_summary=false", {"text", "status", "code", "subject", "valueQuantity", "note"}),
        ("_elements=subject", {"status", "code", "subject"}),
        ("_elements=value,note", {"status", "code", "valueQuantity", "note"}),
    ],
)
def test_as_much_of_a_resource_is_shown_as_is_asked_for(
    client: TestClient, query: str, shown: set[str]
) -> None:
    read = client.get(f"/fhir/Observation/o?{query}")
    (entry,) = client.get(f"/fhir/Observation?_id=o&{query}").json()["entry"]
    version = client.get(f"/fhir/Observation/o/_history/1?{query}").json()
    for resource in (read.json(), entry["resource"], version):
        assert elements(resource) == shown
        tags = [tag["code"] for tag in resource["meta"].get("tag", ())]
        assert tags == ([] if query == "_summary=false" else ["SUBSETTED"])
    assert read.headers["etag"] == 'W/"1"'


def test_a_count_has_no_entries(client: TestClient) -> None:
    counted = client.get("/fhir/Observation?_summary=count").json()
    assert (counted["total"], "entry" in counted) == (2, False)
    assert "total" not in client.get("/fhir/Observation?_total=none").json()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("Observation?_summary=some", "_summary is 'some'"),
        ("Observation?_elements=flavour", "no element 'flavour'"),
        ("Observation?_elements=id&_summary=true", "different things"),
        ("Observation?_summary=text&_include=Observation:patient", "includes nothing else"),
        ("Observation?_total=many", "_total is 'many'"),
        ("Observation?_sort=colour", "not sorted by 'colour'"),
        ("Observation?_contained=true", "not searched by '_contained'"),
        ("Observation/o?_summary=count", "nothing to count"),
        ("Observation/o?status=final", "no parameter 'status'"),
        ("Observation/o?_pretty=yes", "_pretty is 'yes'"),
        ("Observation/o/_history/1?x=1", "no parameter 'x'"),
    ],
)
def test_a_parameter_that_cannot_be_honoured_is_refused(client: TestClient, path: str, said: str) -> None:
    answer = client.get(f"/fhir/{path}")
    assert answer.status_code == 400
    assert said in issue(answer)["diagnostics"]


def test_a_lenient_client_is_told_what_was_left_out(client: TestClient) -> None:
    query = "/fhir/Observation?status=final&flavour=sweet&code:above=x&_count=1"
    lenient = {"prefer": "handling=lenient"}
    for headers in ({}, {"prefer": "handling=strict"}):
        assert client.get(query, headers=headers).status_code == 400
    found = client.get(query, headers=lenient).json()
    assert found["total"] == 2
    (link,) = [link["url"] for link in found["link"] if link["relation"] == "self"]
    assert link.endswith("/Observation?status=final&_count=1")
    (said,) = [entry for entry in found["entry"] if entry["search"]["mode"] == "outcome"]
    texts = [fault["details"]["text"] for fault in said["resource"]["issue"]]
    assert [fault["severity"] for fault in said["resource"]["issue"]] == ["warning"] * 2
    assert ["flavour" in texts[0], "above" in texts[1]] == [True, True]
    wrong = client.get("/fhir/Observation?date=yesterday", headers=lenient)
    assert wrong.status_code == 400


def test_a_read_tells_whether_something_changed_since(client: TestClient) -> None:
    stamp = client.get("/fhir/Observation/o").headers["last-modified"]
    for since, status in ((stamp, 304), ("Mon, 01 Jan 2001 00:00:00 GMT", 200), ("yesterday", 200)):
        assert client.get("/fhir/Observation/o", headers={"if-modified-since": since}).status_code == status
    both = {"if-modified-since": stamp, "if-none-match": 'W/"99"'}
    assert client.get("/fhir/Observation/o", headers=both).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["Observation/o", "Observation/long", "Observation", "Observation/o/_history", "Observation/_history",
     "_history", "Observation/o/_history/1", "metadata", "Observation/o?_pretty=true"],
)  # fmt: skip
def test_a_head_is_an_answer_without_its_body(client: TestClient, path: str) -> None:
    whole, head = client.get(f"/fhir/{path}"), client.head(f"/fhir/{path}")
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "last-modified", "content-encoding", "vary"):
        assert head.headers.get(name) == whole.headers.get(name), name


def test_options_list_what_an_address_serves(client: TestClient) -> None:
    cases = {
        "Observation": {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"},
        "Observation/o": {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"},
        "Observation/_history": {"GET", "HEAD", "OPTIONS"},
        "Observation/o/_history/1": {"GET", "HEAD", "OPTIONS"},
        "Observation/_search": {"POST", "OPTIONS"},
        "Measure/$evaluate-measure": {"GET", "POST", "OPTIONS"},
        "metadata": {"GET", "HEAD", "OPTIONS"},
    }
    for path, allowed in cases.items():
        answer = client.options(f"/fhir/{path}")
        assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (204, allowed), path
    assert client.options("/elsewhere").status_code == 404


def test_an_answer_is_indented_if_that_is_asked_for(client: TestClient) -> None:
    plain = client.get("/fhir/Observation/o")
    pretty = client.get("/fhir/Observation/o?_pretty=true")
    assert b"\n" not in plain.content
    assert pretty.text.startswith('{\n  "resourceType": "Observation"')
    assert pretty.json() == plain.json()
    assert client.get("/fhir/Observation/o?_pretty=false").content == plain.content


def test_formats_that_are_not_json_are_refused_wherever_they_are_asked_for(client: TestClient) -> None:
    for wanted in ("xml", "application/fhir+xml", "ttl"):
        assert client.get("/fhir/Observation/o", params={"_format": wanted}).status_code == 406
        form = {"status": "final", "_format": wanted}
        assert client.post("/fhir/Observation/_search", data=form).status_code == 406
    for wanted in ("json", "application/fhir+json", "application/json", "text/json"):
        assert client.get("/fhir/Observation/o", params={"_format": wanted}).status_code == 200


def test_long_answers_are_packed_for_those_who_take_it(client: TestClient) -> None:
    packed = client.get("/fhir/Observation/long", headers={"accept-encoding": "gzip"})
    plain = client.get("/fhir/Observation/long", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < WORTH_PACKING < int(plain.headers["content-length"])
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    for answer in (packed, plain):
        assert "Accept-Encoding" in answer.headers["vary"]
        assert answer.headers["etag"] == 'W/"1"'
    known = {"accept-encoding": "gzip", "if-none-match": packed.headers["etag"]}
    assert client.get("/fhir/Observation/long", headers=known).status_code == 304
    short = client.get("/fhir/Observation/o", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in short.headers


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("gzip", True), ("deflate, GZIP;q=0.5", True), ("*", True), ("gzip;q=0", False), ("br", False),
        ("gzip; q=0.000", False), ("", False), ("xgzip", False), ("identity", False), ("gzip;q=1.0", True),
    ],
)  # fmt: skip
def test_gzip_is_taken_where_it_is_named(accepted: str, taken: bool) -> None:
    assert takes_gzip(accepted) == taken


def test_packed_bodies_are_read_within_the_bound(client: TestClient) -> None:
    sent = json.dumps({**OBSERVATION, "id": "packed"}).encode()
    headers = {**FHIR, "content-encoding": "gzip"}
    members = gzip.compress(sent[:50]) + gzip.compress(sent[50:])
    assert client.put("/fhir/Observation/packed", content=gzip.compress(sent), headers=headers).is_success
    assert client.put("/fhir/Observation/packed", content=members, headers=headers).status_code == 200
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 200_000
    packed = gzip.compress(sent)
    refused = (
        (bomb, headers, 413, "larger than 200,000 bytes"),
        (packed[:-9], headers, 400, "ends too early"),
        (sent, headers, 400, "no gzip"),
        (zlib.compress(sent), {**FHIR, "content-encoding": "deflate"}, 415, "'deflate'"),
        (packed, {**FHIR, "content-encoding": "gzip, gzip"}, 415, "'gzip, gzip'"),
    )
    for content, given, status, said in refused:
        answer = client.put("/fhir/Observation/packed", content=content, headers=given)
        assert answer.status_code == status, said
        assert said in issue(answer)["diagnostics"]


def test_a_browser_app_is_let_in_from_its_own_origin_alone(tmp_path: Path) -> None:
    app = "http://localhost:3000"
    security = SecuritySettings(browser_origins=(app,))
    asked = {"access-control-request-method": "PATCH", "access-control-request-headers": "if-match"}
    with serving(settings_in(tmp_path / "named", security=security)) as named:
        allowed = named.client.options("/Patient/p", headers={"origin": app, **asked})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == app
        assert "PATCH" in allowed.headers["access-control-allow-methods"]
        answer = named.client.get("/metadata", headers={"origin": app})
        assert answer.headers["access-control-allow-origin"] == app
        assert "etag" in answer.headers["access-control-expose-headers"]
        assert answer.json()["rest"][0]["security"]["cors"] is True
        for other in ("http://localhost:3001", "https://evil.example.org", "null"):
            answer = named.client.options("/Patient/p", headers={"origin": other, **asked})
            assert "access-control-allow-origin" not in answer.headers, other
    with serving(settings_in(tmp_path / "none")) as none:
        answer = none.client.get("/metadata", headers={"origin": app})
        assert "access-control-allow-origin" not in answer.headers
        assert answer.json()["rest"][0]["security"]["cors"] is False


@pytest.mark.parametrize("origin", ["*", "https://*.example.org", "https://a.example.org/", "a.example.org"])
def test_what_is_no_exact_origin_stops_the_start(origin: str) -> None:
    with pytest.raises(SecuritySettingsError):
        SecuritySettings(browser_origins=(origin,)).check()


def test_a_head_over_the_wire_leaves_the_connection_whole(tmp_path: Path) -> None:
    """A body where none may be would be read as the start of the next answer."""
    with serving(settings_in(tmp_path)) as site:
        for _ in range(2):
            for path, status in (("/metadata", 200), ("/Patient/none", 404), ("/_history", 200)):
                answer: httpx.Response = site.client.head(path)
                assert (answer.status_code, answer.content) == (status, b"")
