"""Reports say what they were computed with, and a request can fix it by a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deqm_data import DIABETES, URL, group, parameters, patient
from fastapi.testclient import TestClient
from served import YEAR, issue, put, start

from measurewise.api.settings import Settings

MANIFEST = "https://clinic.example/Library/fixed-for-2026"
COMPUTED_WITH = "https://measurewise.example/fhir/StructureDefinition/computed-with"
ASKED = {**YEAR, "measureUrl": URL + DIABETES, "subject": "Patient/one"}
OPERATIONS = ("$evaluate", "$care-gaps", "$collect-data")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("manifests")
    for served in start(Settings(data_folder=folder, _env_file=None)):  # type: ignore[call-arg]
        put(served, *patient("one"), *patient("two"), group("pair", "one", "two"))
        measure = served.get(f"/fhir/Measure/{DIABETES}").json()
        put(served, {**measure, "id": "Newer", "version": "9.0.0"})
        yield served


def reports(answer: Any) -> list[dict[str, Any]]:
    """The MeasureReports in an answer."""
    assert answer.status_code == 200, answer.text
    return [
        entry["resource"]
        for part in answer.json()["parameter"]
        for entry in part["resource"]["entry"]
        if entry["resource"]["resourceType"] == "MeasureReport"
    ]


def computed_with(report: dict[str, Any]) -> dict[str, str]:
    """The versions in a report's manifest, by canonical URL."""
    (reference,) = [
        one["valueReference"]["reference"] for one in report["extension"] if one["url"] == COMPUTED_WITH
    ]
    (library,) = [one for one in report["contained"] if f"#{one['id']}" == reference]
    artifacts = [one["resource"].partition("|") for one in library["relatedArtifact"]]
    return {url: version for url, _, version in artifacts}


def give_manifest(client: TestClient, artifacts: dict[str, str], **more: Any) -> None:
    put(
        client,
        {
            "resourceType": "Library",
            "id": "fixed",
            "url": MANIFEST,
            "version": "1.0.0",
            "status": "active",
            "type": {"coding": [{"code": "asset-collection"}]},
            "relatedArtifact": [
                {"type": "depends-on", "resource": f"{url}|{version}" if version else url}
                for url, version in artifacts.items()
            ],
            **more,
        },
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_report_names_measure_libraries_and_value_sets_with_versions(
    client: TestClient, operation: str
) -> None:
    found = reports(client.get(f"/fhir/Measure/{operation}", params={**ASKED, "subject": "Group/pair"}))
    assert found
    for report in found:
        versions = computed_with(report)
        assert versions[URL + DIABETES] == report["measure"].partition("|")[2]
        assert versions["https://measurewise.example/Library/FHIRHelpers"]
        assert any("/ValueSet/" in url for url in versions)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_manifest_says_which_version_of_a_measure_is_meant(client: TestClient, operation: str) -> None:
    for version in ("1.0.0", "9.0.0"):
        give_manifest(client, {URL + DIABETES: version})
        for named in (MANIFEST, f"{MANIFEST}|1.0.0"):
            asked = {**ASKED, "manifest": named}
            for answer in (
                client.get(f"/fhir/Measure/{operation}", params=asked),
                client.post(f"/fhir/Measure/{operation}", json=parameters(**asked)),
            ):
                assert {report["measure"] for report in reports(answer)} == {f"{URL}{DIABETES}|{version}"}


def test_gaps_of_all_measures_are_those_of_the_manifests_versions(client: TestClient) -> None:
    give_manifest(client, {URL + DIABETES: "1.0.0"})
    asked = {**YEAR, "subject": "Patient/one", "manifest": MANIFEST, "status": ["open-gap", "closed-gap"]}
    found = {report["measure"] for report in reports(client.get("/fhir/Measure/$care-gaps", params=asked))}
    assert f"{URL}{DIABETES}|1.0.0" in found
    assert f"{URL}{DIABETES}|9.0.0" not in found


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_manifest_of_a_report_gives_the_report_again(client: TestClient, operation: str) -> None:
    before = reports(client.get(f"/fhir/Measure/{operation}", params=ASKED))
    give_manifest(client, computed_with(before[0]))
    again = reports(client.get(f"/fhir/Measure/{operation}", params={**ASKED, "manifest": MANIFEST}))
    assert [report.get("group") for report in again] == [report.get("group") for report in before]
    assert computed_with(again[0]) == computed_with(before[0])


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "url", ["https://measurewise.example/Library/FHIRHelpers", "a value set", URL + DIABETES]
)
def test_nothing_is_computed_with_other_versions_than_the_manifests(
    client: TestClient, operation: str, url: str
) -> None:
    versions = computed_with(reports(client.get("/fhir/Measure/$evaluate", params=ASKED))[0])
    if url == "a value set":
        url = next(one for one in versions if "/ValueSet/" in one)
    give_manifest(client, {url: "0.0.1"})
    exactly = {**ASKED, "measureUrl": f"{URL}{DIABETES}|1.0.0", "manifest": MANIFEST}
    for prefer in ("", "respond-async"):
        answer = client.get(f"/fhir/Measure/{operation}", params=exactly, headers={"prefer": prefer})
        assert answer.status_code == 409, answer.text
        assert f"fixes {url} at 0.0.1" in issue(answer)["details"]["text"]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({"type": {"coding": [{"code": "logic-library"}]}}, 400, "is no manifest"),
        (
            {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/cqf-expansionParameters"}]},
            400,
            "parameters for expansions",
        ),
        ({"url": "https://clinic.example/Library/another"}, 404, "There is no Library"),
    ],
)
def test_a_manifest_that_cannot_be_honoured_is_refused(
    client: TestClient, operation: str, more: dict[str, Any], status: int, said: str
) -> None:
    give_manifest(client, {}, **more)
    answer = client.get(f"/fhir/Measure/{operation}", params={**ASKED, "manifest": MANIFEST})
    assert answer.status_code == status, answer.text
    assert said in issue(answer)["details"]["text"]


def test_operations_that_take_no_manifest_say_so(client: TestClient) -> None:
    for path in (
        f"Measure/{DIABETES}/$evaluate-measure",
        "Measure/$data-requirements",
        "Measure/$package",
        "Measure/$qrda-export",
        "MeasureReport/$qrda3",
    ):
        answer = client.get(f"/fhir/{path}", params={"manifest": MANIFEST})
        assert answer.status_code == 400, path
        assert "no parameter 'manifest'" in issue(answer)["details"]["text"]
