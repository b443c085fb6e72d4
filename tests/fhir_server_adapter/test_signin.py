"""Tokens are fetched as SMART Backend Services and OAuth 2.0 say, kept, and renewed in time."""

import asyncio
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from fake_server import BASE, ORIGIN, FakeServer, patient, reply
from joserfc import jwk, jwt

from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.signin import BackendServices, ClientCredentials, SignIn

TOKEN = ORIGIN + "/token"


class Issuer:
    """A token endpoint; the server takes only the newest token."""

    def __init__(self, server: FakeServer, lifetime: int = 300) -> None:
        self.lifetime = lifetime
        self.asked: list[httpx.Request] = []
        self.valid = ""
        server.before = self.before

    def before(self, request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/r4/.well-known/smart-configuration":
            return reply({"token_endpoint": TOKEN})
        if request.url.path == "/token":
            self.asked.append(request)
            self.valid = f"token-{len(self.asked)}"
            return reply({"access_token": self.valid, "token_type": "bearer", "expires_in": self.lifetime})
        if request.headers.get("Authorization") != f"Bearer {self.valid}":
            return reply({}, 401)
        return None


def read(server: FakeServer, sign_in: SignIn, times: int = 1, **options: Any) -> None:
    async def run() -> None:
        async with server.client(sign_in=sign_in, **options) as client:
            await asyncio.gather(*(client.get("Patient/p1") for _ in range(times)))

    asyncio.run(run())


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_backend_services_sign_an_assertion_that_the_registered_key_verifies(algorithm: Any) -> None:
    key: Any
    if algorithm == "ES384":
        key = jwk.generate_key("EC", "P-384", {"kid": "k1"})
    else:
        key = jwk.generate_key("RSA", 2048, {"kid": "k1"})
    server = FakeServer([patient("p1")])
    issuer = Issuer(server)
    read(server, BackendServices("measures", key.as_dict(private=True), algorithm=algorithm), times=4)
    (request,) = issuer.asked
    form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
    assert form["grant_type"] == "client_credentials"
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    public = jwk.import_key(key.as_dict(private=False))
    token = jwt.decode(form["client_assertion"], public, algorithms=[algorithm])
    assert token.header == {"alg": algorithm, "typ": "JWT", "kid": "k1"}
    assert (token.claims["iss"], token.claims["sub"], token.claims["aud"]) == ("measures", "measures", TOKEN)
    assert 0 < token.claims["exp"] - token.claims["iat"] <= 300
    assert "Authorization" not in request.headers


def test_each_assertion_has_an_identifier_of_its_own() -> None:
    key = jwk.generate_key("EC", "P-384")
    sign_in = BackendServices("measures", key.as_pem(private=True).decode())
    claims = [jwt.decode(sign_in.assertion(TOKEN), key, algorithms=["ES384"]).claims for _ in range(2)]
    assert claims[0]["jti"] != claims[1]["jti"]


def test_client_credentials_go_by_basic_and_the_token_is_renewed_before_it_expires() -> None:
    now = [0.0]
    server = FakeServer([patient("p1")])
    issuer = Issuer(server, lifetime=100)
    sign_in = ClientCredentials(TOKEN, "measures", "a:secret", clock=lambda: now[0])
    read(server, sign_in, concurrency=1)
    now[0] = 79.0
    read(server, sign_in)
    assert len(issuer.asked) == 1
    now[0] = 81.0
    read(server, sign_in)
    assert len(issuer.asked) == 2
    # the secret's colon is encoded, so that it cannot be taken for the separator
    assert issuer.asked[0].headers["Authorization"] == httpx.BasicAuth("measures", "a%3Asecret")._auth_header


def test_a_token_that_the_server_refuses_early_is_replaced_once() -> None:
    server = FakeServer([patient("p1")])
    issuer = Issuer(server)
    sign_in = ClientCredentials(TOKEN, "measures", "secret")
    read(server, sign_in)
    issuer.valid = "revoked"
    read(server, sign_in)
    assert len(issuer.asked) == 2
    server.before = lambda request: issuer.before(request) if request.url.path == "/token" else reply({}, 401)
    with pytest.raises(SourceError, match="401"):
        read(server, sign_in)
    assert len(issuer.asked) == 3


def test_a_refused_sign_in_says_so_without_the_secret() -> None:
    server = FakeServer([])
    server.before = lambda request: reply({"error": "invalid_client", "hint": "secret"}, 400)
    with pytest.raises(SourceError, match="refused the sign-in") as caught:
        read(server, ClientCredentials(TOKEN, "measures", "secret"))
    assert caught.value.code == "login"
    assert "hint" not in str(caught.value)
    assert BASE not in repr(ClientCredentials(TOKEN, "measures", "s3"))
    assert "s3" not in repr(ClientCredentials(TOKEN, "measures", "s3"))


def test_a_key_of_another_kind_or_a_public_one_is_refused() -> None:
    key = jwk.generate_key("EC", "P-384")
    for material, algorithm in (
        (key.as_dict(private=False), "ES384"),
        (key.as_dict(private=True), "RS384"),
        ("no key", "ES384"),
    ):
        with pytest.raises(SourceError, match="no private"):
            BackendServices("measures", material, algorithm=algorithm)  # type: ignore[arg-type]
