"""Content comes from files, packages and servers; its versions stand side by side, and reports name them."""

from __future__ import annotations

import base64
import gzip
import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from over_http import serving
from served import YEAR, issue, start

from measurewise.api.services.provenance import COMPUTED_WITH
from measurewise.api.settings import Settings
from measurewise.cli.app import run
from measurewise.cql_libraries import library_resources, measure_resources
from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.terminology.canonical import VSAC_VALUE_SET
from measurewise.store.resources import parse
from measurewise.synthetic import synthesize
from measurewise.valuesets import value_set_resources

DIABETES = "DiabetesGlycemicControl"
KEY = "a-umls-key"


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(data_folder=folder, _env_file=None, **more)  # type: ignore[call-arg]


def shipped_measure(name: str) -> dict[str, Any]:
    return next(measure for measure in measure_resources() if measure["name"] == name)


def shipped() -> list[dict[str, Any]]:
    return [dict(one) for one in (*value_set_resources(), *library_resources(), *measure_resources())]


def manifest(report: dict[str, Any]) -> dict[str, str]:
    """What a report says that it was computed with: label (or type) by canonical."""
    (extension,) = [one for one in report["extension"] if one["url"] == COMPUTED_WITH]
    identity = extension["valueReference"]["reference"].removeprefix("#")
    (library,) = [one for one in report["contained"] if one["id"] == identity]
    assert library["type"]["coding"][0]["code"] == "asset-collection"
    return {one["resource"]: one.get("label", one["type"]) for one in library["relatedArtifact"]}


def counts(report: dict[str, Any]) -> list[tuple[str, int]]:
    return [
        (population["code"]["coding"][0]["code"], population["count"])
        for group in report["group"]
        for population in group["population"]
        if "count" in population
    ]


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    # A server of the same test logs to stdout, too.
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_the_official_package_is_added_and_an_official_case_comes_out_as_expected(
    ecqm_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = [str(ecqm_dir / name) for name in ("measures", "libraries", "valuesets.ndjson.gz")]
    assert run(["content", "add", *sources, "--data-folder", str(tmp_path), "--json"]) == 0
    added = told(capsys)
    kinds = [one["type"] for one in added["added"]]
    assert [kinds.count(kind) for kind in ("Measure", "Library", "ValueSet")] == [43, 70, 542]
    assert added["created"] == 655
    assert run(["content", "add", *sources, "--data-folder", str(tmp_path), "--json"]) == 0
    assert told(capsys)["unchanged"] == 655

    measure = "CMS122FHIRDiabetesAssessGreaterThan9Percent"
    with gzip.open(ecqm_dir / "cases" / f"{measure}.ndjson.gz") as lines:
        cases = [parse(line) for line in lines]
    numerators = 0
    for client in start(settings(tmp_path)):
        for case in cases[:12]:
            entries = [
                {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
                for one in case["resources"]
            ]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            answer = client.post("/fhir", content=to_json(bundle))
            assert answer.status_code == 200, answer.text
            (patient,) = [one["id"] for one in case["resources"] if one["resourceType"] == "Patient"]
            expected = case["expected"][0]
            period = {"periodStart": expected["period"]["start"], "periodEnd": expected["period"]["end"]}
            answer = client.get(
                f"/fhir/Measure/{measure}/$evaluate-measure", params={**period, "subject": patient}
            )
            assert answer.status_code == 200, answer.text
            report = answer.json()
            assert counts(report) == counts(expected), case["description"]
            numerators += dict(counts(report))["numerator"]
        made_with = manifest(report)
        resource = client.get(f"/fhir/Measure/{measure}").json()
    assert 0 < numerators < 12
    assert made_with[f"{resource['url']}|{resource['version']}"] == "composed-of"
    assert made_with[f"{resource['library'][0]}|{resource['version']}"] == "depends-on"
    value_sets = {canonical: label for canonical, label in made_with.items() if "/ValueSet/" in canonical}
    assert len(value_sets) > 10
    assert all("|" in canonical for canonical in value_sets)
    assert all(label.startswith("expansion ") for label in value_sets.values())
    assert any(label.startswith("expansion urn:uuid:") for label in value_sets.values())


def test_versions_of_a_measure_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = shipped_measure(DIABETES)
    second = {**first, "version": "99.0.0", "title": "The next one"}
    second["library"] = [f"{first['library'][0].partition('|')[0]}|{first['version']}"]
    file = tmp_path / "next.json"
    file.write_text(json.dumps(second))
    for client in start(settings(tmp_path)):
        assert run(["content", "add", str(file), "--data-folder", str(tmp_path), "--json"]) == 0
        (added,) = told(capsys)["added"]
        assert added["id"] == f"{DIABETES}-99.0.0"
        assert client.get(f"/fhir/Measure/{first['id']}").json()["version"] == first["version"]
        for asked, version in (
            (f"{DIABETES}|{first['version']}", first["version"]),
            (f"{first['url']}|99.0.0", "99.0.0"),
            (first["url"], "99.0.0"),
            (added["id"], "99.0.0"),
        ):
            answer = client.get("/fhir/Measure/$evaluate-measure", params={**YEAR, "measure": asked})
            assert answer.status_code == 200, answer.text
            report = answer.json()
            assert report["measure"] == f"{first['url']}|{version}"
            assert manifest(report)[report["measure"]] == "composed-of"
        listed = run(["content", "list", "--data-folder", str(tmp_path), "--json"])
        assert listed == 0
        versions = [one["version"] for one in told(capsys)["content"] if one["name"] == DIABETES]
        assert versions == [first["version"], "99.0.0"]
        # Which one is to go must be said.
        assert run(["content", "remove", DIABETES, "--data-folder", str(tmp_path)]) == 2
        assert "99.0.0" in capsys.readouterr().err
        assert run(["content", "remove", f"{DIABETES}|99.0.0", "--data-folder", str(tmp_path)]) == 0
        answer = client.get("/fhir/Measure/$evaluate-measure", params={**YEAR, "measure": first["url"]})
        assert answer.json()["measure"] == f"{first['url']}|{first['version']}"


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def bundle(resources: list[dict[str, Any]]) -> bytes:
    return to_json(
        {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": one} for one in resources]}
    )


def lines(resources: list[dict[str, Any]]) -> bytes:
    return b"\n".join(map(to_json, resources))


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[TestClient]:
    """A server without any content."""
    yield from start(settings(tmp_path, shipped_content=False))


@pytest.mark.parametrize("form", ["bundle", "ndjson", "zip", "multipart"])
def test_content_is_taken_in_over_http(bare: TestClient, form: str) -> None:
    everything = shipped()
    measures = [one for one in everything if one["resourceType"] == "Measure"]
    others = [one for one in everything if one["resourceType"] != "Measure"]
    match form:
        case "bundle":
            headers = {"Content-Type": "application/fhir+json"}
            answer = bare.post("/content", content=bundle(everything), headers=headers)
        case "ndjson":
            headers = {"Content-Type": "application/fhir+ndjson"}
            answer = bare.post("/content", content=lines(everything), headers=headers)
        case "zip":
            package = zipped(
                **{
                    f"{DIABETES}-v1-FHIR.json": bundle(everything),
                    "cql/Other.cql": b"library Other version '1'",
                }
            )
            answer = bare.post("/content", content=package, headers={"Content-Type": "application/zip"})
        case _:
            files = [
                ("file", ("measures.ndjson", lines(measures), "application/x-ndjson")),
                ("file", ("rest.zip", zipped(**{"rest.json": bundle(others)}), "application/zip")),
            ]
            answer = bare.post("/content", files=files)
    assert answer.status_code == 200, answer.text
    first = issue(answer)
    count = len(everything) + (form == "zip")
    assert first["details"]["text"] == f"{count} resources: {count} new, 0 changed, 0 as they were."
    assert not [one for one in answer.json()["issue"] if one["severity"] == "warning"]
    report = bare.get("/fhir/Measure/$evaluate-measure", params={**YEAR, "measure": DIABETES})
    assert report.status_code == 200, report.text


def test_content_that_cannot_be_read_is_refused_and_nothing_is_kept(bare: TestClient) -> None:
    for body, kind, status in (
        (b"<Measure/>", "application/fhir+xml", 415),
        (b'{"resourceType":"Patient","id":"p"}', "application/fhir+json", None),
        (lines(shipped()) + b'\n{"resourceType":"Measure",', "application/fhir+ndjson", None),
        (b"no archive", "application/zip", None),
        (b'{"resourceType":"Measure","url":5}', "application/fhir+json", None),
    ):
        answer = bare.post("/content", content=body, headers={"Content-Type": kind})
        assert 400 <= answer.status_code < 500, (kind, answer.text)
        assert status is None or answer.status_code == status
        assert issue(answer)["severity"] == "error"
        assert bare.get("/fhir/Library?_summary=count").json()["total"] == 0
    received = bare.app.state.services.settings.data_folder / "received"  # type: ignore[attr-defined]
    assert list(received.iterdir()) == []


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large.json", b" " * 5_000_000)
    headers = {"Content-Type": "application/zip"}
    for client in start(settings(tmp_path, largest_body=1_000_000, shipped_content=False)):
        answer = client.post("/content", content=package.getvalue(), headers=headers)
        assert answer.status_code == 413
        assert "5,000,000" in issue(answer)["details"]["text"]


def test_a_measure_without_its_library_is_told_of(bare: TestClient) -> None:
    measure = shipped_measure(DIABETES)
    headers = {"Content-Type": "application/fhir+json"}
    answer = bare.post("/content", content=to_json(measure), headers=headers)
    assert answer.status_code == 200
    (warning,) = [one for one in answer.json()["issue"] if one["severity"] == "warning"]
    assert measure["library"][0].partition("|")[0] in warning["details"]["text"]


def test_a_folder_with_cql_beside_its_library_is_added_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from measurewise import cql_libraries, valuesets

    folders = [str(cql_libraries.FOLDER), str(valuesets.FOLDER)]
    assert run(["content", "add", *folders, "--data-folder", str(tmp_path)]) == 0
    for client in start(settings(tmp_path, shipped_content=False)):
        for measure in measure_resources():
            answer = client.get(f"/fhir/Measure/{measure['id']}/$evaluate-measure", params=YEAR)
            assert answer.status_code == 200, answer.text


def test_a_measure_comes_from_another_server_with_all_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "target"
    with serving(settings(tmp_path / "source")) as source:
        add = ["content", "add", source.base, "--data-folder", str(target)]
        status = run([*add, "--measure", DIABETES, "--json"])
        added = told(capsys)
        assert added["remarks"] == []
        assert status == 0
        assert [one["name"] for one in added["added"] if one["type"] == "Measure"] == [DIABETES]
        assert run([*add, "--measure", "Nonsense"]) == 2
        assert "no measure 'Nonsense'" in capsys.readouterr().err
        assert run(add) == 2
    made = [entry["resource"] for one in synthesize(30, 3, 2026) for entry in one["entry"]]
    found = []
    for folder in (tmp_path / "source", target):
        for client in start(settings(folder, shipped_content=False)):
            headers = {"Content-Type": "application/fhir+ndjson"}
            answer = client.post("/fhir/$import", content=lines(made), headers=headers)
            while client.get(answer.headers["Content-Location"]).status_code == 202:
                pass
            found.append(client.get(f"/fhir/Measure/{DIABETES}/$evaluate-measure", params=YEAR).json())
    assert counts(found[0]) == counts(found[1])
    assert dict(counts(found[0]))["initial-population"] > 0
    assert manifest(found[0]) == manifest(found[1])


class Terminology(http.server.BaseHTTPRequestHandler):
    """A double of VSAC: pages of 1,000 codes at most, for those who know the key; and its older service."""

    codes = 2345
    grows = False

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(address.query).items()}
        expected = base64.b64encode(f"apikey:{KEY}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            self._answer(401, "application/fhir+json", b'{"resourceType":"OperationOutcome","issue":[]}')
        elif address.path == "/svs/RetrieveMultipleValueSets":
            self._answer(200, "text/xml", SVS.replace(b"OID", asked["id"].encode()))
        elif asked.get("url") != f"{VSAC_VALUE_SET}1.2.3":
            self._answer(404, "application/fhir+json", b'{"resourceType":"OperationOutcome","issue":[]}')
        else:
            self._expand(int(asked["offset"]), min(int(asked["count"]), 1000), asked.get("valueSetVersion"))

    def _expand(self, offset: int, count: int, version: str | None) -> None:
        contains = [
            {"system": "http://snomed.info/sct", "code": str(code)}
            for code in range(offset, min(offset + count, self.codes))
        ]
        total = self.codes + (offset if self.grows else 0)
        expansion = {"identifier": "urn:uuid:e", "timestamp": "2026-01-01", "total": total, "offset": offset}
        value_set = {
            "resourceType": "ValueSet", "id": "1.2.3", "url": f"{VSAC_VALUE_SET}1.2.3", "status": "active",
            "version": version or "20260101", "expansion": {**expansion, "contains": contains},
        }  # fmt: skip
        self._answer(200, "application/fhir+json", json.dumps(value_set).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


SVS = b"""<?xml version="1.0" encoding="UTF-8"?>
<ns0:RetrieveMultipleValueSetsResponse xmlns:ns0="urn:ihe:iti:svs:2008">
  <ns0:DescribedValueSet ID="OID" displayName="Some visits" version="20250101">
    <ns0:ConceptList>
      <ns0:Concept code="99213" codeSystem="2.16.840.1.113883.6.12" codeSystemName="CPT"
        codeSystemVersion="2025" displayName="Office visit"/>
      <ns0:Concept code="185349003" codeSystem="2.16.840.1.113883.6.96" codeSystemName="SNOMEDCT"
        codeSystemVersion="2024-09" displayName="Encounter for check up"/>
    </ns0:ConceptList>
    <ns0:RevisionDate>2025-01-01</ns0:RevisionDate>
  </ns0:DescribedValueSet>
</ns0:RetrieveMultipleValueSetsResponse>"""


@pytest.fixture
def vsac(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Terminology)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("UMLS_API_KEY", KEY)
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def test_value_sets_come_page_by_page_from_a_terminology_server(
    vsac: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = ["content", "value-sets", "--from", f"{vsac}/fhir", "--data-folder", str(tmp_path), "1.2.3"]
    assert run([*fetch, "--json"]) == 0
    (added,) = told(capsys)["added"]
    assert added["version"] == "20260101"
    for client in start(settings(tmp_path, shipped_content=False)):
        value_set = client.get(f"/fhir/ValueSet/{added['id']}").json()
        codes = [member["code"] for member in value_set["expansion"]["contains"]]
        assert codes == [str(code) for code in range(2345)]
        assert value_set["expansion"]["total"] == 2345
        assert "offset" not in value_set["expansion"]
    # One that is not there is told of, the others are added.
    assert run([*fetch, "9.9.9", "--json"]) == 1
    assert "9.9.9" in told(capsys)["remarks"][0]
    # Pages of an expansion that changes meanwhile are no expansion.
    monkeypatch.setattr(Terminology, "grows", True)
    assert run(fetch) == 2
    assert "changed while its pages were read" in capsys.readouterr().err
    monkeypatch.setenv("UMLS_API_KEY", "wrong")
    assert run(fetch) == 2
    said = capsys.readouterr()
    assert "401" in said.err
    assert "wrong" not in said.err + said.out
    monkeypatch.delenv("UMLS_API_KEY")
    assert run(["content", "value-sets", "--data-folder", str(tmp_path), "1.2.3"]) == 2
    assert "UMLS_API_KEY" in capsys.readouterr().err


def test_value_sets_come_from_the_older_service(
    vsac: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch = ["content", "value-sets", "--from", f"{vsac}/svs", "--data-folder", str(tmp_path)]
    assert run([*fetch, "2.16.840.1.113883.3.464.1003.101.12.1001", "--json"]) == 0
    (added,) = told(capsys)["added"]
    assert added["url"] == f"{VSAC_VALUE_SET}2.16.840.1.113883.3.464.1003.101.12.1001"
    for client in start(settings(tmp_path, shipped_content=False)):
        contains = client.get(f"/fhir/ValueSet/{added['id']}").json()["expansion"]["contains"]
    assert [(one["system"], one["code"]) for one in contains] == [
        ("http://www.ama-assn.org/go/cpt", "99213"),
        ("http://snomed.info/sct", "185349003"),
    ]


def test_the_value_sets_that_are_missing_are_found_by_themselves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "content.json"
    file.write_bytes(bundle([one for one in shipped() if one["resourceType"] != "ValueSet"]))
    target = tmp_path / "target"
    assert run(["content", "add", str(file), "--data-folder", str(target)]) == 0
    capsys.readouterr()
    with serving(settings(tmp_path / "source")) as source:
        fetch = ["content", "value-sets", "--from", source.base, "--data-folder", str(target)]
        assert run([*fetch, "--json"]) == 0
        assert len(told(capsys)["added"]) > 3
        assert run(fetch) == 0
        assert "is there" in capsys.readouterr().out
    for client in start(settings(target, shipped_content=False)):
        answer = client.get(f"/fhir/Measure/{DIABETES}/$evaluate-measure", params=YEAR)
        assert answer.status_code == 200, answer.text


def test_the_store_is_made_checked_and_tidied_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data-folder", str(tmp_path)]
    assert run(["store", "check", *where]) == 2
    assert "measurewise store migrate" in capsys.readouterr().err
    assert run(["store", "migrate", *where]) == 0
    assert run(["store", "check", *where]) == 0
    file = tmp_path / "measurewise.db"
    for client in start(settings(tmp_path)):
        assert client.get("/fhir/Measure?_summary=count").json()["total"] > 0
    assert run(["store", "vacuum", *where]) == 0
    assert run(["store", "check", *where]) == 0
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 40_000] = b"\xff" * 40_000
    file.write_bytes(data)
    assert run(["store", "check", *where]) == 2
    said = capsys.readouterr().err
    assert "damaged" in said or "malformed" in said
