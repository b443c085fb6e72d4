"""Requests nobody should send, to every address: each is answered or refused in FHIR, and breaks nothing.

The run lasts ``MEASUREWISE_FUZZ_SECONDS``; ``MEASUREWISE_FUZZ_SEED`` chooses other requests than
those that every run makes.
"""

from __future__ import annotations

import copy
import json
import os
import re
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import pytest
from deqm_data import DIABETES, URL, group, parameters, patient
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from served import YEAR, put, start

from measurewise.api.jobs import worker
from measurewise.api.operations import OPERATIONS
from measurewise.api.settings import Settings

SECONDS: Final = float(os.environ.get("MEASUREWISE_FUZZ_SECONDS", "10"))
FEWEST: Final = 150
SEED: Final = os.environ.get("MEASUREWISE_FUZZ_SEED")
_LEAKS: Final = re.compile(
    r"Traceback|File \"|sqlalchemy|sqlite3|psycopg|SELECT .* FROM|\bresources\.[a-z]|pydantic|msgspec\."
    r"|0x[0-9a-f]{6}",
    re.IGNORECASE | re.DOTALL,
)
_LEAVES: Final[list[Any]] = [
    None, True, False, 0, -1, 2**31, 2**63, 2**64, 10**30, 1e308, -0.0, 1.5, "", " ", "x", "\x00",
    "a\x00b", "null",
    "'; DROP TABLE resources;--", "%", "_", "🙂", "é", "\u202e", "a" * 70_000, "2026-02-30", "0000-01-01",
    "9999-12-31",
    "2026", "2026-13-01T25:61:61Z", "Patient/", "/", "Patient/one/", "Group/pair", "#x", "urn:uuid:",
    "http://[",
    "|", "a|b|c", [], {}, [[]], [None], [{}], {"": ""}, {"resourceType": None}, {"resourceType": "Bundle"},
    {"reference": 1}, {"coding": "x"}, {"coding": [None]}, {"start": [], "end": {}}, ["x"] * 300,
]  # fmt: skip
_TEXTS: Final = [
    "one", "two", "dr", "org", "pair", "loop", "nobody", DIABETES, "Patient/one", "Patient/nobody",
    "Group/pair",
    "Group/loop", "Practitioner/dr", "Organization/org", "Patient", "Measure", URL + DIABETES,
    f"{URL}{DIABETES}|1",
    "2026-01-01", "2026-12-31", "2026", "2026-02", "2026-13-45", "0000-00-00", "9999-12-31", "ge2026",
    "zz2026",
    "2026-01-01T25:00:00Z", "2026-01-01T08:00:00+14:00", "0001-01-01T00:00:00+14:00", "true", "false", "0",
    "1",
    "-1", "50", "²", "٣", "1e9", "9" * 25, "9" * 5000, "NaN", "Infinity", "1.5", "a,b", "\\,", "\\", "a|b",
    "|", "$",
    "a$b", "'", '"', "%", "_", "\x00", "x\x00y", "\ud800", "🙂", "Müller", "x" * 3000, "*", "Patient:name",
    "Observation:subject:Patient", "Observation:patient", "_id", "-_lastUpdated", "name,",
    "http://x.example/a b",
    "summary", "individual", "subject-list", "population", "open-gap", "ndjson", "application/fhir+ndjson",
    "1 + 1", "[Patient]", "define x:", "((((", "Patient?name=x", "count", "none", "accurate",
    "../../etc/passwd",
]  # fmt: skip
_SEARCHES: Final = [
    "_id", "_lastUpdated", "_count", "_sort", "_include", "_revinclude", "_summary", "_total", "_after",
    "_format",
    "_pretty", "_has:Observation:patient:code", "name", "name:exact", "identifier", "identifier:of-type",
    "code",
    "code:in", "code:not", "date", "date:missing", "subject", "subject:Patient", "patient", "url",
    "url:below",
    "status", "birthdate", "gender", "general-practitioner", "general-practitioner.name", "_elements",
    "_text",
]  # fmt: skip
_HEADERS: Final = [
    "prefer", "if-match", "if-none-match", "if-none-exist", "accept", "x-organization", "x-request-id",
    "content-type", "authorization", "if-modified-since",
]  # fmt: skip
_HEADER_VALUES: Final = [
    b"", b"*", b'W/"1"', b'"1"', b'W/"999999999999999999999999"', b'W/"' + b"9" * 5000 + b'"', b"W/", b"1",
    b"respond-async", b"return=minimal", b"return=OperationOutcome", b"return=representation", b"return=",
    b"handling=strict", b"application/xml", b"application/fhir+json", b"text/html", b"text/csv",
    b"application/json",
    b"application/x-www-form-urlencoded", b"application/json-patch+json", b"application/fhir+ndjson", b";;;",
    b"application/fhir+json; charset=latin-1", b"multipart/form-data", b"default", b"elsewhere",
    b"\xff\xfe", b"\xc3\xa9",
    b"a" * 200, b"Bearer x.y.z", b"Basic !", b"identifier=a%7Cb", b"_id=one", b"name=%", b"?",
    b"Sat, 01 Jan 2000 00:00:00 GMT",
]  # fmt: skip
_PLACES: Final = {
    "resource_type": ["Patient", "Measure", "Observation", "Group", "ValueSet", "Library", "Bundle", "Binary",
                      "Parameters", "AuditEvent", "patient", "Nothing", "_search", "$x", "\x00"],
    "identity": [*_TEXTS, "Measure-care-gaps", "one-visit"],
    "version": ["1", "2", "0", "-1", "²", "x", "9" * 25, "9" * 5000],
    "job": _TEXTS,
    "name": ["Patient.ndjson", "..", "../x", "x" * 300, "\x00"],
}  # fmt: skip


def _documents() -> list[dict[str, Any]]:
    """Sound resources, of which spoilt ones are made."""
    person = patient("one")
    entries = [
        {"fullUrl": f"urn:uuid:{number}", "resource": one, "request": {"method": method, "url": url}}
        for number, (one, method, url) in enumerate(
            [
                (person[0], "PUT", "Patient/one"),
                (person[1], "POST", "Encounter"),
                (person[3], "PUT", "Observation?identifier=x|y"),
            ]
        )
    ]
    entries.append({"request": {"method": "GET", "url": "Patient?name=a"}})  # type: ignore[dict-item]
    entries.append({"request": {"method": "DELETE", "url": "Condition/none"}})  # type: ignore[dict-item]
    report = {
        "resourceType": "MeasureReport", "id": "sent", "status": "complete", "type": "data-collection",
        "measure": URL + DIABETES, "subject": {"reference": "Patient/one"}, "date": "2026-06-01",
        "reporter": {"reference": "Organization/org"},
        "period": {"start": "2026-01-01", "end": "2026-12-31"},
        "evaluatedResource": [{"reference": "Observation/one-a1c"}],
        "group": [{"population": [{"code": {"coding": [{"code": "numerator"}]}, "count": 1}]}],
        "extension": [{"url": "http://x.example", "valueCode": "incremental"}],
    }  # fmt: skip
    coding = {"system": "http://loinc.org", "code": "17856-6"}
    value_set = {
        "resourceType": "ValueSet", "url": "http://x.example/vs", "status": "active",
        "compose": {"include": [{"system": "http://loinc.org", "concept": [{"code": "1"}]}]},
        "expansion": {"timestamp": "2026-01-01", "contains": [{**coding, "display": "A1c"}]},
    }  # fmt: skip
    data = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in person]}
    taken = {
        **YEAR, "measureId": DIABETES, "subject": "Patient/one", "reportType": "individual",
    }  # fmt: skip
    population = {"criteria": {"language": "text/cql", "expression": "x"}}
    one_measure = {
        "resourceType": "Measure", "id": "own", "url": "http://x.example/m", "status": "draft",
        "scoring": {"coding": [{"code": "proportion"}]}, "library": ["http://x.example/l"],
        "group": [{"population": [population]}],
    }  # fmt: skip
    library = {
        "resourceType": "Library", "id": "own", "url": "http://x.example/l", "status": "draft", "name": "Own",
        "type": {"coding": [{"code": "logic-library"}]},
        "content": [{"contentType": "text/cql", "data": "bGlicmFyeSBPd24KZGVmaW5lIHg6IDEK"}],
    }  # fmt: skip
    return [
        *person,
        group("pair", "one", "two"),
        {"resourceType": "Bundle", "type": "transaction", "entry": entries},
        {"resourceType": "Bundle", "type": "batch", "entry": entries},
        report,
        one_measure,
        library,
        value_set,
        parameters(**taken),
        parameters(**YEAR, measureId=DIABETES, subjectGroup=group(None, "one", "two")),
        parameters(measureReport=report, resource=person[3]),
        parameters(bundle={**data, "entry": [{"resource": report}, *data["entry"]]}),
        parameters(
            expression="[Observation]", subject="Patient/one", data=data, parameters=parameters(x="1")
        ),
        parameters(library=library, expression="x"),
        {"resourceType": "Parameters", "parameter": [
            {"name": "valueSet", "resource": value_set}, {"name": "coding", "valueCoding": coding},
        ]},
        {"resourceType": "Parameters", "parameter": [
            {"name": "url", "valueUri": "http://x.example/vs"},
            {"name": "codeableConcept", "valueCodeableConcept": {"coding": [coding]}},
        ]},
        {"resourceType": "Parameters", "parameter": [
            {"name": "inputFormat", "valueString": "application/fhir+ndjson"},
            {"name": "inputSource", "valueUri": "http://127.0.0.1:9/"},
            {"name": "input", "part": [
                {"name": "type", "valueCode": "Patient"}, {"name": "url", "valueUri": "http://127.0.0.1:9/p"},
            ]},
        ]},
        {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": person[0]}]},
    ]  # fmt: skip


DOCUMENTS: Final = _documents()
_DECLARED: Final = sorted({p.name for operation in OPERATIONS for p in operation.parameters})
_BY_PATH: Final = {
    f"/fhir{path}": [p.name for p in operation.parameters]
    for operation in OPERATIONS
    for _, path in operation.paths()
}


@dataclass(frozen=True)
class Sent:
    """A request, printed as it was sent where it found a fault."""

    method: str
    url: str
    headers: tuple[tuple[str, bytes], ...]
    body: bytes


@st.composite
def spoilt(draw: st.DrawFn, sound: list[dict[str, Any]]) -> bytes:
    """The bytes of a resource with something wrong in it: elements first, then the text itself."""
    document = copy.deepcopy(draw(st.sampled_from(sound)))
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(document))
        holder, key = draw(st.sampled_from(places))
        match draw(st.integers(0, 3)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[key] = [holder[key], holder[key]]
            case _:
                holder[key] = copy.deepcopy(draw(st.sampled_from(_LEAVES)))
        if not list(_places(document)):
            break
    text = json.dumps(document).encode()
    match draw(st.integers(0, 19)):
        case 0:
            return text[: draw(st.integers(0, len(text)))]
        case 1:
            cut = draw(st.integers(0, len(text)))
            return text[:cut] + draw(st.binary(max_size=4)) + text[cut:]
        case 2:
            return text.replace(b'"id"', b'"id": "twice", "id"')
        case 3:
            return text.replace(b'"Patient', b'"\\ud800Patient')
        case 4:
            return b"\xef\xbb\xbf" + text
        case 5:
            depth = draw(st.sampled_from([200, 600, 900, 2_000, 100_000]))
            deep = b'{"extension":[' * depth + b"]}" * depth
            return b'{"resourceType":"Patient","id":"deep","extension":[' + deep + b"]}"
        case 6:
            depth = draw(st.sampled_from([200, 600, 900]))
            held = b'{"resourceType":"Patient","id":"deep","extension":['
            held += b'{"extension":[' * depth + b"]}" * depth + b"]}"
            request = b',"request":{"method":"PUT","url":"Patient/deep"}'
            return (
                b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":'
                + held
                + request
                + b"}]}"
            )
        case 7:
            return re.sub(rb": (-?\d+)", b": " + draw(st.sampled_from(_NUMBERS)), text)
        case 8:
            return draw(
                st.sampled_from([b"", b" ", b"null", b"[]", b"1", b'""', b"{}", b"\x00", b"\xff\xfe{}"])
            )
        case _:
            return text


_NUMBERS: Final = [
    b"1e400",
    b"1e999999999",
    b"-0",
    b"9" * 400,
    b"0." + b"1" * 400,
    b"1E-999999",
    b"NaN",
    b"01",
]


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """All elements of a JSON tree, as their holders and keys."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in list(items):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


def routes(client: TestClient) -> list[tuple[str, str]]:
    """All methods and addresses of the app, and some that it does not have."""
    paths = client.app.openapi()["paths"]  # type: ignore[attr-defined]
    found = [(method.upper(), path) for path, item in paths.items() for method in item]
    found += 3 * [(method, path) for method, path in found if "{resource_type}" in path or path == "/fhir"]
    return [*found, ("PATCH", "/fhir/{resource_type}/{identity}"), ("GET", "/fhir"), ("POST", "/fhir/")]


@st.composite
def requests(draw: st.DrawFn, addresses: list[tuple[str, str]]) -> Sent:
    """A request to one of the routes."""
    method, template = draw(st.sampled_from(addresses))
    sound = _fitting(template)
    kinds = sorted({document["resourceType"] for document in sound})
    places = {"resource_type": kinds} if draw(st.integers(0, 5)) else {}
    path = re.sub(
        r"\{(\w+)(?::\w+)?\}",
        lambda found: quote(
            draw(st.sampled_from(places.get(found[1]) or _PLACES.get(found[1], _TEXTS))),
            safe="",
            errors="surrogatepass",
        ),
        template,
    )
    if kinds != ["Parameters"] and "/fhir/" in path:
        sound = [one for one in sound if f"/{one['resourceType']}" in path] or sound
    names = _BY_PATH.get(template, _SEARCHES if "$" not in template else _DECLARED) or _SEARCHES
    pairs = [
        (
            draw(
                st.sampled_from(names) if draw(st.integers(0, 9)) else st.sampled_from([*_DECLARED, *_TEXTS])
            ),
            draw(st.sampled_from(_TEXTS) if draw(st.integers(0, 4)) else st.text(max_size=12)),
        )
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2] if method != "GET" else [0, 1, 1, 1, 2, 3])))
    ]
    if method == "GET" and draw(st.integers(0, 3)) and "periodStart" in names:
        # Enough for an evaluation to begin.
        measure = ("measureId" if "measureId" in names else "measure", DIABETES)
        sure = [*YEAR.items(), *([] if "{identity}" in template else [measure])]
        pairs = [*sure, ("subject", draw(st.sampled_from(_SUBJECTS))), *pairs]
        path = path if draw(st.integers(0, 3)) else template.replace("{identity}", DIABETES)
    query = (
        urlencode(pairs, errors="surrogatepass")
        if draw(st.integers(0, 9))
        else draw(st.sampled_from(_QUERIES))
    )
    headers = [
        (draw(st.sampled_from(_HEADERS)), draw(st.sampled_from(_HEADER_VALUES)))
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2])))
    ]
    body = draw(spoilt(sound)) if method in ("POST", "PUT", "PATCH") or not draw(st.integers(0, 9)) else b""
    if template.endswith("_search") and draw(st.booleans()):
        headers = [*headers, ("content-type", b"application/x-www-form-urlencoded")]
        body = urlencode(pairs, errors="surrogatepass").encode()
    return Sent(method, f"{path}?{query}" if query else path, tuple(headers), body)


def _fitting(template: str) -> list[dict[str, Any]]:
    """The documents that an address takes: the base Bundles, an operation Parameters, others resources."""
    wanted = "Bundle" if template in ("/fhir", "/fhir/") else "Parameters"
    if "$" not in template and wanted != "Bundle":
        return DOCUMENTS
    fitting = [one for one in DOCUMENTS if one["resourceType"] == wanted]
    declared = set(_BY_PATH.get(template, ()))
    taken = [one for one in fitting if {part["name"] for part in one.get("parameter", ())} <= declared]
    return taken or fitting


_SUBJECTS: Final = [
    "Patient/two",
    "Patient/kept",
    "Group/pair",
    "Group/loop",
    "Practitioner/dr",
    *_TEXTS[:14],
]
_QUERIES: Final = [
    "&&&",
    "=",
    "a=b=c",
    "%",
    "%ff=%fe",
    "a;b",
    "?",
    "_count",
    "_id=%00",
    "name=%ED%A0%80",
    "%zz=1",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("fuzzed")
    chosen = Settings(data_folder=folder, wait_seconds=5, _env_file=None)  # type: ignore[call-arg]
    for client in start(chosen):
        put(
            client,
            {"resourceType": "Practitioner", "id": "dr"},
            {"resourceType": "Organization", "id": "org"},
        )
        put(client, *patient("two", generalPractitioner=[{"reference": "Practitioner/dr"}]))
        put(client, *patient("kept"))
        # A group that is its own member.
        loop = group("loop", "two")
        loop["member"].append({"entity": {"reference": "Group/loop"}})
        put(client, group("pair", "two", "kept"), loop)
        yield client


def ask(client: TestClient, sent: Sent) -> httpx.Response:
    """The answer to a request; a fault of the program is raised."""
    headers = [(name.encode(), value) for name, value in sent.headers]
    if sent.body and not any(name == "content-type" for name, _ in sent.headers):
        headers.append((b"content-type", b"application/fhir+json"))
    request = client.build_request(sent.method, sent.url, headers=headers, content=sent.body)  # type: ignore[arg-type]
    return client.send(request, follow_redirects=False)


def check(answer: httpx.Response) -> None:
    """What every answer has to be, whatever was asked."""
    assert answer.status_code not in (500, 504), answer.text
    assert not _LEAKS.search(answer.text) or answer.status_code < 400, answer.text
    assert answer.headers["x-request-id"]
    if answer.status_code >= 400 and not _is_judgement(answer):
        outcome = answer.json()
        assert outcome["resourceType"] == "OperationOutcome"
        for issue in outcome["issue"]:
            assert issue["severity"] in ("fatal", "error", "warning", "information")
            assert issue["code"] in _CODES, issue
            assert issue["details"]["text"] or issue["diagnostics"]


def _is_judgement(answer: httpx.Response) -> bool:
    """Whether it tells what is wrong with a file that was sent to be judged, which is what was asked."""
    return answer.status_code == 422 and answer.request.url.path.startswith(("/qrda/", "/qpp/"))


_CODES: Final = frozenset(
    {
        "invalid", "structure", "required", "value", "invariant", "security", "login", "unknown",
        "expired", "forbidden", "suppressed", "processing", "not-supported", "duplicate",
        "multiple-matches", "not-found", "deleted", "too-long", "code-invalid", "extension", "too-costly",
        "business-rule", "conflict", "transient", "lock-error", "no-store", "exception", "timeout",
        "incomplete", "throttled", "informational",
    }
)  # fmt: skip
"""FHIR's issue types."""


class StepLog:
    """What the worker says: a step that fails by a fault of the program is kept."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def info(self, *_: object, **__: object) -> None:
        """A step that was done."""

    def warning(self, *_: object, **__: object) -> None:
        """A job that failed by what its requester can mend."""

    def exception(self, *_: object, **said: object) -> None:
        """A step that broke."""
        self.failed.append(f"{said}: {traceback.format_exc()}")


_known: Final = {"until": 0.0, "sent": 0}
_faults: Final[list[Sent]] = []


@pytest.mark.fuzz
def test_no_request_breaks_the_server(served: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = StepLog()
    monkeypatch.setattr(worker, "_log", steps)
    addresses = routes(served)
    _known["until"] = time.monotonic() + SECONDS

    @given(sent=requests(addresses))
    @settings(
        max_examples=max(200, round(60 * SECONDS)),
        deadline=None,
        database=None,
        derandomize=SEED is None,
        suppress_health_check=list(HealthCheck),
    )
    def no_request(sent: Sent) -> None:
        # Once a fault is found it is made smaller, however long that takes.
        if time.monotonic() > _known["until"] and _known["sent"] >= FEWEST and not _faults:
            return
        _known["sent"] += 1
        try:
            check(ask(served, sent))
        except BaseException:
            _faults.append(sent)
            raise

    (seed(int(SEED))(no_request) if SEED is not None else no_request)()
    assert _known["sent"] >= FEWEST
    print(f"{_known['sent']} requests to {len(addresses)} routes")
    assert not steps.failed, steps.failed


def test_the_store_stands_after_all_that(served: TestClient) -> None:
    """What no request named is as it was, and what is there can be read, searched and computed with."""
    kept = patient("kept")
    for resource in kept:
        answer = served.get(f"/fhir/{resource['resourceType']}/{resource['id']}")
        assert answer.status_code == 200
        stored = answer.json()
        assert {name: value for name, value in stored.items() if name != "meta"} == resource
    found = served.get("/fhir/Observation", params={"patient": "kept"}).json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["kept-a1c"]
    asked = {**YEAR, "subject": "Patient/kept"}
    report = served.get(f"/fhir/Measure/{DIABETES}/$evaluate-measure", params=asked)
    assert report.status_code == 200, report.text
    assert report.json()["subject"]["reference"] == "Patient/kept"
    assert served.get("/ready").status_code == 200


def test_content_of_a_wrong_shape_is_refused_and_evaluation_goes_on(served: TestClient) -> None:
    """One measure that cannot be loaded would stop them all."""
    for wrong, where in (
        ({"resourceType": "Measure", "url": ["http://x.example/m"]}, "Measure.url"),
        ({"resourceType": "Library", "content": "x"}, "Library.content"),
        ({"resourceType": "ValueSet", "expansion": "x"}, "ValueSet.expansion"),
        ({"resourceType": "CodeSystem", "concept": [{"concept": "x"}]}, "CodeSystem.concept[0].concept"),
    ):
        refused = served.put(f"/fhir/{wrong['resourceType']}/wrong", json={**wrong, "id": "wrong"})
        assert refused.status_code == 400, refused.text
        assert refused.json()["issue"][0]["expression"] == [where]
    asked = {**YEAR, "subject": "Patient/kept"}
    assert served.get(f"/fhir/Measure/{DIABETES}/$evaluate-measure", params=asked).status_code == 200
