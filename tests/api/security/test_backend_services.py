"""SMART Backend Services against the built-in issuer: a registry signs in with its key."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwk
from local_site import ASSERTION_TYPE, AUTH, LocalSite, site_at, unsigned_parts
from outside_issuer import AUDIENCE

from measurewise.fhir_server_adapter.signin import BackendServices


@pytest.fixture
def site(keys_folder: Path) -> LocalSite:
    return site_at(keys_folder)


def refused(answer: httpx.Response, error: str = "invalid_client", status: int = 401) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["error"] == error
    return str(body["error_description"])


def test_a_registry_gets_a_token_and_reads_with_it(site: LocalSite) -> None:
    async def go() -> None:
        answer = await site.backend("system/Measure.rs system/MeasureReport.rs")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        token = answer.json()
        assert {name: value for name, value in token.items() if name != "access_token"} == {
            "token_type": "bearer",
            "expires_in": 300,
            "scope": "system/Measure.rs system/MeasureReport.rs",
        }
        seen = await site.me(token["access_token"], "/evaluate")
        assert seen.json() == {
            "subject": "registry",
            "client": "registry",
            "organizations": ["practice-a", "practice-b"],
            "patient": None,
            "search": [],
        }
        assert (await site.me(token["access_token"], "/export")).status_code == 403
        header, claims = (json.loads(part) for part in unsigned_parts(token["access_token"]))
        assert (header["alg"], header["typ"]) == ("ES384", "at+jwt")
        assert (claims["iss"], claims["aud"]) == (AUTH, AUDIENCE)

    asyncio.run(go())


def test_an_rsa_key_works_with_rs384(site: LocalSite) -> None:
    assertion = site.assertion(key=site.registry_rsa, algorithm="RS384")
    assert asyncio.run(site.backend(client_assertion=assertion)).status_code == 200


def test_the_sign_in_of_the_adapter_works_against_the_issuer(site: LocalSite) -> None:
    """The other side of the same conversation, as this project itself signs in at a source."""
    sign_in = BackendServices(
        "registry", site.registry_key.as_dict(private=True), token_url=f"{AUTH}/token", scope="system/*.rs"
    )

    async def send(
        method: str, url: str, *, form: Any = None, headers: Any = None, again: bool | None = None
    ) -> httpx.Response:
        answer = await site.send(method, url, data=dict(form), headers=headers)
        return answer.raise_for_status()

    async def go() -> httpx.Response:
        headers = await sign_in.headers(send)
        return await site.send("GET", "/export", headers=headers)

    assert asyncio.run(go()).status_code == 200


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"aud": f"{AUTH}/authorize"}, "aud is not"),
        ({"aud": AUTH}, "aud is not"),
        ({"aud": None}, "aud is not"),
        ({"iss": "other", "sub": "other"}, "has not registered"),
        ({"iss": "nobody", "sub": "nobody"}, "no client that is registered"),
        ({"iss": "app", "sub": "app"}, "no client that is registered with keys"),
        ({"sub": "other"}, "not both the client's id"),
        ({"jti": None}, "no jti"),
        ({"exp": None}, "no expiry"),
        ({"kid": None}, "names no key"),
        ({"kid": "unknown"}, "has not registered"),
    ],
)
def test_an_assertion_that_does_not_hold_is_refused(
    site: LocalSite, changed: dict[str, Any], said: str
) -> None:
    assert said in refused(asyncio.run(site.backend(client_assertion=site.assertion(**changed))))


def test_an_assertion_expires_and_may_not_live_longer_than_five_minutes(site: LocalSite) -> None:
    now = int(site.clock())
    for expiry, said in ((now - 30, "expired"), (now + 331, "more than five minutes")):
        assert said in refused(asyncio.run(site.backend(client_assertion=site.assertion(exp=expiry))))
    assert asyncio.run(site.backend(client_assertion=site.assertion(exp=now + 330))).status_code == 200


def test_an_assertion_is_used_once(site: LocalSite) -> None:
    assertion = site.assertion()
    assert asyncio.run(site.backend(client_assertion=assertion)).status_code == 200
    assert "used before" in refused(asyncio.run(site.backend(client_assertion=assertion)))
    # a new assertion with an old id is a replay too, for as long as the old one could have been used
    again = site.assertion(jti="same")
    assert asyncio.run(site.backend(client_assertion=again)).status_code == 200
    site.clock.now += 329
    assert "used before" in refused(asyncio.run(site.backend(client_assertion=site.assertion(jti="same"))))


def test_two_clients_may_use_the_same_assertion_id(site: LocalSite) -> None:
    theirs = site.assertion(key=site.other_key, iss="other", sub="other", jti="same")
    answer = asyncio.run(site.backend("system/Measure.r", client_assertion=theirs))
    assert answer.json()["scope"] == "system/Measure.r"
    assert asyncio.run(site.backend(client_assertion=site.assertion(jti="same"))).status_code == 200


def test_another_clients_key_does_not_sign_for_one(site: LocalSite) -> None:
    forged = site.assertion(key=site.other_key, kid=site.registry_key.kid)
    refused(asyncio.run(site.backend(client_assertion=forged)))


@pytest.mark.parametrize("algorithm", ["RS256", "PS384"])
def test_other_algorithms_than_those_of_smart_are_refused(site: LocalSite, algorithm: str) -> None:
    assertion = site.assertion(key=site.registry_rsa, algorithm=algorithm)
    assert "RS384 or ES384" in refused(asyncio.run(site.backend(client_assertion=assertion)))


def test_scopes_that_are_not_registered_are_not_given(site: LocalSite) -> None:
    async def go() -> None:
        mixed = await site.backend("system/Patient.rs system/Patient.cud user/Patient.rs openid")
        assert mixed.json()["scope"] == "system/Patient.rs"
        for scope in ("", "system/Patient.cud", "user/*.rs", "openid"):
            refused(await site.backend(scope), "invalid_scope", 400)
        # even where they are registered, user scopes are nothing for a service
        theirs = site.assertion(key=site.other_key, iss="other", sub="other")
        refused(await site.backend("user/Measure.rs", client_assertion=theirs), "invalid_scope", 400)

    asyncio.run(go())


def test_requests_that_are_not_as_they_should_be_are_refused(site: LocalSite) -> None:
    async def go() -> None:
        refused(await site.backend(client_assertion_type="urn:x"))
        refused(await site.backend(client_id="other"))
        refused(await site.send("POST", "/auth/token", data={"grant_type": "client_credentials"}))
        refused(
            await site.send("POST", "/auth/token", data={"grant_type": "password"}),
            "unsupported_grant_type",
            400,
        )
        refused(await site.send("POST", "/auth/token", json={}), "invalid_request", 400)
        kind = {"content-type": "application/x-www-form-urlencoded"}
        for content, status in ((b"grant_type=a&grant_type=b", 400), (b"a=" + b"x" * 70_000, 413)):
            answer = await site.send("POST", "/auth/token", content=content, headers=kind)
            refused(answer, "invalid_request", status)
        assert (await site.send("GET", "/auth/token")).status_code == 405

    asyncio.run(go())


def test_the_keys_of_a_client_are_fetched_from_its_address(site: LocalSite) -> None:
    first, second = (jwk.ECKey.generate_key("P-384", auto_kid=True) for _ in range(2))

    async def sign_in(key: jwk.ECKey) -> int:
        assertion = site.assertion(key=key, iss="remote", sub="remote")
        return (await site.backend(client_assertion=assertion)).status_code

    async def go() -> None:
        site.remote_jwks = [first.as_dict(private=False)]
        assert await sign_in(first) == 200
        assert await sign_in(second) == 401

    asyncio.run(go())


def test_the_issuer_tells_of_itself(site: LocalSite) -> None:
    async def go() -> None:
        metadata = (await site.send("GET", "/auth/.well-known/openid-configuration")).json()
        assert metadata["issuer"] == AUTH
        keys = (await site.send("GET", metadata["jwks_uri"])).json()["keys"]
        assert [(key["kty"], key["crv"], key["alg"], key["use"]) for key in keys] == [
            ("EC", "P-384", "ES384", "sig")
        ]
        assert not any("d" in key for key in keys)
        smart = await site.app.state.gate.smart_configuration()
        assert smart["token_endpoint"] == f"{AUTH}/token"
        assert "client_credentials" in smart["grant_types_supported"]
        assert smart["code_challenge_methods_supported"] == ["S256"]
        assert {"permission-v1", "permission-v2", "client-confidential-asymmetric"} <= set(
            smart["capabilities"]
        )

    asyncio.run(go())


def test_a_token_can_be_looked_into_and_taken_back(site: LocalSite) -> None:
    async def go() -> None:
        token = (await site.backend()).json()["access_token"]

        async def post(path: str, **form: str) -> dict[str, Any]:
            proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": site.assertion()}
            answer = await site.send("POST", path, data=proof | form)
            assert answer.status_code == 200
            found: dict[str, Any] = answer.json()
            return found

        about = await post("/auth/introspect", token=token)
        assert (about["active"], about["client_id"], about["scope"]) == (True, "registry", "system/*.rs")
        assert await post("/auth/introspect", token=token[:-4]) == {"active": False}
        refused(await site.send("POST", "/auth/introspect", data={"token": token}))

        theirs = site.assertion(key=site.other_key, iss="other", sub="other")
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": theirs, "token": token}
        assert (await site.send("POST", "/auth/revoke", data=form)).status_code == 200
        assert (await site.me(token)).status_code == 200  # somebody else's token stays

        assert await post("/auth/revoke", token=token) == {}
        assert (await site.me(token)).status_code == 401
        assert await post("/auth/introspect", token=token) == {"active": False}

    asyncio.run(go())


def test_tokens_outlive_a_restart_and_end_with_the_keys(keys_folder: Path, tmp_path: Path) -> None:
    async def go() -> None:
        first = site_at(keys_folder)
        answer = await first.backend()
        token = answer.json()["access_token"]
        assert (await site_at(keys_folder).me(token)).status_code == 200
        assert (await site_at(tmp_path / "new-keys").me(token)).status_code == 401

    asyncio.run(go())
