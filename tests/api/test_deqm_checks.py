"""The 61 HTTP checks of the public DEQM test kit, a test each, over HTTP; their names are the kit's own.

The kit (projecttacoma/deqm-test-kit) has three suites: v3 (35 checks), v5 (22 more) and the universal realm's
v1 (4 more). Requests go as the kit sends them: operations by POST, with an empty body where all stands in the
address.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from deqm_data import DIABETES, PRESSURE, URL, group, patient
from deqm_judges import HEADERS, Check, answered, bundles, posted, refused, report, sent
from over_http import Serving, serving

from measurewise.api.settings import Settings

PERIOD = "periodStart=2026-01-01&periodEnd=2026-12-31"
START, END = (
    {"name": "periodStart", "valueDate": "2026-01-01"},
    {"name": "periodEnd", "valueDate": "2026-12-31"},
)
ONE, TWO = {"name": "measureId", "valueString": DIABETES}, {"name": "measureId", "valueString": PRESSURE}
PATTERN = "http://hl7.org/fhir/us/cqfmeasures/StructureDefinition/cqfm-fhirQueryPattern"
VALUE_SETS = "https://measurewise.example/ValueSet/"
BULK: dict[str, str] = {}
"""Where the other server is from which data are taken."""


def subject(reference: str) -> dict[str, Any]:
    return {"name": "subject", "valueString": reference}


def report_type(name: str) -> dict[str, Any]:
    return {"name": "reportType", "valueString": name}


def subject_group(*members: str) -> dict[str, Any]:
    """As the kit writes it: without the type and actual that FHIR asks of a Group."""
    return {
        "name": "subjectGroup",
        "resource": {
            "resourceType": "Group",
            "id": "test-group",
            "member": [{"entity": {"reference": f"Patient/{member}"}} for member in members],
        },
    }


def found(query: str, total: int) -> Check:
    def run(client: httpx.Client) -> None:
        answer = client.get(query)
        answered("Bundle")(answer)
        assert answer.json()["total"] == total

    return run


def requirements(client: httpx.Client) -> list[dict[str, Any]]:
    answer = client.post(f"/Measure/{DIABETES}/$data-requirements", json=sent(START, END), headers=HEADERS)
    answered("Library")(answer)
    listed: list[dict[str, Any]] = answer.json()["dataRequirement"]
    return listed


def requirements_as_expected(client: httpx.Client) -> None:
    """What the measure's CQL retrieves, as type.path(value set); the kit sends one empty parameter."""
    answer = client.post(f"/Measure/{DIABETES}/$data-requirements", json=sent({}), headers=HEADERS)
    answered("Library")(answer)
    told = set()
    for one in answer.json()["dataRequirement"]:
        (coded,) = one.get("codeFilter", [{}])
        value_set = coded.get("valueSet", "").removeprefix(VALUE_SETS)
        told.add(f"{one['type']}.{coded['path']}({value_set})" if coded else one["type"])
    assert told == {
        "Condition.code(diabetes-mellitus)", "Condition.code(palliative-care-encounter)",
        "Condition.code(pregnancy)", "Coverage", "Encounter", "Encounter.type(hospice-services)",
        "Encounter.type(outpatient-visit)", "Observation.code(hemoglobin-a1c)",
        "Procedure.code(hospice-services)", "ServiceRequest.code(hemoglobin-a1c)",
        "ServiceRequest.code(hospice-services)",
    }  # fmt: skip


def queries_for_all(client: httpx.Client) -> None:
    for one in requirements(client):
        coded = one.get("codeFilter", [{}])[0]
        params = {f"{coded['path']}:in": coded["valueSet"]} if "valueSet" in coded else {}
        assert client.get(f"/{one['type']}", params=params).status_code == 200
    assert client.get("/Patient").status_code == 200


def queries_for_one(client: httpx.Client) -> None:
    for one in requirements(client):
        (query,) = [e["valueString"] for e in one["extension"] if e["url"] == PATTERN]
        path, _, conditions = query.partition("?")
        params = [(k, v.replace("{{context.patientId}}", "one")) for k, v in parse_qsl(conditions)]
        answer = client.get(path, params=params)
        assert answer.status_code == 200, query
        assert ("patient", "Patient/one") in params


def bare_report(identity: str, **more: Any) -> dict[str, Any]:
    """A report as the kit's v3 suite submits it: about nobody by name."""
    return {
        "resourceType": "MeasureReport", "type": "data-collection", "status": "complete",
        "measure": URL + DIABETES, "period": {"start": "2026-01-01", "end": "2026-12-31"},
        "identifier": [{"value": identity}], **more,
    }  # fmt: skip


def data_are_submitted_and_found(client: httpx.Client) -> None:
    people = [*patient("sent-one"), *patient("sent-two")]
    held = [{**resource, "identifier": [{"value": f"given-{resource['id']}"}]} for resource in people]
    held.append(bare_report("given-report"))
    parts = [{"name": "resource", "resource": resource} for resource in held[:-1]]
    body = sent({"name": "measureReport", "resource": held[-1]}, *parts)
    answer = client.post(f"/Measure/{DIABETES}/$submit-data", json=body, headers={"X-Provenance": "{}"})
    assert answer.status_code == 200, answer.text
    for resource in held:
        query = {"identifier": resource["identifier"][0]["value"]}
        assert client.get(f"/{resource['resourceType']}", params=query).json()["total"] == 1


def submitted(*people: str) -> Check:
    """A Bundle a subject, with a report for each of two measures, as DEQM 5 has it."""

    def bundle(name: str) -> dict[str, Any]:
        about = {"subject": {"reference": f"Patient/{name}"}}
        resources: list[dict[str, Any]] = [
            {
                **bare_report(f"{name}-{number}", measure=URL + measure, **about),
                "id": f"{name}-report-{number}",
            }
            for number, measure in enumerate((f"{DIABETES}|1.0.0", f"{PRESSURE}|1.0.0"))
        ]
        resources += patient(name)[:2]
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
            for one in resources
        ]
        return {
            "name": "bundle",
            "resource": {"resourceType": "Bundle", "type": "transaction", "entry": entries},
        }

    def run(client: httpx.Client) -> None:
        answer = client.post("/Measure/$submit-data", json=sent(*map(bundle, people)), headers=HEADERS)
        answered("Parameters")(answer)
        returned = [part["resource"] for part in answer.json()["parameter"]]
        assert [one["type"] for one in returned] == ["transaction-response"] * len(people)
        assert all(len(one["entry"]) == 4 for one in returned)
        for name in people:
            assert client.get(f"/Encounter/{name}-visit").status_code == 200
            assert client.get(f"/MeasureReport?subject=Patient/{name}").json()["total"] == 2

    return run


def pulled(parameter: str, key: str, ending: str) -> Check:
    """The kit's report names the measure and nothing else; the data come from another server's export."""

    def run(client: httpx.Client) -> None:
        bare = {"resourceType": "MeasureReport", "measure": URL + DIABETES}
        body = sent(
            {"name": "measureReport", "resource": bare}, {"name": parameter, key: BULK["base"] + ending}
        )
        headers = {"Prefer": "respond-async", "X-Provenance": '{"resourceType": "Provenance"}'}
        answer = client.post(f"/Measure/{DIABETES}/$submit-data", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        for _ in range(1200):
            status = client.get(answer.headers["content-location"])
            if status.status_code != 202:
                break
            assert int(status.headers["Retry-After"]) > 0
            time.sleep(0.05)
        assert status.status_code == 200, status.text
        assert client.get("/Patient/elsewhere").status_code == 200

    return run


def everything(path: str, least: int) -> Check:
    def run(client: httpx.Client) -> None:
        held = patient("whole")[:3]
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
            for one in held
        ]
        stored = client.post("/", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
        answered("Bundle")(stored)
        answer = client.post(path, headers=HEADERS)
        answered("Bundle")(answer)
        kinds = [entry["resource"]["resourceType"] for entry in answer.json()["entry"]]
        assert {"Patient", "Encounter", "Condition"} <= set(kinds)
        assert answer.json()["total"] >= least
        if "whole" in path:
            assert answer.json()["total"] == len(held)

    return run


MEASURE, GAPS = f"/Measure/{DIABETES}", f"/Measure/$care-gaps?measureId={DIABETES}"
R4, DEQM, TYPE = f"{MEASURE}/$evaluate-measure?", f"{MEASURE}/$evaluate?", "/Measure/$evaluate"
OPEN = f"{PERIOD}&status=open-gap"
NOBODY, NO_MEASURE, MALFORMED = (
    "INVALID_PATIENT_ID",
    "INVALID_MEASURE_ID",
    "periodStart2026-01-01&subjectPatient/1",
)

V3: dict[str, Check] = {
    "measure-availability-01": found(f"/Measure?name={DIABETES}&version=1.0.0", 1),
    "measure-availability-02": found("/Measure?name=NON-EXISTENT_MEASURE_ID&version=0", 0),
    "data-requirements-01": requirements_as_expected,
    "data-requirements-02": posted(f"{MEASURE}/$data-requirements?{PERIOD}", answered("Library"), sent({})),
    "data-requirements-03": posted("/Measure/INVALID_ID/$data-requirements", refused(404), sent({})),
    "fhir-queries-01": queries_for_all,
    "fhir-queries-02": queries_for_one,
    "submit-data-01": data_are_submitted_and_found,
    "submit-data-02": posted(
        f"{MEASURE}/$submit-data",
        refused(400),
        sent({"name": "Measure", "resource": {"resourceType": "Measure"}}),
    ),
    "submit-data-03": posted(
        f"{MEASURE}/$submit-data",
        refused(400),
        sent(*[{"name": "measureReport", "resource": bare_report("x")}] * 2),
    ),
    "evaluate-measure-01": posted(
        f"{R4}{PERIOD}&subject=Patient/one", report("individual"), sent(START, END)
    ),
    "evaluate-measure-02": posted(
        f"{R4}{PERIOD}&reportType=subject-list", report("subject-list"), sent(START, END)
    ),
    "evaluate-measure-03": posted(f"{R4}{PERIOD}&reportType=population", report("summary"), sent(START, END)),
    "evaluate-measure-04": posted(
        f"{R4}{PERIOD}&reportType=population&subject=Group/pair", report("summary"), sent(START, END)
    ),
    "evaluate-measure-05": posted(
        f"/Measure/{NO_MEASURE}/$evaluate-measure?{PERIOD}&subject=Patient/one", refused(404)
    ),
    "evaluate-measure-06": posted(f"{R4}{PERIOD}&subject={NOBODY}", refused(404)),
    "evaluate-measure-07": posted(f"{R4}periodEnd=2026-12-31&subject=Patient/one", refused(400)),
    "evaluate-measure-08": posted(f"{R4}{PERIOD}&reportType=subject", refused(400)),
    "evaluate-measure-09": posted(f"{R4}{PERIOD}&subject=Patient/one&reportType=INVALID", refused(400)),
    "evaluate-measure-10": posted(f"{R4}{MALFORMED}", refused(400)),
    "evaluate-measure-11": posted(f"{R4}periodStart=2026-01-01&subject=Patient/one", refused(400)),
    "care-gaps-01": posted(f"{GAPS}&{OPEN}&subject=Patient/one", answered("Parameters")),
    "care-gaps-02": posted(f"{GAPS}&{OPEN}&subject=Group/pair", answered("Parameters")),
    "care-gaps-03": posted(f"{GAPS}&periodEnd=2026-12-31&subject=Patient/one&status=open-gap", refused(400)),
    "care-gaps-04": posted(f"{GAPS}&{OPEN}&subject=Patient/one&organization=Organization/org", refused(400)),
    "care-gaps-05": posted(f"{GAPS}&{OPEN}&subject=INVALID_SUBJECT_ID", refused(400)),
    "care-gaps-06": posted(f"/Measure/$care-gaps?{OPEN}&subject=Patient/one", answered("Parameters")),
    "care-gaps-07": posted(
        f"/Measure/$care-gaps?measureId={NO_MEASURE}&{OPEN}&subject=Patient/one", refused(404)
    ),
    "care-gaps-08": posted(
        f"{GAPS}&{OPEN}&practitioner=Practitioner/dr&organization=Organization/org", answered("Parameters")
    ),
    "care-gaps-09": posted(
        f"/Measure/$care-gaps?{OPEN}&subject=Patient/one&program=eligible-provider", answered("Parameters")
    ),
    "bulk-submit-data-01": pulled("exportUrl", "valueUrl", "/$export"),
    "bulk-import-01": pulled("exportURL", "valueString", ""),
    "patient-everything-01": everything("/Patient/whole/$everything", 3),
    "patient-everything-02": everything("/Patient/$everything", 3),
    "patient-everything-03": posted("/Patient/INVALID/$everything", refused(404)),
}
V5: dict[str, Check] = {
    "evaluate-id-path-population": posted(DEQM, bundles(1, 1, "summary"), sent(START, END)),
    "evaluate-population": posted(TYPE, bundles(1, 1, "summary"), sent(ONE, START, END)),
    "evaluate-multiple-measure-population": posted(
        TYPE, bundles(1, 2, "summary"), sent(START, END, ONE, TWO)
    ),
    "evaluate-subject-patient": posted(
        TYPE, bundles(1, 1, "individual"), sent(ONE, subject("one"), START, END)
    ),
    "evaluate-multiple-measure-subject-patient": posted(
        TYPE, bundles(1, 2, "individual"), sent(START, END, ONE, TWO, subject("one"))
    ),
    "evaluate-subject-group-reference-population": posted(
        TYPE,
        bundles(1, 1, "summary"),
        sent(subject("Group/pair"), ONE, report_type("population"), START, END),
    ),
    "evaluate-subject-group-reference-subject": posted(
        TYPE,
        bundles(2, 1, "individual"),
        sent(subject("Group/pair"), ONE, report_type("subject"), START, END),
    ),
    "evaluate-invalid-measureid-subject": posted(
        TYPE, refused(404), sent({**ONE, "valueString": NO_MEASURE}, subject("one"), START, END)
    ),
    "evaluate-measureid-path-invalid-measureid": posted(
        f"/Measure/{NO_MEASURE}/$evaluate?{PERIOD}&subject=Patient/one", refused(404)
    ),
    "evaluate-invalid-patientid-subject-body": posted(
        TYPE, refused(404), sent(ONE, subject(NOBODY), START, END)
    ),
    "evaluate-measureid-path-invalid-patientid": posted(f"{DEQM}{PERIOD}&subject={NOBODY}", refused(404)),
    "evaluate-body-invalid-reporttype": posted(
        TYPE, refused(400), sent(ONE, subject("one"), START, END, report_type("INVALID_REPORT_TYPE"))
    ),
    "evaluate-measureid-path-invalid-reporttype": posted(
        f"{DEQM}{PERIOD}&subject=Patient/one&reportType=INVALID_REPORT_TYPE", refused(400)
    ),
    "evaluate-measureid-path-missing-subject-param": posted(
        f"{DEQM}{PERIOD}&reportType=subject", refused(400)
    ),
    "evaluate-body-missing-periodend": posted(TYPE, refused(400), sent(ONE, subject("one"), START)),
    "evaluate-measureid-path-missing-periodend": posted(
        f"{DEQM}periodStart=2026-01-01&subject=Patient/one", refused(400)
    ),
    "evaluate-subject-group-resource-2-patients-population": posted(
        TYPE,
        bundles(1, 1, "summary"),
        sent(ONE, subject_group("one", "two"), report_type("population"), START, END),
    ),
    "evaluate-subject-group-resource-2-patients-subject": posted(
        TYPE,
        bundles(2, 1, "individual"),
        sent(ONE, subject_group("one", "two"), report_type("subject"), START, END),
    ),
    "evaluate-subject-group-resource-1-patient-population": posted(
        TYPE, bundles(1, 1, "summary"), sent(ONE, subject_group("one"), report_type("population"), START, END)
    ),
    "evaluate-subject-group-resource-1-patient-subject": posted(
        TYPE, bundles(1, 1, "individual"), sent(ONE, subject_group("one"), report_type("subject"), START, END)
    ),
    "submit-data-valid-one-subject-multi-measures": submitted("new-one"),
    "submit-data-valid-two-subjects-multi-measures": submitted("new-two", "new-three"),
}
URLS = [{"name": "measureUrl", "valueCanonical": URL + measure} for measure in (DIABETES, PRESSURE)]
COLLECT, COLLECTED = "/Measure/$collect-data", "data-collection"
V1: dict[str, Check] = {
    "collect-data-one-measure-get": posted(
        COLLECT, bundles(None, 1, COLLECTED), sent(URLS[0], START, END), "GET"
    ),
    "collect-data-one-measure-post": posted(COLLECT, bundles(None, 1, COLLECTED), sent(URLS[0], START, END)),
    "collect-data-two-measure-get": posted(
        COLLECT, bundles(None, 2, COLLECTED), sent(*URLS, START, END), "GET"
    ),
    "collect-data-two-measure-post": posted(COLLECT, bundles(None, 2, COLLECTED), sent(*URLS, START, END)),
}
CHECKS = {**V3, **V5, **V1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """The server that is checked, and beside it another from which it takes data."""
    folder: Path = tmp_path_factory.mktemp("checked")

    def settings(name: str) -> Settings:
        return Settings(data_folder=folder / name, _env_file=None)  # type: ignore[call-arg]

    with serving(settings("other")) as other, serving(settings("checked")) as served:
        BULK["base"] = other.base
        put(other.client, *patient("elsewhere"))
        put(
            served.client,
            {"resourceType": "Practitioner", "id": "dr"},
            {"resourceType": "Organization", "id": "org"},
        )
        cared_for = {
            "generalPractitioner": [{"reference": "Practitioner/dr"}],
            "managingOrganization": {"reference": "Organization/org"},
        }
        put(served.client, *patient("one", **cared_for), *patient("two"), group("pair", "one", "two"))
        measure = served.client.get(f"/Measure/{PRESSURE}").json()
        program = {"coding": [{"system": "http://programs.example", "code": "eligible-provider"}]}
        measure["useContext"] = [{"code": {"code": "program"}, "valueCodeableConcept": program}]
        put(served.client, measure)
        yield served


def put(client: httpx.Client, *resources: dict[str, Any]) -> None:
    for resource in resources:
        answer = client.put(f"/{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code in (200, 201), answer.text


@pytest.mark.parametrize("name", CHECKS)
def test_the_server_passes_the_kits_check(server: Serving, name: str) -> None:
    CHECKS[name](server.client)


def test_all_61_checks_of_the_kit_are_here_and_in_the_documentation() -> None:
    table = (Path(__file__).parents[2] / "docs" / "deqm-test-kit.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE) == list(CHECKS)
    print(f"{len(CHECKS)} checks: {len(V3)} of suite v3, {len(V5)} more of v5, {len(V1)} more of v1")
    assert (len(V3), len(V5), len(V1), len(CHECKS)) == (35, 22, 4, 61)
