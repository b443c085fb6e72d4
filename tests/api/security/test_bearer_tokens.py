"""A bearer token is let in when every part of it holds, and refused with the reason when one does not."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwk, jwt
from outside_issuer import AUDIENCE, BASE, ISSUER, Clock, OutsideIssuer, app_with, ask

from measurewise.api.security.settings import SecuritySettings


def coded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def refused(answer: httpx.Response, code: str, status: int = 401) -> str:
    """The sentence of a refusal, whose form is checked."""
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/fhir+json")
    (issue,) = answer.json()["issue"]
    assert (issue["severity"], issue["code"]) == ("error", code)
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="measurewise"')
    if code == "login":
        assert "error=" not in challenge
    else:
        assert f'error="{"insufficient_scope" if status == 403 else "invalid_token"}"' in challenge
    return str(issue["diagnostics"])


def test_a_sound_token_is_let_in(asking: Any, outside: OutsideIssuer) -> None:
    answer = asking("/measure", outside.token())
    assert answer.status_code == 200
    assert answer.json() == {
        "subject": "nurse-7",
        "client": "dashboard",
        "organizations": ["practice-a"],
        "patient": None,
        "search": [],
    }


def test_no_token_is_asked_for_one(asking: Any) -> None:
    assert "nobody is signed in" in refused(asking("/me"), "login")


@pytest.mark.parametrize("given", ["Basic bnVyc2U6cGFzcw==", "Bearer", "Bearer ", "Token abc"])
def test_another_scheme_is_no_sign_in(asking: Any, given: str) -> None:
    refused(asking("/me", headers={"authorization": given}), "login")


def test_two_tokens_are_none(asking: Any, outside: OutsideIssuer) -> None:
    token = f"Bearer {outside.token()}"
    refused(asking("/me", headers=[("authorization", token), ("authorization", token)]), "login")


@pytest.mark.parametrize("audience", ["https://elsewhere.example.org/fhir", f"{AUDIENCE}/", [], None, 7, [7]])
def test_a_token_for_another_audience_is_refused(
    asking: Any, outside: OutsideIssuer, audience: object
) -> None:
    assert "meant for somebody else" in refused(asking("/me", outside.token(aud=audience)), "security")


def test_one_of_several_audiences_suffices(asking: Any, outside: OutsideIssuer) -> None:
    assert asking("/me", outside.token(aud=["account", AUDIENCE])).status_code == 200


def test_an_expired_token_is_refused_as_expired(asking: Any, outside: OutsideIssuer, clock: Clock) -> None:
    token = outside.token()
    clock.now += 300 + 29
    assert asking("/me", token).status_code == 200
    clock.now += 1
    assert "has expired" in refused(asking("/me", token), "expired")


def test_a_token_is_refused_before_its_time(asking: Any, outside: OutsideIssuer, clock: Clock) -> None:
    token = outside.token(nbf=int(clock()) + 60)
    assert "not valid yet" in refused(asking("/me", token), "security")
    clock.now += 30
    assert asking("/me", token).status_code == 200


def test_a_token_from_the_future_is_refused(asking: Any, outside: OutsideIssuer, clock: Clock) -> None:
    future = int(clock()) + 3600
    said = refused(asking("/me", outside.token(iat=future, exp=future + 60)), "security")
    assert "issued in the future" in said


@pytest.mark.parametrize("expiry", [None, "tomorrow", True, 1e300])
def test_a_token_that_never_expires_is_refused(asking: Any, outside: OutsideIssuer, expiry: object) -> None:
    refused(asking("/me", outside.token(exp=expiry)), "security")


@pytest.mark.parametrize("issuer", ["https://evil.example.org", f"{ISSUER}/", None, [ISSUER]])
def test_a_token_of_another_issuer_is_refused(asking: Any, outside: OutsideIssuer, issuer: object) -> None:
    assert "not one that this server trusts" in refused(asking("/me", outside.token(iss=issuer)), "security")
    # and nobody asks an address that a stranger wrote into a token
    assert outside.requests == []


def test_a_token_with_a_changed_claim_is_refused(asking: Any, outside: OutsideIssuer) -> None:
    header, _, signature = outside.token().split(".")
    forged = f"{header}.{coded(outside.claims(organization='practice-b'))}.{signature}"
    assert "signature does not hold" in refused(asking("/me", forged), "security")


def test_a_token_signed_by_somebody_else_under_a_known_key_id_is_refused(
    asking: Any, outside: OutsideIssuer
) -> None:
    stranger = jwk.RSAKey.generate_key(2048)
    header = {"alg": "RS256", "kid": outside.keys[0].kid}
    forged = jwt.encode(header, outside.claims(), stranger, algorithms=["RS256"])
    refused(asking("/me", forged), "security")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, ["RS256"], 0])
def test_an_unsigned_token_is_refused(asking: Any, outside: OutsideIssuer, algorithm: object) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": outside.keys[0].kid}
    for signature in ("", "AAAA"):
        forged = f"{coded(header)}.{coded(outside.claims())}.{signature}"
        assert "not signed with an algorithm" in refused(asking("/me", forged), "security")
    assert outside.requests == []


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_public_key_is_no_shared_secret(asking: Any, outside: OutsideIssuer, algorithm: str) -> None:
    """The confusion of algorithms: whoever knows the public key would sign with it as an HMAC secret."""
    key = outside.keys[0]
    for secret in (key.as_pem(private=False), key.as_der(private=False)):
        signing = f"{coded({'alg': algorithm, 'typ': 'JWT', 'kid': key.kid})}.{coded(outside.claims())}"
        digest = hmac.new(secret, signing.encode(), f"sha{algorithm[2:]}").digest()
        forged = f"{signing}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
        refused(asking("/me", forged), "security")


def test_a_key_that_the_token_brings_along_is_not_used(asking: Any, outside: OutsideIssuer) -> None:
    stranger = jwk.RSAKey.generate_key(2048, auto_kid=True)
    header = {"alg": "RS256", "kid": stranger.kid, "jwk": stranger.as_dict(private=False)}
    forged = jwt.encode(header, outside.claims(), stranger, algorithms=["RS256"])
    refused(asking("/me", forged), "security")
    header = {"alg": "RS256", "kid": stranger.kid, "jku": "https://evil.example.org/jwks"}
    forged = jwt.encode(header, outside.claims(), stranger, algorithms=["RS256"])
    refused(asking("/me", forged), "security")
    assert not any("evil" in url for url in outside.requests)


def test_a_header_that_claims_to_be_critical_is_refused(asking: Any, outside: OutsideIssuer) -> None:
    key = outside.keys[0]
    signing = (
        f"{coded({'alg': 'RS256', 'kid': key.kid, 'crit': ['new'], 'new': 1})}.{coded(outside.claims())}"
    )
    signed = key.private_key.sign(signing.encode(), PKCS1v15(), SHA256())
    forged = f"{signing}.{base64.urlsafe_b64encode(signed).rstrip(b'=').decode()}"
    refused(asking("/me", forged), "security")


@pytest.mark.parametrize("kind", ["dpop+jwt", "logout+jwt", "secevent+jwt", 7])
def test_another_kind_of_jwt_is_no_access_token(asking: Any, outside: OutsideIssuer, kind: object) -> None:
    header = {"alg": "RS256", "kid": outside.keys[0].kid, "typ": kind}
    try:
        token = jwt.encode(header, outside.claims(), outside.keys[0], algorithms=["RS256"])
    except Exception:
        token = f"{coded(header)}.{coded(outside.claims())}.AAAA"
    refused(asking("/me", token), "security")


@pytest.mark.parametrize(
    "token",
    [
        "abc",
        "a.b.c",
        "..",
        "a.b.c.d.e",
        "e30.e30.",
        f"{coded([])}.{coded({})}.x",
        "é.é.é",
        "x" * 20_000,
        "W1tb" * 2_000 + ".e30.x",
        "\udcff",
    ],
)
def test_what_is_no_jwt_is_refused(asking: Any, token: str) -> None:
    headers = {"authorization": b"Bearer " + token.encode("utf-8", "surrogateescape")}
    refused(asking("/me", headers=headers), "security")


def test_a_token_of_unreasonable_length_is_refused(asking: Any, outside: OutsideIssuer) -> None:
    assert asking("/me", outside.token(note="x" * 8_000)).status_code == 200
    refused(asking("/me", outside.token(note="x" * 16_000)), "security")


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("RS256", jwk.RSAKey.generate_key(2048, auto_kid=True)),
        ("RS384", jwk.RSAKey.generate_key(2048, auto_kid=True)),
        ("RS512", jwk.RSAKey.generate_key(2048, auto_kid=True)),
        ("PS256", jwk.RSAKey.generate_key(2048, auto_kid=True)),
        ("PS384", jwk.RSAKey.generate_key(2048, auto_kid=True)),
        ("PS512", jwk.RSAKey.generate_key(2048, auto_kid=True)),
        ("ES256", jwk.ECKey.generate_key("P-256", auto_kid=True)),
        ("ES384", jwk.ECKey.generate_key("P-384", auto_kid=True)),
    ],
)
def test_each_accepted_algorithm_works(
    asking: Any, outside: OutsideIssuer, algorithm: str, key: jwk.RSAKey | jwk.ECKey
) -> None:
    outside.keys.append(key)
    assert asking("/me", outside.token(algorithm=algorithm)).status_code == 200


def test_the_organisations_are_one_id_or_a_list(asking: Any, outside: OutsideIssuer) -> None:
    for value, seen in (("a", ["a"]), (["a", "b"], ["a", "b"]), (None, []), ([], []), ([""], []), (7, [])):
        assert asking("/me", outside.token(organization=value)).json()["organizations"] == seen


def test_an_issuer_that_may_not_grant_all_organisations_is_not_believed(
    asking: Any, outside: OutsideIssuer
) -> None:
    assert "every organisation" in refused(asking("/me", outside.token(organization="*")), "forbidden", 403)


def test_scopes_may_come_as_a_string_or_a_list(asking: Any, outside: OutsideIssuer) -> None:
    for scopes in ("openid user/Measure.rs", ["openid", "user/Measure.rs"]):
        assert asking("/measure", outside.token(scope=scopes)).status_code == 200
        assert asking("/measure", outside.token(scope=None, scp=scopes)).status_code == 200
    refused(asking("/measure", outside.token(scope=None)), "forbidden", 403)


def test_a_scope_for_reading_does_not_do_for_changing(asking: Any, outside: OutsideIssuer) -> None:
    said = refused(asking("/measure", outside.token(), "PUT"), "forbidden", 403)
    assert "user/Measure.u" in said


def test_the_launch_context_binds_patient_scopes(asking: Any, outside: OutsideIssuer) -> None:
    token = outside.token(scope="patient/*.rs", patient="p1")
    assert asking("/evaluate?subject=Patient/p1", token).json()["patient"] == "p1"
    refused(asking("/evaluate?subject=Patient/p2", token), "forbidden", 403)
    refused(asking("/evaluate", token), "forbidden", 403)
    refused(asking("/export", token), "forbidden", 403)


def test_a_patient_who_signs_in_is_bound_whatever_the_scopes(asking: Any, outside: OutsideIssuer) -> None:
    for user in ("Patient/p1", f"{AUDIENCE}/Patient/p1"):
        token = outside.token(scope="user/*.rs", fhirUser=user)
        assert asking("/evaluate?subject=Patient/p1", token).json()["patient"] == "p1"
        refused(asking("/evaluate?subject=Patient/p2", token), "forbidden", 403)


@pytest.mark.parametrize(
    "user", ["", "p1", "Patient/p1/_history/1", ["Patient/p1"], {"reference": "Patient/p1"}, 7]
)
def test_a_user_that_cannot_be_read_is_not_taken_for_staff(
    asking: Any, outside: OutsideIssuer, user: object
) -> None:
    refused(asking("/me", outside.token(scope="user/*.rs", fhirUser=user)), "security")


def test_granular_scopes_reach_the_search(asking: Any, outside: OutsideIssuer) -> None:
    token = outside.token(scope="patient/Observation.rs?category=laboratory", patient="p1")
    answer = asking("/observations", token)
    assert answer.json()["search"] == [["category", "laboratory"]]
    assert answer.json()["patient"] == "p1"


async def _who(settings: SecuritySettings, outside: OutsideIssuer, token: str) -> httpx.Response:
    client = httpx.AsyncClient(transport=httpx.MockTransport(outside.answer))
    app = app_with(settings, client=client, clock=outside.clock)
    async with ask(app) as asking:
        return await asking.get("/me", headers={"authorization": f"Bearer {token}"})


def test_what_a_token_leaves_open_its_client_or_issuer_says(outside: OutsideIssuer) -> None:
    settings = SecuritySettings.model_validate(
        {
            "base_url": BASE,
            "issuers": [{"url": ISSUER, "organizations": "fallback"}],
            "clients": [
                {"client_id": "dashboard", "issuer": ISSUER, "organizations": "practice-x practice-y"}
            ],
        }
    )
    service = outside.token(organization=None, scope="system/*.rs")
    known = asyncio.run(_who(settings, outside, service))
    assert known.json()["organizations"] == ["practice-x", "practice-y"]
    person = asyncio.run(_who(settings, outside, outside.token(organization=None)))
    assert person.json()["organizations"] == ["fallback"]
    other = outside.token(organization=None, scope="system/*.rs", client_id="other")
    other = asyncio.run(_who(settings, outside, other))
    assert other.json()["organizations"] == ["fallback"]


def test_an_issuer_that_may_grant_all_organisations_is_believed_except_for_patients(
    outside: OutsideIssuer,
) -> None:
    settings = SecuritySettings.model_validate(
        {"base_url": BASE, "issuers": [{"url": ISSUER, "may_grant_every_organization": True}]}
    )
    staff = asyncio.run(_who(settings, outside, outside.token(organization="*")))
    assert staff.json()["organizations"] is None
    patient = outside.token(organization="*", scope="patient/*.rs", patient="p1")
    refused(asyncio.run(_who(settings, outside, patient)), "forbidden", 403)


@pytest.mark.parametrize(
    "changed",
    [
        {"scope": None},
        {"scope": "openid launch/patient"},
        {"scope": "patient/*.cruds"},
        {"scope": "user/*.cruds", "fhirUser": "RelatedPerson/mother"},
        {"scope": "openid", "patient": "p1"},
    ],
)
def test_a_token_that_allows_nothing_sees_nothing(
    asking: Any, outside: OutsideIssuer, changed: dict[str, str | None]
) -> None:
    assert asking("/me", outside.token(**changed)).json()["organizations"] == []
