"""A development site with the built-in issuer, a registry with keys, two apps and three users."""

from __future__ import annotations

import base64
import re
import time
import uuid
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from fastapi import FastAPI
from joserfc import jwk, jwt
from outside_issuer import AUDIENCE, BASE, Clock, app_with

from measurewise.api.security.grants import challenge_of
from measurewise.api.security.settings import SecuritySettings

AUTH = f"{BASE}/auth"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
REDIRECT = "https://app.example.org/callback"
PASSWORDS = {"nora": "correct horse", "paul": "battery staple", "root": "operator"}
VERIFIER = "a-verifier-of-forty-three-characters-or-more-1234"
_RSA = jwk.RSAKey.generate_key(2048, auto_kid=True)


class LocalSite:
    """The site; each method is one request to it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.clock = clock
        self.registry_key = jwk.ECKey.generate_key("P-384", auto_kid=True)
        self.registry_rsa = _RSA
        self.other_key = jwk.ECKey.generate_key("P-384", auto_kid=True)
        self.remote_jwks: list[dict[str, Any]] = []
        self.settings = SecuritySettings.model_validate(
            {
                "base_url": BASE,
                "local_issuer": {
                    "enabled": True,
                    "keys": folder,
                    "users": [
                        {
                            "username": "nora",
                            "password": PASSWORDS["nora"],
                            "name": "Nora Nurse",
                            "fhir_user": "Practitioner/nora",
                            "organizations": "practice-a",
                        },
                        {
                            "username": "paul",
                            "password": PASSWORDS["paul"],
                            "fhir_user": "Patient/p1",
                            "organizations": "practice-a",
                        },
                        {"username": "root", "password": PASSWORDS["root"], "organizations": "*"},
                    ],
                },
                "clients": [
                    {
                        "client_id": "registry",
                        "jwks": {
                            "keys": [
                                self.registry_key.as_dict(private=False),
                                self.registry_rsa.as_dict(private=False),
                            ]
                        },
                        "scopes": "system/*.rs",
                        "organizations": "practice-a practice-b",
                    },
                    {
                        "client_id": "other",
                        "jwks": {"keys": [self.other_key.as_dict(private=False)]},
                        "scopes": "system/Measure.rs user/*.rs",
                    },
                    {
                        "client_id": "remote",
                        "jwks_url": "https://registry.example.org/jwks",
                        "scopes": "system/*.rs",
                    },
                    {
                        "client_id": "app",
                        "name": "Patient <app>",
                        "redirect_uris": REDIRECT,
                        "scopes": "openid fhirUser launch/patient offline_access patient/*.rs user/*.rs",
                    },
                    {"client_id": "second-app", "redirect_uris": REDIRECT, "scopes": "user/*.rs"},
                ],
            }
        )
        outside = httpx.AsyncClient(transport=httpx.MockTransport(self._registry))
        self.app: FastAPI = app_with(self.settings, client=outside, clock=clock)

    def _registry(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "https://registry.example.org/jwks"
        return httpx.Response(200, json={"keys": self.remote_jwks})

    async def send(self, method: str, url: str, **options: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=BASE) as client:
            return await client.request(method, url, **options)

    async def me(self, token: str, path: str = "/me") -> httpx.Response:
        return await self.send("GET", path, headers={"authorization": f"Bearer {token}"})

    def assertion(
        self,
        *,
        key: jwk.ECKey | jwk.RSAKey | None = None,
        algorithm: str = "ES384",
        kid: str | None = "",
        **claims: Any,
    ) -> str:
        signing = key or self.registry_key
        now = int(self.clock())
        content = {
            "iss": "registry",
            "sub": "registry",
            "aud": f"{AUTH}/token",
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
        } | claims
        header: dict[str, Any] = {"alg": algorithm, "typ": "JWT"}
        if kid is not None:
            header["kid"] = kid or signing.kid
        content = {name: value for name, value in content.items() if value is not None}
        return jwt.encode(header, content, signing, algorithms=[algorithm])

    async def backend(self, scope: str = "system/*.rs", **form: Any) -> httpx.Response:
        fields = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": form.pop("client_assertion", None) or self.assertion(),
        } | form
        return await self.send("POST", "/auth/token", data=fields)

    def authorization(self, **changed: str | None) -> dict[str, str]:
        wanted: dict[str, str | None] = {
            "response_type": "code",
            "client_id": "app",
            "redirect_uri": REDIRECT,
            "scope": "openid fhirUser launch/patient offline_access patient/*.rs",
            "state": "a-state",
            "aud": AUDIENCE,
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
        } | changed
        return {name: value for name, value in wanted.items() if value is not None}

    async def sign_in(
        self,
        username: str = "paul",
        password: str = PASSWORDS["paul"],
        patient: str | None = None,
        **changed: str | None,
    ) -> httpx.Response:
        """Fetch the page, fill in its form and send it as a browser does."""
        page = await self.send("GET", "/auth/authorize", params=self.authorization(**changed))
        if page.status_code != 200:
            return page
        hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
        form = {unescape(name): unescape(value) for name, value in hidden}
        form |= {"username": username, "password": password}
        if patient is not None:
            form["patient"] = patient
        return await self.send("POST", "/auth/authorize", data=form)

    async def code(self, **given: Any) -> str:
        answer = await self.sign_in(**given)
        return redirected(answer)["code"]

    async def redeem(self, code: str, **changed: str | None) -> httpx.Response:
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "client_id": "app",
            "code": code,
            "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER,
        } | changed
        return await self.send("POST", "/auth/token", data={k: v for k, v in form.items() if v is not None})

    async def refresh(self, token: str, **more: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": token} | more
        return await self.send("POST", "/auth/token", data=form)


def redirected(answer: httpx.Response) -> Mapping[str, str]:
    """The parameters with which the browser is sent back to the app."""
    assert answer.status_code == 303, answer.text
    target = urlsplit(answer.headers["location"])
    assert f"{target.scheme}://{target.netloc}{target.path}" == REDIRECT
    return {name: value for name, (value,) in parse_qs(target.query).items()}


def unsigned_parts(token: str) -> tuple[bytes, bytes]:
    header, claims, _ = token.split(".")
    return base64.urlsafe_b64decode(header + "=="), base64.urlsafe_b64decode(claims + "==")


def site_at(folder: Path) -> LocalSite:
    clock = Clock()
    clock.now = float(int(time.time()))
    return LocalSite(folder, clock)
