"""Files of registries over HTTP: judged, converted, imported, merged; hostile ones refused."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import struct
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cms_pairs import cms_pairs
from fastapi.testclient import TestClient
from served import issue, start
from shared_inputs import shared as shared_input

sys.path.insert(0, str(Path(__file__).parent / "security"))
from outside_issuer import AUDIENCE, BASE, ISSUER, Clock, OutsideIssuer

from measurewise.api.services.qrda import Processes, end_processes
from measurewise.api.settings import Settings
from measurewise.qrda.category1.document import MeasureReference, write_document
from measurewise.qrda.category1.document import Settings as DocumentSettings
from measurewise.qrda.validation.sources import Source
from measurewise.qrda.validation.workers import Ended

XML = {"content-type": "application/xml"}
ZIP = {"content-type": "application/zip"}
ADDRESSES = (
    "qrda/3/validate", "qrda/3/convert", "qrda/1/validate", "qrda/1/import", "qpp/convert", "qpp/validate",
    "qpp/merge",
)  # fmt: skip


@pytest.fixture(scope="module")
def qrda() -> Path:
    """The folder of CMS's and HL7's files."""
    return shared_input("qrda")


@pytest.fixture(scope="module")
def pairs() -> dict[str, bytes]:
    """CMS's collection: reports, and what its tool answers."""
    return cms_pairs()


def of_2025(pairs: dict[str, bytes]) -> list[dict[str, Any]]:
    return [one for one in json.loads(pairs["manifest.json"]) if one["performanceYear"] == 2025]


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def received(client: TestClient) -> list[Path]:
    """What of the requests' files is still on disk."""
    folder: Path = client.app.state.services.settings.data_folder  # type: ignore[attr-defined]
    return [file for kind in ("received", "imports") for file in (folder / kind).rglob("*") if file.is_file()]


def test_a_report_is_held_to_schema_schematron_and_conversion_rules(
    client: TestClient, qrda: Path, pairs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    end_processes()
    monkeypatch.setenv("MEASUREWISE_SCHEMATRON_FOLDER", str(qrda))
    monkeypatch.setenv("MEASUREWISE_SCHEMA_FOLDER", str(qrda / "xsd"))
    sample = (qrda / "category3" / "samples" / "2025MIPSGroupSampleQRDA-III-v1.0.xml").read_bytes()
    answer = client.post("/qrda/3/validate", content=sample, headers=XML)
    assert answer.status_code == 200
    told = answer.json()
    assert told["status"] == "ERR"
    assert told["notChecked"] == []
    # The sample is of another version of the guide than the schematron.
    assert {"schematron", "conversion"} <= {one["stage"] for one in told["findings"]}
    assert all(one["mend"] and one["line"] for one in told["findings"])

    refused = next(one for one in of_2025(pairs) if one["status"] != "OK")
    as_csv = client.post(
        "/qrda/3/validate",
        content=pairs[refused["file"]],
        headers={**XML, "accept": "text/csv", "content-disposition": 'attachment; filename="ours.xml"'},
    )
    assert as_csv.headers["content-type"].startswith("text/csv")
    header, *rows = csv.reader(io.StringIO(as_csv.text))
    assert header == ["File No", "Size", "Timestamp", "Status", "Message"]
    as_json = client.post("/qrda/3/validate", content=pairs[refused["file"]], headers=XML).json()
    assert len(rows) == len(as_json["findings"]) > 0
    assert {row[0] for row in rows} == {"1"}
    assert {int(row[1]) for row in rows} == {len(pairs[refused["file"]])}
    assert {row[3] for row in rows} == {"ERR"}
    assert all(row[4].startswith("ours.xml: ") for row in rows)

    patient = (qrda / "category1" / "samples" / "2026-CMS-QRDA-I-v1.0-Sample-File.xml").read_bytes()
    assert client.post("/qrda/1/validate", content=patient, headers=XML).json()["status"] == "OK"
    spoilt = patient.replace(b"<recordTarget>", b"<recordTarget><spoilt/>", 1)
    told = client.post("/qrda/1/validate", content=spoilt, headers=XML).json()
    assert told["status"] == "ERR"
    assert told["findings"][0]["stage"] == "schema"
    end_processes()


def test_without_the_rules_the_answer_says_what_was_not_checked(
    client: TestClient, pairs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    end_processes()
    monkeypatch.delenv("MEASUREWISE_SCHEMATRON_FOLDER", raising=False)
    monkeypatch.delenv("MEASUREWISE_SCHEMA_FOLDER", raising=False)
    taken = next(one for one in of_2025(pairs) if one["status"] == "OK")
    told = client.post("/qrda/3/validate", content=pairs[taken["file"]], headers=XML).json()
    assert {one["stage"] for one in told["notChecked"]} == {"schema", "schematron"}


def test_an_archive_of_reports_is_converted_as_cms_does(client: TestClient, pairs: dict[str, bytes]) -> None:
    chosen = of_2025(pairs)[:60]
    archive = zipped({one["file"]: pairs[one["file"]] for one in chosen})
    answer = client.post("/qrda/3/convert", content=archive, headers=ZIP)
    assert answer.status_code == 200, answer.text
    by_name = {one["file"]: one for one in answer.json()["files"]}
    assert len(by_name) == 60
    converted = 0
    for one in chosen:
        told = by_name[one["file"]]
        assert set(told) >= {"status", "codes", "errors", "qpp"}
        assert told["cmsStatus"] == one["status"], one["file"]
        assert sorted(told["cmsCodes"]) == sorted(int(code) for code in one["codes"])
        if one["status"] == "OK":
            assert told["qpp"] == json.loads(pairs[one["file"].replace(".xml", ".qpp.json")])
            converted += 1
    assert converted > 5
    assert received(client) == []


BOMB = b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %s "%s">' % (bytes([98 + level]), b"&%s;" % bytes([97 + level]) * 10) for level in range(9)
)


@pytest.mark.parametrize(
    "body",
    [
        BOMB + b"]><r>&j;</r>",
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
        b"<a>" * 150 + b"</a>" * 150,
        b'<?xml version="1.0" encoding="UTF-8"?><a>\xff\xfe\xe9</a>',
        b'<?xml version="1.0" encoding="UTF-7"?><a/>',
        b"<r>" + b"<a/>" * 2_000_000 + b"</r>",
        b"no xml",
        b"",
    ],
    ids=["entities", "external", "deep", "bytes", "encoding", "elements", "text", "nothing"],
)
@pytest.mark.parametrize("path", ["qrda/3/convert", "qrda/3/validate", "qrda/1/validate", "qrda/1/import"])
def test_hostile_xml_is_answered_with_422_and_a_reason(shared: TestClient, path: str, body: bytes) -> None:
    answer = shared.post(f"/{path}", content=body, headers=XML)
    assert answer.status_code == 422, answer.text
    told = answer.json()
    assert told["status"] == "ERR"
    assert "root:" not in answer.text
    (wrong,) = told.get("errors") or told.get("findings") or told["notRead"]
    assert wrong.get("message") or wrong["error"]
    assert wrong["mend"]
    if path.startswith("qrda/3"):
        assert told["codes"] == [2]
    assert received(shared) == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A server that keeps nothing of what is asked here."""
    folder = tmp_path_factory.mktemp("registry")
    yield from start(Settings(data_folder=folder, largest_body=20_000_000, _env_file=None))  # type: ignore[call-arg]


def lying_zip() -> bytes:
    """An archive that says it unpacks to a few bytes, and has millions."""
    data = bytearray(zipped({"report.xml": b"<a>" + b"0" * 5_000_000 + b"</a>"}))
    central = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 100)
    return bytes(data)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (zipped({"bomb.xml": b"<a>" + b"0" * 60_000_000 + b"</a>"}), 413, "unpacks to"),
        (zipped({f"{n}.xml": bytes(40_000_000) for n in range(3)}), 413, "unpacks to"),
        (b"PK\x03\x04 and nothing more", 400, "cannot be read"),
        (zipped({"readme.txt": b"none"}), 400, "no .xml file"),
        (os.urandom(20_000_001), 413, "larger than"),
    ],
    ids=["bomb", "bombs", "torn", "empty", "large"],
)
def test_archives_that_do_harm_are_refused(shared: TestClient, body: bytes, status: int, said: str) -> None:
    answer = shared.post("/qrda/3/validate", content=body, headers=ZIP)
    assert answer.status_code == status, answer.text
    assert said in issue(answer)["details"]["text"]
    assert received(shared) == []


def test_an_archive_that_lies_about_its_sizes_is_read_no_further(shared: TestClient) -> None:
    answer = shared.post("/qrda/3/convert", content=lying_zip(), headers=ZIP)
    assert answer.status_code == 200
    (told,) = answer.json()["files"]
    assert (told["status"], told["codes"]) == ("ERR", [2])


def test_two_files_of_one_name_are_refused(shared: TestClient) -> None:
    twice = zipped({"a.xml": b"<a/>", "b.xml": b"<b/>"}).replace(b"b.xml", b"a.xml")
    answer = shared.post("/qrda/1/import", content=twice, headers=ZIP)
    assert answer.status_code == 400
    assert "two files of one name" in issue(answer)["details"]["text"]


def test_other_bodies_are_not_taken(shared: TestClient) -> None:
    for path in ("qrda/3/validate", "qrda/1/import"):
        assert shared.post(f"/{path}", json={}).status_code == 415
    assert shared.post("/qpp/merge", content=b"<a/>", headers=XML).status_code == 415
    assert shared.post("/qpp/validate", content=b"[", headers={"content-type": "application/json"}
                       ).status_code == 400  # fmt: skip


def _sleep(_: Source) -> None:
    time.sleep(60)


def test_a_file_that_takes_too_long_is_given_up_and_the_process_with_it() -> None:
    processes = Processes(1, time_limit=0.5)
    try:
        found = processes.one(_sleep, Source(Path("x"), None, 0))
        assert found == Ended("time")
        # The next one has a process again.
        assert processes.one(_sleep, Source(Path("x"), None, 0)) == Ended("time")
    finally:
        processes.close()


def person(family: str, identity: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": identity,
        "name": [{"family": family, "given": ["Ada"]}],
        "gender": "female",
        "birthDate": "1970-01-02",
        **more,
    }


def condition(identity: str, patient: str, code: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": identity,
        "subject": {"reference": f"Patient/{patient}"},
        "clinicalStatus": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
            ]
        },
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/condition-category",
                        "code": "problem-list-item",
                    }
                ]
            }
        ],
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": code}]},
        "onsetDateTime": "2025-03-01",
    }


def document(source: str, *resources: dict[str, Any]) -> bytes:
    """A QRDA I document as another system would write it."""
    settings = DocumentSettings(
        measures=(MeasureReference("65c8fea2-95e8-434e-8fd0-9450717430d9", "Diabetes"),),
        period=("2025-01-01", "2025-12-31"),
        created="2026-01-02T08:00:00+00:00",
        source=source,
    )
    return write_document(resources, settings).data


def test_official_samples_are_imported_with_a_list_of_what_could_not_be_mapped(
    client: TestClient, qrda: Path
) -> None:
    files = {path.name: path.read_bytes() for path in (qrda / "category1" / "samples").glob("*.xml")}
    answer = client.post("/qrda/1/import", content=zipped(files), headers=ZIP)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["notRead"] == []
    (patient,) = told["patients"]
    assert sorted(patient["documents"]) == sorted(files)
    assert patient["created"] == sum(patient["resources"].values()) > 40
    assert all(one["document"] in files and one["path"] and one["reason"] for one in patient["notMapped"])
    assert patient["notMapped"]
    stored = client.get(f"/fhir/{patient['patient']}/$everything").json()
    assert len(stored["entry"]) == patient["created"]
    again = client.post("/qrda/1/import", content=zipped(files), headers=ZIP).json()["patients"][0]
    assert (again["patient"], again["created"], again["updated"]) == (patient["patient"], 0, 0)


def test_one_patient_from_two_systems_is_one_and_namesakes_by_id_are_two(client: TestClient) -> None:
    number = {"identifier": [{"system": "http://hl7.org/fhir/sid/us-mbi", "value": "1EG4TE5MK73"}]}
    first = document("https://one.example", person("Byron", "1", **number), condition("c", "1", "44054006"))
    second = document(
        "https://two.example", person("Lovelace", "9", **number), condition("d", "9", "59621000")
    )
    other = document(
        "https://three.example",
        person("Hopper", "1", birthDate="1906-12-09"),
        condition("c", "1", "73211009"),
    )
    imported = [
        client.post("/qrda/1/import", content=body, headers=XML).json()["patients"][0]
        for body in (first, second, other)
    ]
    assert imported[0]["patient"] == imported[1]["patient"] == "Patient/1"
    assert "shares identity" in imported[1]["notices"][0]
    elsewhere = imported[2]["patient"]
    assert elsewhere != "Patient/1"
    codes = {
        patient: sorted(
            entry["resource"]["code"]["coding"][0]["code"]
            for entry in client.get("/fhir/Condition", params={"subject": patient}).json().get("entry", ())
        )
        for patient in ("Patient/1", elsewhere)
    }
    assert codes == {"Patient/1": ["44054006", "59621000"], elsewhere: ["73211009"]}
    # Sent again, everybody is found where they are.
    for body, before in zip((first, second, other), imported, strict=True):
        again = client.post("/qrda/1/import", content=body, headers=XML).json()["patients"][0]
        assert (again["patient"], again["created"]) == (before["patient"], 0)


def test_a_large_archive_is_imported_by_a_job(client: TestClient) -> None:
    files = {
        f"{n:03}.xml": document(
            "https://one.example", person(f"Name{n}", f"p{n}"), condition(f"c{n}", f"p{n}", "44054006")
        )
        for n in range(60)
    }
    # A second document of the first patient, far from the first.
    files["zzz.xml"] = document(
        "https://one.example", person("Name0", "p0"), condition("more", "p0", "59621000")
    )
    files["torn.xml"] = files["001.xml"][:500]
    waited = client.post("/qrda/1/import", content=zipped(files), headers=ZIP)
    assert waited.status_code == 200, waited.text
    told = waited.json()
    assert len(told["patients"]) == 60
    assert [one["document"] for one in told["notRead"]] == ["torn.xml"]
    assert told["status"] == "ERR"
    both = next(one for one in told["patients"] if one["patient"] == "Patient/p0")
    assert both["documents"] == ["000.xml", "zzz.xml"]
    assert both["resources"]["Condition"] == 2
    later = client.post("/qrda/1/import", content=zipped(files), headers={**ZIP, "prefer": "respond-async"})
    assert later.status_code == 202
    where = later.headers["content-location"]
    until = time.monotonic() + 60
    while (answer := client.get(where)).status_code == 202 and time.monotonic() < until:
        time.sleep(0.2)
    assert sum(one["created"] + one["updated"] for one in answer.json()["patients"]) == 0
    assert client.get("/fhir/Patient", params={"_summary": "count"}).json()["total"] == 60
    assert received(client) == []


def result(client: TestClient, accepted: httpx.Response, **headers: str) -> httpx.Response:
    """What a job came to."""
    assert accepted.status_code == 202, accepted.text
    until = time.monotonic() + 120
    while time.monotonic() < until:
        answer = client.get(accepted.headers["content-location"], headers=headers)
        if answer.status_code != 202:
            return answer
        time.sleep(0.1)
    raise AssertionError("the job does not end")


def test_archives_of_any_number_are_judged_by_a_job_as_one_by_one(
    client: TestClient, pairs: dict[str, bytes]
) -> None:
    end_processes()
    taken = [one["file"] for one in of_2025(pairs) if one["status"] == "OK"]
    chosen = [*taken[:3], *(one["file"] for one in of_2025(pairs)[:5] if one["status"] != "OK")]
    reports = {name.rpartition("/")[2]: pairs[name] for name in chosen}
    files = {f"{n:03}.xml": b"<a/>" for n in range(210)} | reports
    alone = {
        name: client.post(
            "/qrda/3/convert",
            content=files[name],
            headers={**XML, "content-disposition": f'attachment; filename="{name}"'},
        ).json()
        for name in ("000.xml", *reports)
    }
    assert {told["cmsStatus"] for told in alone.values()} == {"OK", "ERR"}
    # Without asking for it the job is waited for.
    waited = client.post("/qrda/3/convert", content=zipped(files), headers=ZIP)
    assert waited.status_code == 200, waited.text
    assert waited.headers["content-type"].startswith("application/json")
    later = client.post("/qrda/3/convert", content=zipped(files), headers={**ZIP, "prefer": "respond-async"})
    answer = result(client, later)
    assert answer.json() == waited.json()
    assert answer.json()["status"] == "ERR"
    told = {one["file"]: one for one in answer.json()["files"]}
    assert sorted(told) == sorted(files)
    assert {name: told[name] for name in alone} == alone
    assert told["209.xml"]["errors"] == told["000.xml"]["errors"]
    assert received(client) == []


def test_a_job_writes_the_error_report_that_a_request_writes(client: TestClient) -> None:
    archive = zipped({"a.xml": b"<a/>", "=b.xml": b"no xml"})
    at_once = client.post("/qrda/3/convert", content=archive, headers={**ZIP, "accept": "text/csv"})
    accepted = client.post(
        "/qrda/3/convert", content=archive, headers={**ZIP, "accept": "text/csv", "prefer": "respond-async"}
    )
    by_job = result(client, accepted, accept="text/csv")
    assert by_job.headers["content-type"] == at_once.headers["content-type"] == "text/csv; charset=utf-8"

    def lines(text: str) -> list[list[str]]:
        return [[*row[:2], *row[3:]] for row in csv.reader(io.StringIO(text))]

    assert lines(by_job.text) == lines(at_once.text)
    assert len(lines(by_job.text)) == 3
    submissions = client.post("/qpp/convert", content=archive, headers={**ZIP, "prefer": "respond-async"})
    assert [one["problems"] for one in result(client, submissions).json()["files"]] == [[], []]
    assert received(client) == []


SUBMISSION = {
    "performanceYear": 2025,
    "entityType": "group",
    "taxpayerIdentificationNumber": "123456789",
    "measurementSets": [
        {
            "category": "ia", "submissionMethod": "registry", "programName": "mips",
            "performanceStart": "2025-01-01", "performanceEnd": "2025-12-31",
            "measurements": [{"measureId": "IA_EPA_2", "value": True}],
        }
    ],
}  # fmt: skip


def test_submissions_are_judged_and_merged(shared: TestClient) -> None:
    assert shared.post("/qpp/validate", json=SUBMISSION).json() == {
        "status": "OK", "codes": [], "problems": []
    }  # fmt: skip
    told = shared.post("/qpp/validate", json={**SUBMISSION, "taxpayerIdentificationNumber": "12"}).json()
    assert (told["status"], told["codes"]) == ("ERR", ["SV-tin"])
    (activities,) = SUBMISSION["measurementSets"]  # type: ignore[misc]
    newer = {**activities, "measurements": [{"measureId": "IA_EPA_3", "value": True}]}  # type: ignore[misc]
    merged = shared.post(
        "/qpp/merge", json={"submissions": [SUBMISSION, {**SUBMISSION, "measurementSets": [newer]}]}
    )
    assert merged.status_code == 200, merged.text
    (kept,) = merged.json()["qpp"]["measurementSets"]
    assert kept["measurements"] == [{"measureId": "IA_EPA_3", "value": True}]
    assert merged.json()["steps"] == [{"replaced": [["ia", "registry", "mips"]], "kept": [], "added": []}]
    others = shared.post("/qpp/merge", json=[SUBMISSION, {**SUBMISSION, "performanceYear": 2024}])
    assert others.status_code == 409
    assert issue(others)["code"] == "conflict"
    assert shared.post("/qpp/merge", json=[SUBMISSION]).status_code == 400


def test_a_report_is_converted_and_its_submission_judged(shared: TestClient, pairs: dict[str, bytes]) -> None:
    taken = next(one for one in of_2025(pairs) if one["status"] == "OK")
    told = shared.post("/qpp/convert", content=pairs[taken["file"]], headers=XML).json()
    assert told["qpp"] == json.loads(pairs[taken["file"].replace(".xml", ".qpp.json")])
    judged = shared.post("/qpp/validate", json=told["qpp"]).json()
    assert told["problems"] == judged["problems"]


@pytest.fixture(scope="module")
def signed_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, OutsideIssuer]]:
    """A server that asks for tokens."""
    issuer = OutsideIssuer(Clock())
    outside = httpx.AsyncClient(transport=httpx.MockTransport(issuer.answer))
    settings = Settings(
        data_folder=tmp_path_factory.mktemp("signed"),
        security={"base_url": BASE, "issuers": [{"url": ISSUER, "audience": AUDIENCE}]},
        _env_file=None,
    )  # type: ignore[call-arg]
    for client in start(settings, outside):
        yield client, issuer


@pytest.mark.parametrize("path", ADDRESSES)
def test_nothing_is_done_without_a_token_or_the_right_to_it(
    signed_in: tuple[TestClient, OutsideIssuer], path: str
) -> None:
    client, issuer = signed_in
    body = document("https://one.example", person("Byron", "1"))
    assert client.post(f"/{path}", content=body, headers=XML).status_code == 401
    narrow = {"authorization": f"Bearer {issuer.token(scope='user/Observation.rs')}"}
    sent: dict[str, Any] = (
        {"json": SUBMISSION} if path in ("qpp/validate", "qpp/merge") else {"content": body}
    )
    kind = {} if "json" in sent else XML
    before = len(audit_trail(client))
    assert client.post(f"/{path}", headers={**kind, **narrow}, **sent).status_code == 403
    assert received(client) == []
    (event,) = audit_trail(client)[before:]
    assert event["outcome"] == "4"
    assert f"POST /{path}".encode() in asked_for(event)


def audit_trail(client: TestClient) -> list[dict[str, Any]]:
    """All audit events, in their order."""
    database = client.app.state.services.database  # type: ignore[attr-defined]
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT body FROM audit_events ORDER BY key").all()
    return [json.loads(body) for (body,) in rows]


def asked_for(event: dict[str, Any]) -> bytes:
    """The request that an audit event tells of."""
    return b" ".join(base64.b64decode(one["query"]) for one in event["entity"] if "query" in one)


def test_an_import_belongs_to_the_organisation_of_the_caller(
    signed_in: tuple[TestClient, OutsideIssuer],
) -> None:
    client, issuer = signed_in
    tokens = {
        name: {"authorization": f"Bearer {issuer.token(scope='user/*.cruds', organization=name)}"}
        for name in ("practice-a", "practice-b")
    }
    body = document("https://one.example", person("Byron", "import"), condition("c", "import", "44054006"))
    told = client.post("/qrda/1/import", content=body, headers={**XML, **tokens["practice-a"]})
    assert told.status_code == 200, told.text
    assert client.get("/fhir/Patient/import", headers=tokens["practice-a"]).status_code == 200
    assert client.get("/fhir/Patient/import", headers=tokens["practice-b"]).status_code == 404
    event = next(one for one in reversed(audit_trail(client)) if b"qrda/1/import" in asked_for(one))
    assert event["outcome"] == "0"
    assert "Import" in {one["display"] for one in event["subtype"]}
    assert "Patient/import" in {one.get("what", {}).get("reference") for one in event["entity"]}
