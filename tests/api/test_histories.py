"""``_history`` of a resource, of a type and of everything: what changed since when, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from fastapi.testclient import TestClient
from served import issue, put, start

from measurewise.api.settings import Settings


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    settings = Settings(
        data_folder=tmp_path_factory.mktemp("histories"), shipped_content=False, _env_file=None
    )  # type: ignore[call-arg]
    for served in start(settings):
        # A store may have content already.
        BEGUN.append(datetime.now(UTC).isoformat())
        put(served, place("a", "first"), place("b", "other"), {"resourceType": "Patient", "id": "p"})
        put(served, place("a", "second"))
        assert served.delete("/fhir/Location/b").status_code == 204
        put(served, place("a", "third"))
        yield served


BEGUN: Final[list[str]] = []


def place(identity: str, name: str) -> dict[str, Any]:
    return {"resourceType": "Location", "id": identity, "name": name}


def history(client: TestClient, path: str, **query: str) -> dict[str, Any]:
    if path == "_history":
        query = {"_since": BEGUN[-1], **query}
    answer = client.get(f"/fhir/{path}", params=query)
    assert answer.status_code == 200, answer.text
    bundle: dict[str, Any] = answer.json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "history")
    return bundle


def told(bundle: dict[str, Any]) -> list[str]:
    """Each entry as ``DELETE Location/b W/"2"``."""
    return [
        f"{entry['request']['method']} {entry['fullUrl'].partition('/fhir/')[2]} {entry['response']['etag']}"
        for entry in bundle.get("entry", ())
    ]


OF_PLACES = [
    'PUT Location/a W/"3"', 'DELETE Location/b W/"2"', 'PUT Location/a W/"2"', 'POST Location/b W/"1"',
    'POST Location/a W/"1"',
]  # fmt: skip


def test_the_newest_version_comes_first(client: TestClient) -> None:
    assert told(history(client, "Location/a/_history")) == [line for line in OF_PLACES if "/a" in line]
    of_type = history(client, "Location/_history")
    assert told(of_type) == OF_PLACES
    assert of_type["total"] == 5
    assert told(history(client, "_history")) == [*OF_PLACES[:3], 'POST Patient/p W/"1"', *OF_PLACES[3:]]


def test_a_deletion_is_an_entry_without_a_resource(client: TestClient) -> None:
    for path in ("Location/b/_history", "Location/_history", "_history"):
        entries = history(client, path)["entry"]
        (gone,) = [entry for entry in entries if entry["request"]["method"] == "DELETE"]
        assert "resource" not in gone
        assert gone["request"]["url"] == "Location/b"
        assert gone["response"]["status"] == "204"
    names = [entry["resource"]["name"] for entry in history(client, "Location/a/_history")["entry"]]
    assert names == ["third", "second", "first"]


@pytest.mark.parametrize("path", ["Location/_history", "_history", "Location/a/_history"])
def test_pages_lead_through_all_versions(client: TestClient, path: str) -> None:
    whole = told(history(client, path))
    seen: list[str] = []
    page = history(client, path, _count="2")
    for _ in range(10):
        seen += told(page)
        links = {link["relation"]: link["url"] for link in page["link"]}
        if "next" not in links:
            break
        # What is written meanwhile is newer than any page that follows.
        put(client, {"resourceType": "Organization", "id": f"late-{len(seen)}", "name": path})
        page = client.get(links["next"]).json()
    assert seen == whole


def test_only_what_was_made_since_a_moment(client: TestClient) -> None:
    second = history(client, "Location/a/_history/")["entry"][1]["response"]["lastModified"]
    assert told(history(client, "Location/a/_history", _since=second)) == [
        'PUT Location/a W/"3"', 'PUT Location/a W/"2"',
    ]  # fmt: skip
    assert told(history(client, "Location/_history", _since=second)) == OF_PLACES[:3]
    assert history(client, "Location/_history", _since="2199")["total"] == 0


def test_what_was_current_at_a_moment(client: TestClient) -> None:
    entries = history(client, "Location/_history")["entry"]
    moments = [entry["resource"]["meta"]["lastUpdated"] for entry in entries if "resource" in entry]
    # Shown to the millisecond: a moment is met by every version that was current within it.
    at_last = told(history(client, "Location/_history", _at="2199"))
    assert at_last == OF_PLACES[:2]
    assert OF_PLACES[2] in told(history(client, "Location/_history", _at=moments[1]))
    assert told(history(client, "Location/_history", _at="1999")) == []


def test_what_a_history_does_not_have_is_refused(client: TestClient) -> None:
    for query, said in (
        ({"_since": "yesterday"}, "no date"),
        ({"_at": "x"}, "no date"),
        ({"_count": "-1"}, "no number"),
        ({"name": "a"}, "no parameter 'name'"),
        ({"_after": "1"}, "this page does not exist"),
        ({"_after": "999999999999999999-1-1"}, "this page does not exist"),
    ):
        for path in ("Location/_history", "_history", "Location/a/_history"):
            answer = client.get(f"/fhir/{path}", params=query)
            assert answer.status_code == 400, (path, query)
            assert said in issue(answer)["diagnostics"]
    assert client.get("/fhir/Location/none/_history").status_code == 404
    assert client.get("/fhir/Nothing/_history").status_code == 404


def test_versions_are_asked_for_in_a_bundle(client: TestClient) -> None:
    urls = ("Location/_history?_count=1", "Location/a/_history", "_history?_count=1", "Location/a/_history/2")
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    entries.append({"request": {"method": "HEAD", "url": "Location/a"}})
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answers = client.post("/fhir", json=bundle).json()["entry"]
    assert [entry["response"]["status"] for entry in answers] == ["200"] * 5
    assert (answers[4]["response"]["etag"], "resource" in answers[4]) == ('W/"3"', False)
    assert told(answers[0]["resource"]) == OF_PLACES[:1]
    assert answers[3]["resource"]["name"] == "second"
    assert answers[3]["response"]["etag"] == 'W/"2"'
