"""Resources are kept with their versions, found again, and seen by those alone whose they are."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from measurewise.store import resources as store
from measurewise.store.access import OPERATOR, Access
from measurewise.store.database import Database
from measurewise.store.errors import (
    ConflictError,
    DeletedResourceError,
    ForbiddenError,
    NoSuchResourceError,
    SearchError,
    StoreError,
)
from measurewise.store.histories import Versions, version, versions
from measurewise.store.search import Criterion, Page, Search, search

OURS = Access(frozenset({"ours"}))
THEIRS = Access(frozenset({"theirs"}))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    found = Database(database_url)
    found.migrate()
    yield found
    found.close()


def put(database: Database, resource: dict[str, Any], organization: str = "ours") -> store.Stored:
    with database.write() as connection:
        return store.write(connection, organization, resource)


def find(database: Database, access: Access, kind: str, **asked: Any) -> Page:
    pairs = asked.pop("criteria", ())
    criteria = tuple(Criterion.parse(name, value) for name, value in pairs)
    with database.read() as connection:
        return search(
            connection, access, Search(kind, criteria, **asked), lambda url: [("s", "a"), ("s", "b")]
        )


def ids(page: Page) -> list[str]:
    return [found.id for found in page.matches]


def observation(identity: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": identity,
        "status": "final",
        "subject": {"reference": "Patient/p"},
        "code": {"coding": [{"system": "s", "code": "a"}]},
        **more,
    }


def test_a_resource_keeps_its_digits_and_gets_the_stores_version(database: Database) -> None:
    written = put(database, observation("o", valueQuantity={"value": Decimal("72.50")}))
    assert (written.version, written.created) == (1, True)
    assert b'"value":72.50' in written.body
    with database.read() as connection:
        assert store.read(connection, OURS, "Observation", "o").body == written.body


def test_every_version_can_be_read_again(database: Database) -> None:
    put(database, observation("o"))
    put(database, observation("o", status_note="changed"))
    with database.write() as connection:
        store.remove(connection, OURS, "Observation", "o")
    with database.read() as connection:
        found = versions(connection, OURS, Versions("Observation", "o", 9)).entries
        assert [(v.version, method) for v, method in found] == [(3, "DELETE"), (2, "PUT"), (1, "POST")]
        assert "status_note" not in version(connection, OURS, "Observation", "o", 1)[0].parsed()
        with pytest.raises(DeletedResourceError):
            store.read(connection, OURS, "Observation", "o")


def test_writing_the_same_again_makes_no_version(database: Database) -> None:
    put(database, observation("o"))
    assert put(database, observation("o")).version == 1


def test_a_change_of_another_version_than_expected_is_a_conflict(database: Database) -> None:
    put(database, observation("o"))
    with database.write() as connection, pytest.raises(ConflictError, match="at version 1, not at version 7"):
        store.write(connection, "ours", observation("o", note=[]), if_match=7)


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def broken_off() -> None:
        with database.write() as connection:
            store.write(connection, "ours", observation("o"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert ids(find(database, OURS, "Observation")) == []


def test_organisations_do_not_see_each_other(database: Database) -> None:
    put(database, {"resourceType": "Patient", "id": "p"})
    put(database, {"resourceType": "Patient", "id": "p", "active": True}, "theirs")
    with database.read() as connection:
        assert "active" not in store.read(connection, OURS, "Patient", "p").parsed()
        assert store.read(connection, THEIRS, "Patient", "p").parsed()["active"] is True
        with pytest.raises(ConflictError, match="several organisations"):
            store.read(connection, OPERATOR, "Patient", "p")
    with database.write() as connection:
        store.remove(connection, THEIRS, "Patient", "p")
    assert ids(find(database, OURS, "Patient")) == ["p"]


def test_a_patients_token_sees_that_patient_and_the_content(database: Database) -> None:
    put(database, {"resourceType": "Patient", "id": "p"})
    put(database, {"resourceType": "Patient", "id": "q"})
    put(database, observation("o"))
    put(database, observation("other", subject={"reference": "Patient/q"}))
    put(database, {"resourceType": "Organization", "id": "practice"})
    put(database, {"resourceType": "Measure", "id": "m", "url": "http://m"})
    narrow = Access(frozenset({"ours"}), "p")
    assert ids(find(database, narrow, "Patient")) == ["p"]
    assert ids(find(database, narrow, "Observation")) == ["o"]
    assert ids(find(database, narrow, "Organization")) == []
    assert ids(find(database, narrow, "Measure")) == ["m"]
    with database.read() as connection, pytest.raises(NoSuchResourceError):
        store.read(connection, narrow, "Observation", "other")


def test_new_data_need_one_organisation(database: Database) -> None:
    assert OURS.home(None, "default") == "ours"
    assert OPERATOR.home(None, "default") == "default"
    with pytest.raises(ForbiddenError, match="2 organisations"):
        Access(frozenset({"a", "b"})).home(None, "default")
    with pytest.raises(ForbiddenError, match="does not belong"):
        OURS.home("theirs", "default")


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("code", "s|a", ["day"]),
        ("code", "a", ["day"]),
        ("code", "|a", []),
        ("code", "other|a", []),
        ("code:in", "http://value.set", ["day"]),
        ("code:not", "s|a", ["span", "none"]),
        ("date", "2026-05-03", ["day"]),
        ("date", "2026-05", ["day"]),
        ("date", "ge2026-05-03", ["day", "span"]),
        ("date", "gt2026-05-03T23:59:59.999Z", ["span"]),
        ("date", "lt2026-05-03", []),
        ("date", "le2026-05-03T10:00:00+02:00", ["day"]),
        ("date", "sa2026-05-03", ["span"]),
        ("date", "eb2027", ["day"]),
        ("date:missing", "true", ["none"]),
        ("patient", "Patient/p", ["day", "span"]),
        ("subject", "q", ["none"]),
        ("encounter", "Encounter/e", ["span"]),
        ("encounter", "e", ["span"]),
        ("_id", "day,none", ["day", "none"]),
        ("status", "final,amended", ["day", "span", "none"]),
    ],
)
def test_searches_find_what_fhir_says(database: Database, name: str, value: str, found: list[str]) -> None:
    put(database, observation("day", effectiveDateTime="2026-05-03T08:00:00Z"))
    span = {"start": "2026-12-31T23:00:00Z"}
    put(
        database,
        observation("span", effectivePeriod=span, encounter={"reference": "Encounter/e"}, code={"text": "x"}),
    )
    put(database, observation("none", subject={"reference": "http://x.example/fhir/Patient/q"}, code={}))
    assert ids(find(database, OURS, "Observation", criteria=[(name, value)])) == found


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("flavour", "x", "not searched by 'flavour'"),
        ("date", "yesterday", "is no date"),
        ("code:text", "x", "':text' is not served"),
        ("encounter.flavour", "x", "not searched by 'flavour'"),
        ("date:missing", "perhaps", "true or false"),
    ],
)
def test_a_search_that_cannot_be_honoured_is_refused(
    database: Database, name: str, value: str, said: str
) -> None:
    with pytest.raises(SearchError, match=said):
        find(database, OURS, "Observation", criteria=[(name, value)])


def test_pages_lose_and_repeat_nothing_while_others_write(database: Database) -> None:
    for number in range(7):
        put(database, observation(f"o{number}"))
    seen: list[str] = []
    after = None
    while True:
        page = find(database, OURS, "Observation", count=3, after=after)
        seen += ids(page)
        put(database, observation(f"late{len(seen)}"))
        with database.write() as connection:
            store.remove(connection, OURS, "Observation", seen[0])
        after = page.next
        if after is None or len(seen) > 20:
            break
    assert [found for found in seen if found.startswith("o")] == [f"o{number}" for number in range(7)]
    assert len(seen) == len(set(seen))


def test_includes_come_once_and_respect_the_organisation(database: Database) -> None:
    put(database, {"resourceType": "Patient", "id": "p"}, "theirs")
    put(database, {"resourceType": "Patient", "id": "p"})
    put(database, observation("one", encounter={"reference": "Encounter/e"}))
    put(database, observation("two", encounter={"reference": "Encounter/e"}))
    put(database, {"resourceType": "Encounter", "id": "e", "subject": {"reference": "Patient/p"}})
    page = find(
        database,
        OURS,
        "Observation",
        includes=(("_include", "Observation:encounter"), ("_include", "Observation:subject")),
    )
    assert sorted(found.reference for found in page.included) == ["Encounter/e", "Patient/p"]
    assert {found.organization for found in page.included} == {"ours"}
    back = find(database, OURS, "Encounter", includes=(("_revinclude", "Observation:encounter"),))
    assert sorted(found.id for found in back.included) == ["one", "two"]


def test_a_database_that_cannot_be_opened_is_told_clearly(tmp_path: Any) -> None:
    with pytest.raises(StoreError, match="URL cannot be used"):
        Database("nonsense")
    (tmp_path / "file.db").write_bytes(b"this is no database" * 100)
    broken = Database(f"sqlite:///{tmp_path / 'file.db'}")
    with pytest.raises(StoreError, match="cannot be opened"):
        broken.check()


def test_tables_of_another_version_are_told_and_mended(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(StoreError, match="tables are of version None"):
        database.check()
    database.migrate()
    database.migrate()
    database.check()
    database.close()
