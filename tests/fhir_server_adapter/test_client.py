"""The client asks again where that helps, follows pages, and keeps credentials and patients to itself."""

import asyncio
import logging
import pickle
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fake_server import BASE, FakeServer, about, outcome, patient, reply

from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.retrying import Retries, retry_after
from measurewise.fhir_server_adapter.signin import Basic, Bearer

CONDITIONS = [about("Condition", f"c{n}", "p1", "73211009") for n in range(5)]


def found(server: FakeServer, **options: Any) -> list[str]:
    async def run() -> list[str]:
        async with server.client(**options) as client:
            search = client.search("Condition", [("patient", "Patient/p1")])
            return [resource["id"] async for resource in search]

    return asyncio.run(run())


def first_times(number: int, make: Callable[[], httpx.Response]) -> Callable[[httpx.Request], Any]:
    left = [number]

    def before(request: httpx.Request) -> httpx.Response | None:
        if left[0]:
            left[0] -= 1
            return make()
        return None

    return before


@pytest.mark.parametrize("relative", [True, False])
def test_pages_are_followed_by_their_next_links(relative: bool) -> None:
    server = FakeServer(CONDITIONS)
    server.relative_links = relative
    assert found(server) == ["c0", "c1", "c2", "c3", "c4"]
    assert server.paths() == ["/r4/Condition/_search", "/r4/Condition", "/r4/Condition"]


def test_a_resource_on_two_pages_counts_once() -> None:
    assert found(FakeServer([*CONDITIONS[:2], CONDITIONS[1], CONDITIONS[2]])) == ["c0", "c1", "c2"]


def test_pages_in_a_circle_are_an_error() -> None:
    server = FakeServer([])
    link = [{"relation": "next", "url": f"{BASE}/Condition?page=1"}]
    server.before = lambda request: reply({"resourceType": "Bundle", "link": link})
    with pytest.raises(SourceError, match="circle"):
        found(server)


def test_a_next_link_to_another_origin_is_not_followed() -> None:
    server = FakeServer([])
    link = [{"relation": "next", "url": "https://elsewhere.example.org/r4/Condition?page=1"}]
    server.before = lambda request: reply({"resourceType": "Bundle", "link": link})
    with pytest.raises(SourceError, match="another origin"):
        found(server, sign_in=Bearer("sesame"))
    assert len(server.requests) == 1


def test_a_server_that_takes_no_post_search_is_asked_by_get() -> None:
    server = FakeServer(CONDITIONS[:1])
    server.before = lambda r: reply(outcome("not-supported", "no"), 405) if r.method == "POST" else None
    assert found(server) == ["c0"]
    assert [r.method for r in server.requests] == ["POST", "GET"]


def test_retry_after_is_honoured() -> None:
    server = FakeServer(CONDITIONS[:1])
    server.before = first_times(2, lambda: reply({}, 429, {"Retry-After": "7"}))
    assert found(server) == ["c0"]
    assert server.slept == [7.0, 7.0]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failing_server_is_asked_again_with_longer_waits(status: int) -> None:
    server = FakeServer(CONDITIONS[:1])
    server.before = first_times(3, lambda: reply({}, status))
    assert found(server) == ["c0"]
    assert len(server.slept) == 3
    assert server.slept[0] <= 0.5 < server.slept[2] <= 2.0


def test_a_broken_connection_is_tried_again_and_then_given_up() -> None:
    def broken() -> httpx.Response:
        raise httpx.ReadError("reset")

    server = FakeServer(CONDITIONS[:1])
    server.before = first_times(1, broken)
    assert found(server) == ["c0"]
    server.before = first_times(99, broken)
    with pytest.raises(SourceError, match="cannot be reached") as caught:
        found(server)
    assert caught.value.code == "transient"


def test_a_body_that_cannot_be_unpacked_is_asked_for_again() -> None:
    async def garbled() -> AsyncIterator[bytes]:
        yield b"no gzip"

    server = FakeServer(CONDITIONS[:1])
    server.before = first_times(
        1, lambda: httpx.Response(200, content=garbled(), headers={"Content-Encoding": "gzip"})
    )
    assert found(server) == ["c0"]
    assert len(server.slept) == 1


def test_a_wait_beyond_patience_is_given_up_at_once() -> None:
    server = FakeServer([])
    server.before = lambda request: reply({}, 503, {"Retry-After": "86400"})
    with pytest.raises(SourceError, match="503"):
        found(server)
    assert server.slept == []


def test_a_post_that_changes_something_is_not_repeated_after_a_failure() -> None:
    async def run(server: FakeServer) -> None:
        async with server.client() as client:
            await client.send("POST", client.url("Patient"), content=b"{}")

    server = FakeServer([])
    server.before = lambda request: reply({}, 500)
    with pytest.raises(SourceError):
        asyncio.run(run(server))
    assert len(server.requests) == 1


def test_an_operation_outcome_becomes_the_error() -> None:
    server = FakeServer([])
    server.before = lambda request: reply(outcome("business-rule", "no such parameter: patient"), 400)
    with pytest.raises(SourceError, match=r"400 \(business-rule: no such parameter") as caught:
        found(server)
    assert (caught.value.status, caught.value.code) == (400, "business-rule")
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert (str(again), again.status, again.code) == (str(caught.value), 400, "business-rule")


def test_no_secret_and_no_patient_stands_in_errors_or_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = FakeServer([])
    server.before = lambda request: reply({}, 403)
    with pytest.raises(SourceError) as caught:
        found(server, sign_in=Basic("user", "sesame"))
    request = server.requests[0]
    assert request.headers["Authorization"] == "Basic dXNlcjpzZXNhbWU="
    for text in (str(caught.value), caplog.text):
        assert "sesame" not in text
        assert "dXNlcjpzZXNhbWU" not in text
        assert "Patient/p1" not in text
    assert request.headers["X-Request-Id"] in str(caught.value)


def test_no_more_requests_are_under_way_than_allowed() -> None:
    under_way, most = 0, 0

    async def slow(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return reply(patient("p1"))

    async def run() -> None:
        async with FhirClient(BASE, concurrency=2, transport=httpx.MockTransport(slow)) as client:
            await asyncio.gather(*(client.get("Patient/p1") for _ in range(10)))

    asyncio.run(run())
    assert most == 2


@pytest.mark.parametrize("address", ["ftp://x.org", "fhir.example.org/r4", "https://user:pw@x.org/r4"])
def test_an_address_that_cannot_be_one_is_refused(address: str) -> None:
    with pytest.raises(SourceError) as caught:
        FhirClient(address)
    assert "pw" not in str(caught.value)


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    now = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after({"Retry-After": "12"}) == 12.0
    assert retry_after({"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, now=now) == 30.0
    assert retry_after({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, now=now) == 0.0
    assert retry_after({"Retry-After": "soon"}) is None
    assert retry_after({}) is None


def test_waits_without_advice_stay_below_the_longest() -> None:
    retries = Retries(first=1.0, longest=4.0)
    assert all(0.5 <= retries.wait(1, None) <= 1.0 for _ in range(50))
    assert all(2.0 <= retries.wait(9, None) <= 4.0 for _ in range(50))
