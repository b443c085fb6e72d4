"""``MeasureReport/$qrda3`` and ``Measure/$qrda-export`` over HTTP, with official measures and their cases."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from finished_jobs import work_off
from official_site import give_official_content, give_patients, official_cases, synthetic
from served import issue, start

sys.path.insert(0, str(Path(__file__).parent / "security"))
from outside_issuer import AUDIENCE, BASE, ISSUER, Clock, OutsideIssuer

from measurewise.api.jobs.worker import Worker
from measurewise.api.services.context import open_services
from measurewise.api.settings import Settings
from measurewise.qrda.category3.conversion import convert
from measurewise.qrda.category3.report import read_report
from measurewise.qrda.validation import validate, validate_category1

QRDA = Path(__file__).parents[3] / "shared" / "qrda"
COLON, DIABETES = "CMS130FHIRColorectalCancerScreening", "CMS122FHIRDiabetesAssessGreaterThan9Percent"
YEAR = {"periodStart": "2025-01-01", "periodEnd": "2025-12-31"}
CASES = {"periodStart": "2026-01-01", "periodEnd": "2026-12-31"}
GROUP = {
    "year": 2025,
    "programme": "mips",
    "entity": {"type": "group", "name": "Good Health Clinic", "tin": "123456789"},
    "cehrtId": "0015CABCDEFGHIJ",
}
CODES = {
    "initial-population": "IPOP",
    "denominator": "DENOM",
    "denominator-exclusion": "DENEX",
    "numerator": "NUMER",
}


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(
        data_folder=folder,
        shipped_content=False,
        inline_patients=1000,
        missing_valuesets="empty",
        _env_file=None,
        **more,
    )  # type: ignore[call-arg]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory, ecqm_dir: Path) -> Iterator[TestClient]:
    """A server with the official measures; the cases of CMS130 in one organisation, others in another."""
    for client in start(settings(tmp_path_factory.mktemp("clinic"))):
        give_official_content(client, ecqm_dir)
        assert give_patients(client, official_cases(ecqm_dir, COLON), "cases") == 64
        assert give_patients(client, synthetic(60, 2025), "synthetic") == 60
        yield client


def of(organization: str, **more: str) -> dict[str, str]:
    return {"x-organization": organization, **more}


def evaluated(client: TestClient, measure: str, organization: str, period: dict[str, str]) -> dict[str, Any]:
    answer = client.get(f"/fhir/Measure/{measure}/$evaluate-measure", params=period, headers=of(organization))
    assert answer.status_code == 200, answer.text
    report: dict[str, Any] = answer.json()
    return report


def counts(report: dict[str, Any]) -> dict[str, int]:
    """The counts of a report's one group, by QRDA's code."""
    (group,) = report["group"]
    return {CODES[one["code"]["coding"][0]["code"]]: one["count"] for one in group["population"]}


def as_of_2025(report: dict[str, Any], identity: str) -> dict[str, Any]:
    """The report of the official cases, which are of 2026, as if it were of 2025."""
    return {
        **report, "id": identity, "period": {"start": "2025-01-01", "end": "2025-12-31"},
    }  # fmt: skip


def assert_valid(xml: bytes) -> None:
    if QRDA.is_dir():
        found = validate(
            xml, kind="qrda3", schematron_folder=QRDA / "category3" / "schematron", xsd_folder=QRDA / "xsd"
        )
        assert [one.text for one in found if one.severity == "error"] == []
    elif os.environ.get("CI") == "true":
        pytest.fail("the QRDA schematrons are not there: expected in ../shared/qrda", pytrace=False)
    assert convert(xml).status == "OK"


def read_back(xml: bytes) -> dict[str, dict[str, int | None]]:
    """The counts of each measure of a QRDA III report, by eCQM id and population."""
    (section,) = [one for one in read_report(xml).sections if one.category == "quality"]
    return {
        str(measure.ecqm_id)[:6]: {
            ("IPOP" if one.code == "IPP" else str(one.code)): one.count for one in measure.populations
        }
        for measure in section.measures
    }


def test_reports_in_the_request_become_a_report_with_their_counts(clinic: TestClient) -> None:
    report = evaluated(clinic, COLON, "cases", CASES)
    assert counts(report)["IPOP"] > 30
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "measureReport", "resource": as_of_2025(report, "sent")},
            {"name": "description", "valueString": json.dumps(GROUP)},
            {"name": "at", "valueDateTime": "2026-01-15T08:00:00Z"},
        ],
    }
    answer = clinic.post("/fhir/MeasureReport/$qrda3", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/xml"
    assert read_back(answer.content) == {"CMS130": counts(report)}
    assert_valid(answer.content)
    again = clinic.post("/fhir/MeasureReport/$qrda3", json=body, headers={"accept": "application/fhir+json"})
    binary = again.json()
    assert (binary["resourceType"], binary["contentType"]) == ("Binary", "application/xml")
    assert base64.b64decode(binary["data"]) == answer.content
    told = [one["valueString"] for one in binary.get("meta", {}).get("extension", ())]
    assert told == answer.headers.get_list("x-notice")


def test_stored_reports_are_found_by_id_and_by_measure_and_period(clinic: TestClient) -> None:
    report = evaluated(clinic, COLON, "cases", CASES)
    older = as_of_2025(report, "older")
    older["date"] = "2026-01-01T00:00:00Z"
    newer = {**as_of_2025(report, "newer"), "date": "2026-02-01T00:00:00Z"}
    unfinished = {**newer, "id": "unfinished", "status": "pending", "date": "2026-03-01T00:00:00Z"}
    for one in (newer, older, unfinished):
        path = f"/fhir/MeasureReport/{one['id']}"
        assert clinic.put(path, json=one, headers=of("cases")).status_code == 201
    described = {"description": json.dumps(GROUP), "at": "2026-01-15T08:00:00Z"}
    by_id = clinic.get(
        "/fhir/MeasureReport/$qrda3",
        params={**described, "report": "MeasureReport/newer"},
        headers=of("cases"),
    )
    assert by_id.status_code == 200, by_id.text
    for measure in ({"measure": COLON}, {"measure": report["measure"].partition("|")[0]}, {}):
        found = clinic.get(
            "/fhir/MeasureReport/$qrda3", params={**described, **YEAR, **measure}, headers=of("cases")
        )
        assert found.content == by_id.content
    # What another organisation has stored is not there.
    for asked in ({"report": "MeasureReport/newer"}, YEAR):
        other = clinic.get(
            "/fhir/MeasureReport/$qrda3", params={**described, **asked}, headers=of("synthetic")
        )
        assert other.status_code == 404, asked
    pending = clinic.get(
        "/fhir/MeasureReport/$qrda3", params={**described, "report": "unfinished"}, headers=of("cases")
    )
    assert pending.status_code == 400
    assert "not complete" in issue(pending)["details"]["text"]


@pytest.mark.parametrize("prefer", ["", "respond-async"])
def test_measures_are_evaluated_on_the_way(clinic: TestClient, prefer: str) -> None:
    expected = {
        measure[:6]: counts(evaluated(clinic, measure, "synthetic", YEAR)) for measure in (COLON, DIABETES)
    }
    assert expected["CMS130"]["IPOP"] > 5
    asked: dict[str, Any] = {
        **YEAR,
        "measure": [COLON, DIABETES],
        "evaluate": "true",
        "year": "2025",
        "programme": "mips",
        "entityType": "individual",
        "entityName": "Dr Philips",
        "tin": "123456789",
        "npi": "1234567893",
        "cehrtId": "0015CABCDEFGHIJ",
    }
    answer = clinic.get("/fhir/MeasureReport/$qrda3", params=asked, headers=of("synthetic", prefer=prefer))
    if prefer:
        assert answer.status_code == 202
        bundle = polled(clinic, answer, of("synthetic")).json()
        content = base64.b64decode(bundle["entry"][0]["resource"]["data"])
    else:
        content = answer.content
    assert read_back(content) == expected
    report = read_report(content)
    assert report.programme_names == ("MIPS_INDIV",) or report.programme_names == ["MIPS_INDIV"]
    assert_valid(content)


def polled(client: TestClient, answer: httpx.Response, headers: dict[str, str]) -> httpx.Response:
    until = time.monotonic() + 300
    while time.monotonic() < until:
        found = client.get(answer.headers["content-location"], headers=headers)
        if found.status_code != 202:
            return found
        time.sleep(0.2)
    raise AssertionError("the job does not end")


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({**YEAR, "measure": COLON}, 400, "year is missing"),
        ({"description": "{"}, 400, "is no JSON"),
        ({"description": json.dumps({**GROUP, "year": 1999}), **YEAR}, 400, "1999"),
        ({"description": json.dumps({**GROUP, "color": "red"})}, 400, "color means nothing"),
        ({"description": json.dumps(GROUP)}, 400, "nothing to report"),
        ({"description": json.dumps(GROUP), "tin": "1"}, 400, "stands in the description"),
        ({"description": json.dumps(GROUP), "report": "a", **YEAR}, 400, "does not go with"),
        ({"description": json.dumps(GROUP), "evaluate": "true"}, 400, "periodStart"),
        ({"description": json.dumps(GROUP), **YEAR, "evaluate": "true"}, 400, "measure"),
        ({"description": json.dumps(GROUP), **YEAR, "measure": "none"}, 404, "none"),
        ({"description": json.dumps(GROUP), **YEAR, "measure": DIABETES}, 404, "no complete summary report"),
        ({"description": json.dumps(GROUP), "report": "none"}, 404, "MeasureReport/none"),
        ({"description": json.dumps(GROUP), "colour": "red"}, 400, "no parameter 'colour'"),
    ],
)
def test_what_cannot_be_reported_is_told(
    clinic: TestClient, asked: dict[str, Any], status: int, said: str
) -> None:
    answer = clinic.get("/fhir/MeasureReport/$qrda3", params=asked, headers=of("synthetic"))
    assert answer.status_code == status, answer.text
    assert said in issue(answer)["diagnostics"]


def test_another_media_type_is_not_promised(clinic: TestClient) -> None:
    answer = clinic.get("/fhir/MeasureReport/$qrda3", headers={"accept": "application/pdf"})
    assert answer.status_code == 406
    xml = {"accept": "application/xml"}
    assert clinic.get("/fhir/Patient", headers=xml).status_code == 406


def test_a_population_is_exported_as_zips_that_bring_the_same_counts_elsewhere(clinic: TestClient) -> None:
    asked = {**CASES, "measure": [COLON, DIABETES], "custodian": "Good Health"}
    accepted = clinic.get("/fhir/Measure/$qrda-export", params=asked, headers=of("cases"))
    assert accepted.status_code == 202
    answer = polled(clinic, accepted, of("cases"))
    assert answer.status_code == 200, answer.text
    assert "expires" in answer.headers
    manifest = answer.json()
    assert manifest["error"] == []
    assert manifest["patients"] == 64
    versions = {one["resource"] for one in manifest["computedWith"]["relatedArtifact"]}
    for measure in (COLON, DIABETES):
        assert evaluated(clinic, measure, "cases", CASES)["measure"] in versions
    zips = [one for one in manifest["output"] if one["type"] == "QRDA1"]
    documents: dict[str, bytes] = {}
    for measure in (COLON, DIABETES):
        report = evaluated(clinic, measure, "cases", CASES)
        told = {CODES[one["population"]]: one["count"] for one in zips if one["measure"] == measure}
        assert Counter(told) == Counter(counts(report)), measure
    for one in zips:
        file = clinic.get(one["url"], headers=of("cases"))
        assert file.headers["content-type"] == "application/zip"
        assert len(file.content) == one["size"]
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            assert len(archive.namelist()) == one["count"]
            if (one["measure"], one["population"]) == (COLON, "initial-population"):
                documents = {name: archive.read(name) for name in archive.namelist()}
                whole = file.content
    if QRDA.is_dir():
        for document in list(documents.values())[:10]:
            found = validate_category1(
                document, schematron_folder=QRDA / "category1" / "schematron", xsd_folder=QRDA / "xsd"
            )
            assert [one.text for one in found if one.severity == "error"] == []
    lines = clinic.get(
        next(o["url"] for o in manifest["output"] if o["type"] == "carried"), headers=of("cases")
    )
    carried = [json.loads(line) for line in lines.text.splitlines()]
    assert {one["document"] for one in carried if one["measure"] == COLON} == set(documents)
    # Another system takes them.
    taken = clinic.post(
        "/qrda/1/import", content=whole, headers=of("next", **{"content-type": "application/zip"})
    )
    assert taken.status_code == 200, taken.text
    assert taken.json()["notRead"] == []
    assert len(taken.json()["patients"]) == len(documents)
    assert counts(evaluated(clinic, COLON, "next", CASES)) == counts(evaluated(clinic, COLON, "cases", CASES))


def test_a_measure_set_comes_with_its_qrda_3_and_goes_when_it_is_deleted(clinic: TestClient) -> None:
    asked = {**YEAR, "description": json.dumps(GROUP)}
    accepted = clinic.get(f"/fhir/Measure/{COLON}/$qrda-export", params=asked, headers=of("synthetic"))
    assert accepted.status_code == 202, accepted.text
    manifest = polled(clinic, accepted, of("synthetic")).json()
    url = next(one["url"] for one in manifest["output"] if one["type"] == "QRDA3")
    content = clinic.get(url).content
    assert read_back(content) == {"CMS130": counts(evaluated(clinic, COLON, "synthetic", YEAR))}
    assert_valid(content)
    for name in ("manifest.json", "..%2f..%2fmeasurewise.db", ".qrda3.xml", "none.zip"):
        assert clinic.get(url.rpartition("/")[0] + f"/{name}").status_code == 404, name
    assert clinic.delete(accepted.headers["content-location"]).status_code == 202
    assert clinic.get(url).status_code == 404
    folder: Path = clinic.app.state.services.settings.data_folder  # type: ignore[attr-defined]
    job = accepted.headers["content-location"].rpartition("/")[2]
    assert not (folder / "exports" / job).exists()


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({**YEAR}, 400, "measure"),
        ({"measure": COLON}, 400, "periodStart"),
        ({**YEAR, "measure": "none"}, 404, "none"),
        ({**YEAR, "measure": COLON, "subject": "Group/none"}, 404, "Group/none"),
        ({**YEAR, "measure": COLON, "year": "2025"}, 400, "missing"),
    ],
)
def test_what_cannot_be_exported_is_told_at_once(
    clinic: TestClient, asked: dict[str, Any], status: int, said: str
) -> None:
    answer = clinic.get("/fhir/Measure/$qrda-export", params=asked, headers=of("synthetic"))
    assert answer.status_code == status, answer.text
    assert said in issue(answer)["diagnostics"]


def test_an_export_goes_on_after_a_restart(tmp_path: Path, ecqm_dir: Path) -> None:
    from measurewise.api.app import create_app

    app = create_app(settings(tmp_path))
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        give_official_content(client, ecqm_dir)
        give_patients(client, synthetic(150, 2025), "default")
        accepted = client.get(f"/fhir/Measure/{COLON}/$qrda-export", params=YEAR)
        first = Worker(app.state.services)
        assert first.work_once()  # the plan
        assert first.work_once()  # one of two parts
        waiting = client.get(accepted.headers["content-location"])
        assert waiting.status_code == 202
        assert "100 of 150" in waiting.headers["x-progress"]
    # A part that was begun and never ended is there twice, and counts once.
    job = accepted.headers["content-location"].rpartition("/")[2]
    torn = tmp_path / "exports" / job / "parts" / "1"
    torn.mkdir()
    (torn / ".half.zip").write_bytes(b"PK")
    again = create_app(settings(tmp_path))
    with TestClient(again, base_url="http://127.0.0.1:8000") as client:
        work_off(Worker(open_services(settings(tmp_path))))
        manifest = client.get(accepted.headers["content-location"]).json()
        expected = counts(client.get(f"/fhir/Measure/{COLON}/$evaluate-measure", params=YEAR).json())
        told = {CODES[one["population"]]: one["count"] for one in manifest["output"] if "population" in one}
        assert Counter(told) == Counter(expected)
        assert manifest["patients"] == 150
        everybody = next(one for one in manifest["output"] if one.get("population") == "initial-population")
        with zipfile.ZipFile(io.BytesIO(client.get(everybody["url"]).content)) as archive:
            numbers = [int(name[:6]) for name in archive.namelist()]
        assert len(set(numbers)) == everybody["count"]
        assert max(numbers) > 100


def test_exports_and_reports_are_for_whoever_may(tmp_path: Path, ecqm_dir: Path) -> None:
    issuer = OutsideIssuer(Clock())
    outside = httpx.AsyncClient(transport=httpx.MockTransport(issuer.answer))
    made = Settings(
        data_folder=tmp_path,
        missing_valuesets="empty",
        security={"base_url": BASE, "issuers": [{"url": ISSUER, "audience": AUDIENCE}]},
        _env_file=None,
    )  # type: ignore[call-arg]

    def token(**claims: Any) -> dict[str, str]:
        return {"authorization": f"Bearer {issuer.token(**claims)}"}

    ours = token(scope="user/*.cruds")
    patient = token(scope="patient/*.cruds launch/patient", sub="p", patient="p", fhirUser="Patient/p")
    asked = {**YEAR, "measure": COLON}
    for client in start(made, outside):
        unnamed = {**YEAR, "measure": "DiabetesGlycemicControl"}
        answer = client.get("/fhir/Measure/$qrda-export", params=unnamed, headers=ours)
        assert answer.status_code == 422
        assert "version-specific identifier" in issue(answer)["diagnostics"]
        give_official_content(client, ecqm_dir)
        person = {"resourceType": "Patient", "id": "p", "birthDate": "1970-01-01"}
        assert client.put("/fhir/Patient/p", json=person, headers=ours).status_code == 201
        for path in ("Measure/$qrda-export", "MeasureReport/$qrda3"):
            assert client.get(f"/fhir/{path}", params=asked).status_code == 401
            assert client.get(f"/fhir/{path}", params=asked, headers=patient).status_code == 403
            narrow = token(scope="user/Measure.rs user/Patient.rs")
            assert client.get(f"/fhir/{path}", params=asked, headers=narrow).status_code == 403
        accepted = client.get("/fhir/Measure/$qrda-export", params=asked, headers=ours)
        assert accepted.status_code == 202, accepted.text
        manifest = polled(client, accepted, ours).json()
        assert manifest["requiresAccessToken"] is True
        path = httpx.URL(manifest["output"][0]["url"]).path
        assert client.get(path, headers=ours).status_code == 200
        assert client.get(path).status_code == 401
        assert client.get(path, headers=patient).status_code == 403
        theirs = token(scope="user/*.cruds", organization="practice-b")
        assert client.get(path, headers=theirs).status_code == 404
        colleague = token(scope="user/*.cruds", sub="somebody else")
        assert client.get(path, headers=colleague).status_code == 404
