"""An issuer's keys are fetched, remembered, and fetched anew when a token shows that they have changed."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from joserfc import jwk
from outside_issuer import BASE, ISSUER, Clock, OutsideIssuer, app_with, ask

from measurewise.api.security.errors import KeysUnavailableError
from measurewise.api.security.keys import FixedKeys, Key, RemoteKeys, discover, usable
from measurewise.api.security.settings import SecuritySettings


def remote(
    answer: Callable[[httpx.Request], httpx.Response], clock: Clock, lifetime: float = 600
) -> RemoteKeys:
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    return RemoteKeys(client, issuer=ISSUER, lifetime=lifetime, clock=clock)


def test_keys_are_fetched_once(outside: OutsideIssuer, clock: Clock) -> None:
    keys = remote(outside.answer, clock)

    async def many() -> list[Key | None]:
        return await asyncio.gather(*(keys.find(outside.keys[0].kid, "RS256") for _ in range(20)))

    found = asyncio.run(many())
    assert all(key is not None for key in found)
    assert outside.requests == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/certs"]


def test_a_rotated_key_is_found_at_once(outside: OutsideIssuer, clock: Clock) -> None:
    keys = remote(outside.answer, clock)

    async def rotate() -> None:
        assert await keys.find(outside.keys[0].kid, "RS256") is not None
        clock.now += 31
        outside.keys[:] = [jwk.ECKey.generate_key("P-256", auto_kid=True)]
        assert await keys.find(outside.keys[0].kid, "ES256") is not None

    asyncio.run(rotate())
    assert outside.requests.count(f"{ISSUER}/certs") == 2


def test_a_withdrawn_key_is_forgotten_when_the_keys_are_fetched_again(
    outside: OutsideIssuer, clock: Clock
) -> None:
    keys = remote(outside.answer, clock)
    old = outside.keys[0].kid

    async def withdraw() -> None:
        assert await keys.find(old, "RS256") is not None
        outside.keys[:] = [jwk.RSAKey.generate_key(2048, auto_kid=True)]
        clock.now += 599
        assert await keys.find(old, "RS256") is not None
        clock.now += 2
        assert await keys.find(old, "RS256") is None

    asyncio.run(withdraw())


def test_invented_key_ids_cause_no_traffic(outside: OutsideIssuer, clock: Clock) -> None:
    keys = remote(outside.answer, clock)

    async def invent() -> None:
        for number in range(100):
            assert await keys.find(f"invented-{number}", "RS256") is None
            clock.now += 0.5

    asyncio.run(invent())
    # 50 seconds: once to begin with, and once more after 30
    assert outside.requests.count(f"{ISSUER}/certs") == 2


def test_an_issuer_that_is_down_is_bridged_for_a_day(outside: OutsideIssuer, clock: Clock) -> None:
    keys = remote(outside.answer, clock)
    kid = outside.keys[0].kid

    async def bridge() -> None:
        assert await keys.find(kid, "RS256") is not None
        outside.reachable = False
        clock.now += 23 * 3600
        assert await keys.find(kid, "RS256") is not None
        clock.now += 3601
        with pytest.raises(KeysUnavailableError):
            await keys.find(kid, "RS256")
        outside.reachable = True
        clock.now += 31
        assert await keys.find(kid, "RS256") is not None

    asyncio.run(bridge())


def test_a_slow_issuer_holds_up_one_request_only(outside: OutsideIssuer, clock: Clock) -> None:
    slow = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if len(outside.requests) >= 2:
            await slow.wait()
        return outside.answer(request)

    async def go() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        keys = RemoteKeys(client, issuer=ISSUER, clock=clock)
        kid = outside.keys[0].kid
        assert await keys.find(kid, "RS256") is not None
        clock.now += 601
        first = asyncio.create_task(keys.find(kid, "RS256"))
        await asyncio.sleep(0.01)
        for _ in range(5):
            assert await asyncio.wait_for(keys.find(kid, "RS256"), 1) is not None
        assert not first.done()
        slow.set()
        assert await first is not None

    asyncio.run(go())


def test_an_issuer_that_was_never_reached_is_not_asked_at_every_request(
    outside: OutsideIssuer, clock: Clock
) -> None:
    outside.reachable = False
    keys = remote(outside.answer, clock)

    async def again() -> None:
        for _ in range(10):
            with pytest.raises(KeysUnavailableError, match="out of reach"):
                await keys.find("any", "RS256")

    asyncio.run(again())
    assert len(outside.requests) == 2  # both metadata addresses, once


def test_a_request_says_503_when_the_keys_are_out_of_reach(asking: Any, outside: OutsideIssuer) -> None:
    outside.reachable = False
    answer = asking("/me", outside.token())
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["issue"][0]["code"] == "transient"


def test_metadata_that_speaks_of_another_issuer_is_not_believed() -> None:
    def lying(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"issuer": "https://evil.example.org", "jwks_uri": "https://evil/j"})

    async def ask_it() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lying)) as client:
            await discover(client, ISSUER)

    with pytest.raises(KeysUnavailableError, match="speaks of another issuer"):
        asyncio.run(ask_it())


def test_metadata_is_also_found_where_rfc_8414_puts_it() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/oauth-authorization-server/realms/practice":
            return httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": f"{ISSUER}/certs"})
        return httpx.Response(404)

    async def ask_it() -> dict[str, Any]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            return await discover(client, ISSUER)

    assert asyncio.run(ask_it())["jwks_uri"] == f"{ISSUER}/certs"


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, content=b"{" + b" " * 600_000 + b"}"),
        httpx.Response(200, content=b"[]"),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(500),
    ],
    ids=["too large", "array", "html", "failure"],
)
def test_an_answer_that_is_no_key_set_counts_as_none(response: httpx.Response, clock: Clock) -> None:
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: response))
    keys = RemoteKeys(client, jwks_uri=f"{ISSUER}/certs", clock=clock)
    with pytest.raises(KeysUnavailableError):
        asyncio.run(keys.find("any", "RS256"))


def test_no_redirect_is_followed_to_keys_elsewhere(clock: Clock) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if request.url.host == "evil.example.org":
            return httpx.Response(200, json={"keys": []})
        return httpx.Response(302, headers={"location": "https://evil.example.org/jwks"})

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer), follow_redirects=True)
    keys = RemoteKeys(client, jwks_uri=f"{ISSUER}/certs", clock=clock)
    with pytest.raises(KeysUnavailableError, match="302"):
        asyncio.run(keys.find("any", "RS256"))
    assert asked == ["sign-in.example.org"]


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_only_public_signing_keys_of_sufficient_size_are_used() -> None:
    sound = jwk.RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)
    weak = jwk.RSAKey.generate_key(1024, auto_kid=True).as_dict(private=False)
    secret = jwk.OctKey.generate_key(256, auto_kid=True).as_dict(private=True)
    encrypting = jwk.RSAKey.generate_key(2048, auto_kid=True).as_dict(private=False, use="enc")
    broken = {"kty": "RSA", "n": "AQAB"}
    found = usable([weak, secret, encrypting, broken, {"kty": "new"}, "x", None, sound])
    assert [key.kid for key in found] == [sound["kid"]]
    assert not found[0].is_private


def test_a_key_is_used_only_with_the_algorithms_it_is_made_for() -> None:
    p256 = jwk.ECKey.generate_key("P-256", auto_kid=True)
    rsa = jwk.RSAKey.generate_key(2048, auto_kid=True)
    bound = jwk.RSAKey.generate_key(2048, auto_kid=True)
    listed = [
        p256.as_dict(private=False),
        rsa.as_dict(private=False),
        bound.as_dict(private=False, alg="PS384"),
    ]
    keys = FixedKeys(listed)

    def works(kid: str | None, algorithm: str) -> bool:
        return asyncio.run(keys.find(kid, algorithm)) is not None

    assert works(p256.kid, "ES256")
    assert not works(p256.kid, "ES384")
    assert not works(p256.kid, "RS256")
    assert works(rsa.kid, "RS512")
    assert not works(rsa.kid, "ES256")
    assert not works(rsa.kid, "HS256")
    assert works(bound.kid, "PS384")
    assert not works(bound.kid, "RS256")
    # without a key id, only where there is no choice
    assert works(None, "ES256")
    assert not works(None, "PS384")
    assert not works("unknown", "ES256")


@pytest.fixture
def served(outside: OutsideIssuer) -> Iterator[str]:
    """The issuer on a real port, served by uvicorn."""
    app = FastAPI()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"

    @app.get("/.well-known/openid-configuration")
    async def configuration() -> dict[str, str]:
        outside.requests.append("configuration")
        return {"issuer": url, "jwks_uri": f"{url}/jwks"}

    @app.get("/jwks")
    async def jwks() -> dict[str, Any]:
        outside.requests.append("jwks")
        return {"keys": [key.as_dict(private=False) for key in outside.keys]}

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < until, "uvicorn did not start"
            time.sleep(0.01)
        yield url
    finally:
        server.should_exit = True
        thread.join(10)


def test_tokens_are_checked_with_keys_fetched_over_http(outside: OutsideIssuer, served: str) -> None:
    settings = SecuritySettings.model_validate({"base_url": BASE, "issuers": [{"url": served}]})
    app = app_with(settings, clock=outside.clock)

    async def go() -> list[int]:
        statuses = []
        async with ask(app) as client:
            for changed in ({}, {}, {"aud": "other"}):
                token = outside.token(iss=served, **changed)
                answer = await client.get("/me", headers={"authorization": f"Bearer {token}"})
                statuses.append(answer.status_code)
        await app.state.gate.aclose()
        return statuses

    assert asyncio.run(go()) == [200, 200, 401]
    assert outside.requests == ["configuration", "jwks"]
