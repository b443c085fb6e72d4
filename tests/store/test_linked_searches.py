"""Searches that follow references: chains, ``_has``, includes that go on, and the order of what is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from measurewise.store import resources as store
from measurewise.store.access import OPERATOR, Access
from measurewise.store.database import Database
from measurewise.store.errors import ForbiddenError, SearchError, TooMuchError
from measurewise.store.search import Criterion, Page, Search, search

OURS = Access(frozenset({"ours"}))
OF_ANN = Access(frozenset({"ours"}), "ann")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    from postgresql_server import new_database

    found = Database(new_database(request, tmp_path_factory.mktemp("linked"), request.param))
    found.migrate()
    with found.write() as connection:
        for organization, resource in records():
            store.write(connection, organization, resource)
    yield found
    found.close()


def records() -> Iterator[tuple[str, dict[str, Any]]]:
    def named(kind: str, identity: str, **more: Any) -> dict[str, Any]:
        return {"resourceType": kind, "id": identity, **more}

    def to(reference: str) -> dict[str, str]:
        return {"reference": reference}

    yield "ours", named("Organization", "clinic", name="Clinic")
    yield "ours", named("Organization", "ward", name="Ward", partOf=to("Organization/clinic"))
    yield (
        "ours",
        named(
            "Patient", "ann", gender="female", birthDate="1970", managingOrganization=to("Organization/ward")
        ),
    )
    yield "ours", named("Patient", "bob", gender="male", birthDate="1960")
    yield "ours", named("Patient", "cid", name=[{"family": "Zed"}, {"family": "Abel"}])
    yield "theirs", named("Patient", "ann", gender="male")
    yield "theirs", named("Patient", "bob", gender="male")
    for identity, patient, code in (("a1", "ann", "x"), ("a2", "ann", "y"), ("b1", "bob", "x")):
        visit = {"encounter": to("Encounter/visit")} if identity == "a1" else {}
        yield "ours", named(
            "Observation", identity, status="final", code={"coding": [{"code": code}]},
            subject=to(f"Patient/{patient}"), performer=[to("Organization/clinic")], **visit,
        )  # fmt: skip
    yield "ours", named("Encounter", "visit", status="finished", subject=to("Patient/ann"))
    yield (
        "theirs",
        named(
            "Observation",
            "other",
            status="final",
            code={"coding": [{"code": "z"}]},
            subject=to("Patient/bob"),
        ),
    )


def find(database: Database, kind: str, *pairs: tuple[str, str], access: Access = OURS, **asked: Any) -> Page:
    may = asked.pop("may", lambda kind, action: True)
    criteria = tuple(Criterion.parse(name, value) for name, value in pairs)
    with database.read() as connection:
        return search(connection, access, Search(kind, criteria, **asked), lambda _: [], may)


def ids(page: Page) -> list[str]:
    return [found.id for found in page.matches]


def along(page: Page) -> list[str]:
    return sorted(found.reference for found in page.included)


@pytest.mark.parametrize(
    ("kind", "name", "value", "found"),
    [
        ("Observation", "patient.gender", "female", ["a1", "a2"]),
        ("Observation", "subject:Patient.gender", "male", ["b1"]),
        ("Observation", "patient.gender:not", "female", ["b1"]),
        ("Observation", "patient.birthdate", "lt1965", ["b1"]),
        ("Observation", "patient.organization.name", "ward", ["a1", "a2"]),
        ("Observation", "patient.organization.partof.name", "clinic", ["a1", "a2"]),
        ("Observation", "encounter.status", "finished", ["a1"]),
        ("Observation", "performer:Organization.name:exact", "Clinic", ["a1", "a2", "b1"]),
        ("Observation", "patient._id", "bob", ["b1"]),
        ("Patient", "_has:Observation:patient:code", "x", ["ann", "bob"]),
        ("Patient", "_has:Observation:patient:code", "y", ["ann"]),
        ("Patient", "_has:Observation:patient:encounter.status", "finished", ["ann"]),
        ("Organization", "_has:Patient:organization:gender", "female", ["ward"]),
        ("Organization", "_has:Patient:organization:_has:Observation:patient:code", "y", ["ward"]),
        ("Observation", "patient:missing", "true", []),
        ("Encounter", "patient:missing", "false", ["visit"]),
    ],
)
def test_references_are_followed(
    database: Database, kind: str, name: str, value: str, found: list[str]
) -> None:
    assert ids(find(database, kind, (name, value))) == found


def test_a_chain_stays_within_the_organisation(database: Database) -> None:
    """Their Ann is male, and their Bob has the code z: neither says anything of ours."""
    assert ids(find(database, "Observation", ("patient.gender", "male"), access=OPERATOR)) == ["b1", "other"]
    assert ids(find(database, "Patient", ("_has:Observation:patient:code", "z"))) == []
    theirs = find(database, "Patient", ("_has:Observation:patient:code", "z"), access=OPERATOR)
    assert [(found.organization, found.id) for found in theirs.matches] == [("theirs", "bob")]


def test_a_patients_access_follows_references_to_that_patient_alone(database: Database) -> None:
    assert ids(find(database, "Observation", ("patient.gender", "male"), access=OF_ANN)) == []
    assert ids(find(database, "Patient", ("_has:Observation:patient:code", "x"), access=OF_ANN)) == ["ann"]
    page = find(database, "Patient", access=OF_ANN, includes=(("_revinclude", "Observation:patient"),))
    assert along(page) == ["Observation/a1", "Observation/a2"]


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("Observation", "performer.name", "several types"),
        ("Observation", "encounter:Patient.gender", "does not refer to a Patient"),
        ("Observation", "code.name", "no reference"),
        ("Observation", "patient.shoe", "Patient is not searched by 'shoe'"),
        ("Organization", "partof.partof.partof.partof.partof.name", "at most 4 links"),
        ("Patient", "_has:Observation:encounter:code", "does not refer to a Patient"),
        ("Patient", "_has:Observation", "is no _has"),
        ("Patient", "_id:exact", "':exact' is not served"),
        ("Patient", "_lastUpdated:not", "':not' is not served"),
        ("Observation", "code:above", "':above' is not served"),
        ("Observation", "patient:identifier", "':identifier' is not served"),
    ],
)
def test_what_cannot_be_followed_is_refused(database: Database, kind: str, name: str, said: str) -> None:
    with pytest.raises(SearchError, match=said):
        find(database, kind, (name, "2026"))


def test_a_chain_looks_at_no_type_that_may_not_be_looked_at(database: Database) -> None:
    for kind, name in (("Observation", "patient.gender"), ("Observation", "patient.organization.name")):
        with pytest.raises(ForbiddenError, match="to search"):
            find(database, kind, (name, "x"), may=lambda kind, action: kind == "Observation")


def test_includes_go_on_where_they_iterate(database: Database) -> None:
    first = (("_include", "Observation:patient"),)
    assert along(find(database, "Observation", includes=first)) == ["Patient/ann", "Patient/bob"]
    steps = (("_include:iterate", "Patient:organization"), ("_include:iterate", "Organization:partof"))
    page = find(database, "Observation", includes=(*first, *steps))
    assert along(page) == ["Organization/clinic", "Organization/ward", "Patient/ann", "Patient/bob"]
    once = find(database, "Observation", includes=(*first, *steps[:1]))
    assert along(once) == ["Organization/ward", "Patient/ann", "Patient/bob"]
    back = (("_revinclude", "Encounter:patient"), ("_revinclude:iterate", "Observation:encounter"))
    page = find(database, "Patient", ("_id", "ann"), includes=back)
    assert along(page) == ["Encounter/visit", "Observation/a1"]


def test_what_may_not_be_read_is_neither_included_nor_passed_through(database: Database) -> None:
    steps = (("_include", "Observation:patient"), ("_include:iterate", "Patient:organization"))
    page = find(
        database, "Observation", includes=steps,
        may=lambda kind, action: kind != "Patient",
    )  # fmt: skip
    assert along(page) == []


def test_what_is_included_has_a_bound(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("measurewise.store.search_includes.MOST_INCLUDED", 2)
    with pytest.raises(TooMuchError, match="more than 2 resources"):
        find(database, "Patient", includes=(("_revinclude", "Observation:patient"),))


@pytest.mark.parametrize(
    ("include", "said"),
    [
        (("_include", "Patient:organization"), "not about Observation"),
        (("_include", "Observation"), "names no reference"),
        (("_include", "Observation:code"), "no reference"),
        (("_include", "Observation:encounter:Patient"), "does not refer to a Patient"),
        (("_include:recurse", "Observation:patient"), "is not served"),
    ],
)
def test_an_include_that_cannot_be_honoured_is_refused(
    database: Database, include: tuple[str, str], said: str
) -> None:
    with pytest.raises(SearchError, match=said):
        find(database, "Observation", includes=(include,))


@pytest.mark.parametrize(
    ("sort", "found"),
    [
        (("birthdate",), ["bob", "ann", "cid"]),
        (("-birthdate",), ["ann", "bob", "cid"]),
        (("-gender", "birthdate"), ["bob", "ann", "cid"]),
        (("family",), ["cid", "ann", "bob"]),
        (("-_id",), ["cid", "bob", "ann"]),
    ],
)
def test_results_are_sorted_and_what_has_no_value_comes_last(
    database: Database, sort: tuple[str, ...], found: list[str]
) -> None:
    assert ids(find(database, "Patient", sort=sort)) == found
    first = find(database, "Patient", sort=sort, count=2)
    assert ids(first) + ids(find(database, "Patient", sort=sort, count=2, after=first.next)) == found


def test_an_order_that_is_not_offered_is_refused(database: Database) -> None:
    with pytest.raises(SearchError, match="not sorted by 'shoe-size'"):
        find(database, "Patient", sort=("shoe-size",))
