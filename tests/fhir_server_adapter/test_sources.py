"""Patients by searches, $everything, Bulk Data and from files: the same measures, patient by patient."""

import asyncio
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_server import BASE, FakeServer, about, outcome, patient, reply, statement

from measurewise.cql_libraries import library_resources, measure_resources
from measurewise.engine import Content, Engine, Prepared, to_json
from measurewise.engine.compiler.retrieval import CodeElement, CodeFilter, Retrieval
from measurewise.engine.terminology.value_sets import ValueSetIndex
from measurewise.fhir_server_adapter.bulk import BulkPatients, ExportRequest
from measurewise.fhir_server_adapter.capabilities import Capabilities, capabilities_of
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.pulling import EverythingPatients, SearchedPatients
from measurewise.fhir_server_adapter.search_plan import SearchPlan, TypeSearch, required_types, search_plan
from measurewise.fhir_server_adapter.sources import FilePatients, PatientSource, Pulled
from measurewise.synthetic import synthesize
from measurewise.valuesets import value_set_resources

CODE = (CodeElement("code", "CodeableConcept", False),)
DIABETES = "http://example.org/ValueSet/diabetes"


class Terms:
    """Value sets of example codes."""

    def __init__(self, codes: Iterable[str]) -> None:
        self._codes = frozenset(("http://snomed.info/sct", code) for code in codes)

    def members(self, url: str, version: str | None = None) -> frozenset[tuple[str | None, str]]:
        assert url == DIABETES
        return self._codes


def retrieval(kind: str, comparator: str | None = "in", elements: Any = CODE) -> Retrieval:
    return Retrieval(kind, None, comparator and CodeFilter(elements, comparator, DIABETES))  # type: ignore[arg-type]


def plan(*retrievals: Retrieval, codes: Iterable[str] = "ab", **options: Any) -> SearchPlan:
    return search_plan(retrievals, capabilities_of(statement()), Terms(codes), **options)


def all_of(source: PatientSource) -> list[Pulled]:
    async def run() -> list[Pulled]:
        return [pulled async for pulled in source.patients()]

    return asyncio.run(run())


def test_codes_go_in_chunks_without_systems() -> None:
    (search,) = plan(retrieval("Condition"), codes=["1", "2,3", "4"], chunk=2).searches
    assert list(search.requests(["p1"], 50)) == [
        [("patient", "Patient/p1"), ("_count", "50"), ("code", "1,2\\,3")],
        [("patient", "Patient/p1"), ("_count", "50"), ("code", "4")],
    ]


def test_value_sets_go_by_url_where_the_caller_says_so() -> None:
    (search,) = plan(retrieval("Condition"), code_in=True).searches
    assert search.code_chunks == (("code:in", DIABETES),)


@pytest.mark.parametrize(
    "also",
    [
        retrieval("Condition", None),
        retrieval("Condition", "~"),
        retrieval("Condition", elements=(CodeElement("bodySite", "CodeableConcept", True),)),
    ],
)
def test_a_type_is_asked_for_whole_where_codes_could_leave_something_out(also: Retrieval) -> None:
    assert plan(retrieval("Condition"), also).searches == (TypeSearch("Condition", "patient"),)


def test_very_many_codes_are_not_sent() -> None:
    codes = [str(n) for n in range(30)]
    assert plan(retrieval("Condition"), codes=codes, most_codes=29).searches[0].code_chunks == ()
    assert plan(retrieval("Condition"), codes=codes, most_codes=30).searches[0].code_chunks != ()


def test_types_that_cannot_be_searched_or_belong_to_no_patient_are_told() -> None:
    found = plan(*(retrieval(kind, None) for kind in ("Procedure", "Medication", "Location", "Patient")))
    assert found.searches == ()
    assert found.by_reference == {"Medication", "Location"}
    assert found.unsearchable == {"Procedure", "Location"}
    assert required_types([retrieval("Procedure")]) == {"Patient", "Procedure"}


def test_what_resources_refer_to_comes_along() -> None:
    order = about("MedicationRequest", "m1", "p1", medicationReference={"reference": "Medication/x"})
    drug = {"resourceType": "Medication", "id": "x", "code": {}}
    server = FakeServer([patient("p1"), order, drug, {**drug, "id": "other"}])
    wanted = plan(retrieval("MedicationRequest", None), retrieval("Medication", None))
    (pulled,) = all_of(SearchedPatients(server.client(), wanted))
    assert [r["id"] for r in pulled.resources] == ["p1", "m1", "x"]


def test_a_patient_that_cannot_be_read_is_reported_and_the_others_come() -> None:
    server = FakeServer([patient("p1"), patient("p2"), patient("p3")])

    def before(request: httpx.Request) -> httpx.Response | None:
        if "p2" in str(request.url):
            return reply(outcome("exception", "index is corrupt"), 500)
        return None

    server.before = before
    source = EverythingPatients(server.client(), ["p1", "p2", "p3", "p1"])
    first, second, third = all_of(source)
    assert first.record().patient["id"] == "p1"
    assert third.record().patient["id"] == "p3"
    with pytest.raises(SourceError, match="index is corrupt"):
        second.record()
    assert second.resources == ()
    (fault,) = source.faults
    assert fault.startswith("Patient/p2 could not be read")


def test_everything_leaves_other_patients_out() -> None:
    server = FakeServer([patient("p1"), about("Condition", "c1", "p1")])
    bundle = {"resourceType": "Bundle", "entry": [{"resource": patient(p)} for p in ("p1", "mother")]}
    server.before = lambda request: reply(bundle)
    (pulled,) = all_of(EverythingPatients(server.client(), ["p1"]))
    assert [r["id"] for r in pulled.resources] == ["p1"]


def test_files_are_read_and_a_bad_line_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "patients.ndjson"
    file.write_text(json.dumps({"resources": [patient("p1")]}) + '\n{"resources": []}\n')
    source = FilePatients(file)
    good, bad = all_of(source)
    assert good.patient_id == "p1"
    assert bad.error is not None
    assert len(source.faults) == 1


@cache
def prepared() -> Prepared:
    content = Content.of([*library_resources(), *measure_resources(), *value_set_resources()])
    return Engine(content).prepare(period="2026")


def whole_server(prepared: Prepared, *more: str) -> Capabilities:
    """A server that searches all that the measures retrieve, by patient, by code and by ``more``."""
    names = ["patient", "subject", "code", "type", "category", "vaccine-code", *more]
    resources = [
        {
            "type": kind,
            "interaction": [{"code": "search-type"}],
            "searchParam": [{"name": name} for name in names],
        }
        for kind in required_types(prepared.program.tables.retrievals)
    ]
    return capabilities_of(statement(rest=[{"mode": "server", "resource": resources}]))


def test_dates_are_asked_for_where_windows_are_given_and_the_server_declares_the_parameter() -> None:
    content = Content.of([*library_resources(), *measure_resources(), *value_set_resources()])
    measure = Engine(content).prepare("DiabetesGlycemicControl", period="2026")
    terminology = ValueSetIndex(value_set_resources())

    def dates(server: Capabilities, windows: Any) -> set[tuple[str, str]]:
        retrievals = measure.program.tables.retrievals
        plan = search_plan(retrievals, server, terminology, windows=windows)
        return {date for search in plan.searches for date in search.dates}

    year = {("date", "ge2025-12-27"), ("date", "le2027-01-05")}
    orders = {("authored", "ge2025-12-27"), ("authored", "le2027-01-05")}
    assert dates(whole_server(measure, "date", "authored"), measure.windows) == year | orders
    assert dates(whole_server(measure, "date"), measure.windows) == year
    assert dates(whole_server(measure), measure.windows) == set()
    assert dates(whole_server(measure, "date", "authored"), None) == set()
    # a report that lists what was looked at lists what changes no count, too
    listing = Engine(content).prepare("DiabetesGlycemicControl", period="2026", evaluated_resources=True)
    assert dates(whole_server(measure, "date", "authored"), listing.windows) == set()


def counted(pulled: Iterable[Pulled]) -> dict[str, list[Any]]:
    """The counts and observations of every measure, by patient."""
    return {
        one.patient_id: [
            (group.counts, group.observations)
            for result in prepared().evaluate(one.record())
            for group in result.groups
        ]
        for one in pulled
    }


def exported(bundles: list[Any], folder: Path) -> list[Pulled]:
    """The patients by a Bulk Data export, a file a resource type."""
    by_type: dict[str, list[Any]] = {}
    for bundle in bundles:
        for entry in bundle["entry"]:
            by_type.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    output = [
        {"type": kind, "url": f"{BASE}/file/{kind}", "count": len(them)} for kind, them in by_type.items()
    ]

    def before(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/r4")
        if path == "/Patient/$export":
            return httpx.Response(202, headers={"Content-Location": f"{BASE}/status"})
        if path == "/status":
            return reply({"requiresAccessToken": False, "output": output})
        lines = by_type[path.removeprefix("/file/")]
        return httpx.Response(200, content=b"".join(to_json(line) + b"\n" for line in lines))

    server = FakeServer([])
    server.before = before
    return all_of(BulkPatients(server.client(), ExportRequest(), folder))


def test_searches_everything_bulk_and_files_agree_patient_by_patient(tmp_path: Path) -> None:
    bundles = list(synthesize(40, 7, 2026))
    file = tmp_path / "patients.ndjson"
    file.write_bytes(b"".join(to_json(bundle) + b"\n" for bundle in bundles))
    expected = counted(all_of(FilePatients(file)))
    server = FakeServer([entry["resource"] for bundle in bundles for entry in bundle["entry"]], page=20)
    retrievals = prepared().program.tables.retrievals
    terminology = ValueSetIndex(value_set_resources())
    found = search_plan(retrievals, whole_server(prepared()), terminology)
    assert found.unsearchable == frozenset()
    assert any(search.code_chunks for search in found.searches)
    assert len(expected) == 40
    searched = all_of(SearchedPatients(server.client(), found))
    everything = all_of(EverythingPatients(server.client(), by_reference=found.by_reference))
    assert counted(searched) == expected
    assert counted(everything) == expected
    assert counted(exported(bundles, tmp_path / "export")) == expected
    # searches bring less than everything, or the codes would be for nothing
    assert sum(len(p.resources) for p in searched) < sum(len(p.resources) for p in everything)
