"""Who may export, read the files, import, and add content: tokens, their scopes and organisations."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from served import issue, start

sys.path.insert(0, str(Path(__file__).parent / "security"))
from outside_issuer import AUDIENCE, BASE, ISSUER, Clock, OutsideIssuer

from measurewise.api.settings import Settings
from measurewise.cql_libraries import measure_resources
from measurewise.engine.measure.reports.edge import to_json

EVERYTHING = "system/*.cruds"
NDJSON = {"Content-Type": "application/fhir+ndjson"}


class Site:
    def __init__(self, client: TestClient, issuer: OutsideIssuer) -> None:
        self.client, self.issuer = client, issuer

    def token(self, scope: str = EVERYTHING, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.issuer.token(scope=scope, **claims)}"}

    def export(self, token: dict[str, str], path: str) -> httpx.Response:
        return self.client.get(f"/fhir/{path}", headers={**token, "Prefer": "respond-async"})

    def ended(self, token: dict[str, str], answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 202, answer.text
        for _ in range(600):
            status = self.client.get(answer.headers["Content-Location"], headers=token)
            if status.status_code != 202:
                assert status.status_code == 200, status.text
                found: dict[str, Any] = status.json()
                return found
            time.sleep(0.02)
        raise AssertionError("the job did not end")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    issuer = OutsideIssuer(Clock())
    outside = httpx.AsyncClient(transport=httpx.MockTransport(issuer.answer))
    settings = Settings(
        data_folder=tmp_path_factory.mktemp("rights"),
        organization="operator",
        security={"base_url": BASE, "issuers": [{"url": ISSUER, "audience": AUDIENCE}]},
        _env_file=None,
    )  # type: ignore[call-arg]
    for client in start(settings, outside):
        found = Site(client, issuer)
        for organization in ("practice-a", "practice-b"):
            patient = {"resourceType": "Patient", "id": f"of-{organization}"}
            headers = {**found.token(organization=organization), **NDJSON}
            answer = client.post("/fhir/$import", content=to_json(patient), headers=headers)
            told = found.ended(headers, answer)["entry"][0]["resource"]["issue"]
            assert "1 created" in told[0]["details"]["text"]
        yield found


def test_scopes_for_the_exported_types_are_enough(site: Site) -> None:
    narrow = site.token("system/Patient.rs", organization="practice-a")
    assert site.export(narrow, "Patient/$export").status_code == 403
    assert site.export(narrow, "Patient/$export?_type=Patient,Observation").status_code == 403
    manifest = site.ended(narrow, site.export(narrow, "Patient/$export?_type=Patient"))
    assert manifest["requiresAccessToken"] is True
    (file,) = manifest["output"]
    (line,) = site.client.get(file["url"], headers=narrow).content.splitlines()
    assert json.loads(line)["id"] == "of-practice-a"


def test_files_are_for_whoever_asked_for_them(site: Site) -> None:
    ours = site.token(organization="practice-a", sub="ours")
    answer = site.export(ours, "Patient/$export")
    (file,) = site.ended(ours, answer)["output"]
    where = answer.headers["Content-Location"]
    for url in (file["url"], where):
        assert site.client.get(url).status_code == 401
        colleague = site.token(organization="practice-a", sub="colleague")
        assert site.client.get(url, headers=colleague).status_code == 404
        stranger = site.token(organization="practice-b", sub="ours")
        assert site.client.get(url, headers=stranger).status_code == 404
    # The same person with a token that may do less reads less.
    less = site.token("system/Observation.rs", organization="practice-a", sub="ours")
    assert site.client.get(file["url"], headers=less).status_code == 403
    assert site.client.delete(where, headers=site.token(organization="practice-b")).status_code == 404
    assert site.client.get(file["url"], headers=ours).status_code == 200


def test_an_organisation_exports_its_own(site: Site) -> None:
    theirs = site.token(organization="practice-b")
    manifest = site.ended(theirs, site.export(theirs, "$export?_type=Patient"))
    lines = [site.client.get(one["url"], headers=theirs).content for one in manifest["output"]]
    assert [json.loads(line)["id"] for line in lines] == ["of-practice-b"]


def test_a_token_for_one_patient_exports_and_imports_nothing(site: Site) -> None:
    token = site.token(
        "patient/*.cruds launch/patient", organization="practice-a", patient="of-practice-a",
        fhirUser="Patient/of-practice-a",
    )  # fmt: skip
    assert site.export(token, "Patient/$export").status_code == 403
    answer = site.client.post(
        "/fhir/$import", content=b'{"resourceType":"Patient","id":"x"}', headers={**token, **NDJSON}
    )
    assert answer.status_code == 403


def test_content_is_the_keepers(site: Site) -> None:
    measure = to_json({**next(iter(measure_resources())), "title": "Another title"})
    practice, keeper = site.token(organization="practice-a"), site.token(organization="operator")
    answer = site.client.post("/fhir/$import", content=measure, headers={**practice, **NDJSON})
    _, error = site.ended(practice, answer)["entry"][0]["resource"]["issue"]
    assert "belongs to all organisations" in error["details"]["text"]
    assert error["expression"] == ["line 1"]
    json_body = {"Content-Type": "application/fhir+json"}
    refused = site.client.post("/content", content=measure, headers={**practice, **json_body})
    assert refused.status_code == 403
    assert issue(refused)["code"] == "forbidden"
    reader = site.token("system/*.rs", organization="operator")
    assert site.client.post("/content", content=measure, headers={**reader, **json_body}).status_code == 403
    taken = site.client.post("/content", content=measure, headers={**keeper, **json_body})
    assert taken.status_code == 200
    assert "0 new, 1 changed" in issue(taken)["details"]["text"]
