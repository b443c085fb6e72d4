"""An app's sign-in at the built-in issuer: authorization code with PKCE, refresh tokens, launch context."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from local_site import AUTH, PASSWORDS, REDIRECT, VERIFIER, LocalSite, redirected, site_at, unsigned_parts
from outside_issuer import AUDIENCE

from measurewise.api.security.grants import challenge_of


@pytest.fixture
def site(keys_folder: Path) -> LocalSite:
    return site_at(keys_folder)


def refused(answer: httpx.Response, error: str = "invalid_grant", status: int = 400) -> None:
    assert (answer.status_code, answer.json().get("error")) == (status, error), answer.text


def test_a_patient_signs_in_and_sees_one_patient(site: LocalSite) -> None:
    async def go() -> None:
        answer = await site.sign_in()
        back = redirected(answer)
        assert back["state"] == "a-state"
        assert back["iss"] == AUTH
        tokens = (await site.redeem(back["code"])).json()
        assert tokens["patient"] == "p1"
        assert tokens["scope"] == "openid fhirUser launch/patient offline_access patient/*.rs"
        seen = await site.me(tokens["access_token"], "/evaluate?subject=Patient/p1")
        assert seen.json()["patient"] == "p1"
        assert seen.json()["organizations"] == ["practice-a"]
        assert (await site.me(tokens["access_token"], "/evaluate?subject=Patient/p2")).status_code == 403
        identity = json.loads(unsigned_parts(tokens["id_token"])[1])
        assert identity["fhirUser"] == f"{AUDIENCE}/Patient/p1"
        assert (identity["sub"], identity["aud"]) == ("paul", "app")
        # an ID token tells the app who signed in; it opens nothing here
        assert (await site.me(tokens["id_token"])).status_code == 401

    asyncio.run(go())


def test_a_nurse_chooses_the_patient_and_may_work_beyond(site: LocalSite) -> None:
    async def go() -> None:
        given = {
            "username": "nora",
            "password": "correct horse",
            "scope": "launch/patient patient/*.rs user/*.rs",
        }
        assert "Name the patient" in (await site.sign_in(**given)).text
        code = await site.code(**given, patient="p9")
        tokens = (await site.redeem(code)).json()
        assert tokens["patient"] == "p9"
        assert "refresh_token" not in tokens
        assert "id_token" not in tokens
        assert (await site.me(tokens["access_token"], "/me")).json()["patient"] == "p9"
        assert (await site.me(tokens["access_token"], "/measure")).json()["patient"] is None

    asyncio.run(go())


def test_a_patient_cannot_choose_another_patient(site: LocalSite) -> None:
    tokens = asyncio.run(_tokens(site, patient="p2"))
    assert tokens["patient"] == "p1"


async def _tokens(site: LocalSite, **given: Any) -> dict[str, Any]:
    answer = await site.redeem(await site.code(**given))
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def test_a_user_of_every_organisation_is_not_filtered(site: LocalSite) -> None:
    async def go() -> None:
        tokens = await _tokens(site, username="root", password=PASSWORDS["root"], scope="user/*.rs")
        assert (await site.me(tokens["access_token"])).json()["organizations"] is None

    asyncio.run(go())


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": None},
        {"code_verifier": ""},
        {"code_verifier": VERIFIER + "x"},
        {"code_verifier": challenge_of(VERIFIER)},
        {"redirect_uri": None},
        {"redirect_uri": REDIRECT + "/"},
        {"client_id": "second-app"},
        {"code": "invented"},
    ],
)
def test_a_code_is_nothing_without_its_verifier_redirect_and_client(
    site: LocalSite, changed: dict[str, str | None]
) -> None:
    async def go() -> None:
        code = await site.code()
        refused(await site.redeem(**{"code": code} | changed))

    asyncio.run(go())


def test_a_guess_at_the_verifier_spends_the_code(site: LocalSite) -> None:
    async def go() -> None:
        code = await site.code()
        refused(await site.redeem(code, code_verifier="x" * 43))
        refused(await site.redeem(code))

    asyncio.run(go())


def test_a_code_is_redeemed_within_a_minute(site: LocalSite) -> None:
    async def go() -> None:
        code = await site.code()
        site.clock.now += 60
        refused(await site.redeem(code))

    asyncio.run(go())


def test_a_code_that_comes_twice_ends_what_came_of_it(site: LocalSite) -> None:
    async def go() -> None:
        code = await site.code()
        tokens = (await site.redeem(code)).json()
        assert (await site.me(tokens["access_token"])).status_code == 200
        refused(await site.redeem(code))
        assert (await site.me(tokens["access_token"])).status_code == 401
        refused(await site.refresh(tokens["refresh_token"]))

    asyncio.run(go())


def test_a_refresh_token_is_used_once_and_a_second_use_ends_the_family(site: LocalSite) -> None:
    async def go() -> None:
        first = await _tokens(site)
        second = (await site.refresh(first["refresh_token"])).json()
        assert second["patient"] == "p1"
        assert second["refresh_token"] != first["refresh_token"]
        third = (await site.refresh(second["refresh_token"], scope="patient/*.rs")).json()
        assert third["scope"] == "patient/*.rs"
        refused(await site.refresh(third["refresh_token"], scope="user/*.rs"), "invalid_scope")

        tokens = await _tokens(site)
        later = (await site.refresh(tokens["refresh_token"])).json()
        refused(await site.refresh(tokens["refresh_token"]))
        refused(await site.refresh(later["refresh_token"]))
        assert (await site.me(later["access_token"])).status_code == 401

    asyncio.run(go())


def test_a_refresh_token_is_its_clients_and_expires(site: LocalSite) -> None:
    async def go() -> None:
        tokens = await _tokens(site)
        refused(await site.refresh(tokens["refresh_token"], client_id="second-app"))
        refused(await site.refresh(tokens["refresh_token"], client_id="registry"), "invalid_client", 401)
        site.clock.now += 86_400
        refused(await site.refresh(tokens["refresh_token"]))

    asyncio.run(go())


def test_a_revoked_refresh_token_takes_the_access_token_along(site: LocalSite) -> None:
    async def go() -> None:
        tokens = await _tokens(site)
        theirs = {"client_id": "second-app", "token": tokens["refresh_token"]}
        assert (await site.send("POST", "/auth/revoke", data=theirs)).status_code == 200
        assert (await site.me(tokens["access_token"])).status_code == 200  # not theirs to take back
        form = {"client_id": "app", "token": tokens["refresh_token"]}
        assert (await site.send("POST", "/auth/revoke", data=form)).status_code == 200
        refused(await site.refresh(tokens["refresh_token"]))
        assert (await site.me(tokens["access_token"])).status_code == 401

    asyncio.run(go())


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain", "code_challenge": VERIFIER}, "invalid_request"),
        ({"code_challenge": "too-short"}, "invalid_request"),
        ({"aud": None}, "invalid_request"),
        ({"aud": "https://evil.example.org/fhir"}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "system/*.rs"}, "invalid_scope"),
    ],
)
def test_an_app_is_told_what_is_wrong_with_its_request(
    site: LocalSite, changed: dict[str, str | None], error: str
) -> None:
    back = redirected(asyncio.run(site.sign_in(**changed)))
    assert back["error"] == error
    assert "code" not in back


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"client_id": "registry"},
        {"redirect_uri": "https://evil.example.org/callback"},
        {"redirect_uri": REDIRECT + "?x=1"},
        {"redirect_uri": None},
    ],
)
def test_the_browser_is_sent_to_no_address_that_is_not_registered(
    site: LocalSite, changed: dict[str, str | None]
) -> None:
    answer = asyncio.run(site.sign_in(**changed))
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_a_wrong_password_shows_the_page_again_and_five_make_one_wait(site: LocalSite) -> None:
    async def go() -> None:
        for password in ("wrong", "", "battery staple ", "correct horse", "x" * 5000):
            answer = await site.sign_in(password=password)
            assert answer.status_code == 401
            assert "do not match" in answer.text
        assert (await site.sign_in()).status_code == 401
        assert (await site.sign_in(username="nobody")).status_code == 401
        site.clock.now += 31
        assert (await site.sign_in()).status_code == 303

    asyncio.run(go())


def test_the_page_shows_what_is_asked_and_runs_nothing(site: LocalSite) -> None:
    page = asyncio.run(
        site.send("GET", "/auth/authorize", params=site.authorization(state='"><script>alert(1)</script>'))
    )
    assert "Patient &lt;app&gt;" in page.text
    assert "<code>patient/*.rs</code>" in page.text
    assert "<script>" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


def test_a_parameter_that_comes_twice_is_refused(site: LocalSite) -> None:
    twice = [*site.authorization().items(), ("redirect_uri", "https://evil.example.org")]
    assert asyncio.run(site.send("GET", "/auth/authorize", params=twice)).status_code == 400


def test_scopes_that_app_or_user_may_not_have_are_left_out(site: LocalSite) -> None:
    async def go() -> None:
        tokens = await _tokens(site, scope="patient/*.rs patient/*.cud system/*.rs online_access")
        assert tokens["scope"] == "patient/*.rs"

    asyncio.run(go())
