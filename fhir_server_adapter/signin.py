"""Signing in at the source: bearer, basic, OAuth 2.0 client credentials, SMART Backend Services.

SMART App Launch 2, Backend Services: https://hl7.org/fhir/smart-app-launch/STU2/backend-services.html;
client authentication by a signed JWT:
https://hl7.org/fhir/smart-app-launch/STU2/client-confidential-asymmetric.html. Nothing here shows a secret:
not in ``repr``, not in an error.
"""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol
from urllib.parse import quote_plus, urljoin

import httpx
import msgspec
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from measurewise.fhir_server_adapter.faults import SourceError, place

Algorithm = Literal["ES384", "RS384"]
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME = 300
"""Seconds that an assertion lives; the specification allows five minutes at most."""


class Send(Protocol):
    """Sends a request without credentials, with the client's retries."""

    async def __call__(
        self,
        method: str,
        url: str,
        *,
        form: Sequence[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool | None = None,
    ) -> httpx.Response:
        """The response, of status 2xx; ``url`` may be relative to the FHIR base."""
        ...


class SignIn(Protocol):
    """A way of signing in."""

    async def headers(self, send: Send) -> Mapping[str, str]:
        """The headers that sign a request."""
        ...

    def forget(self) -> bool:
        """Drop what the server has refused; False where there is nothing new to be had."""
        ...


class Bearer:
    """A token that someone else got."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}

    async def headers(self, send: Send) -> Mapping[str, str]:
        """The headers that sign a request."""
        return self._headers

    def forget(self) -> bool:
        """There is no other token."""
        return False


class Basic:
    """A user and a password (RFC 7617)."""

    def __init__(self, user: str, password: str) -> None:
        self._headers = {"Authorization": _basic(user, password)}

    async def headers(self, send: Send) -> Mapping[str, str]:
        """The headers that sign a request."""
        return self._headers

    def forget(self) -> bool:
        """There is no other password."""
        return False


class _Tokens:
    """An access token, fetched when first needed and again before it expires."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._token: str | None = None
        self._renew_at = 0.0
        self._alone = asyncio.Lock()

    async def headers(self, send: Send) -> Mapping[str, str]:
        """The headers that sign a request. Raises SourceError where no token is to be had."""
        if self._token is None or self._clock() >= self._renew_at:
            async with self._alone:
                if self._token is None or self._clock() >= self._renew_at:
                    await self._fetch(send)
        return {"Authorization": f"Bearer {self._token}"}

    def forget(self) -> bool:
        """Fetch a new token next time."""
        self._token = None
        return True

    async def _request(self, send: Send) -> httpx.Response:
        raise NotImplementedError

    async def _fetch(self, send: Send) -> None:
        try:
            response = await self._request(send)
        except SourceError as error:
            if error.status is None or error.status >= 500:
                raise
            raise SourceError(
                f"the token endpoint refused the sign-in ({error.status}).",
                where=error.where,
                mend="Look at the client id, its key or secret, the scopes, and their registration.",
                status=401,
                code="login",
            ) from None
        where = place("POST", str(response.request.url))
        answer = _object(response, where)
        token = answer.get("access_token")
        if type(token) is not str or not token or str(answer.get("token_type", "")).lower() != "bearer":
            raise SourceError("the token endpoint gave no bearer token.", where=where, code="login")
        lifetime = answer.get("expires_in")
        seconds = float(lifetime) if isinstance(lifetime, int | float) else 300.0
        self._token = token
        self._renew_at = self._clock() + seconds - min(60.0, seconds / 5)


class ClientCredentials(_Tokens):
    """OAuth 2.0 client credentials (RFC 6749, section 4.4), with the secret by HTTP Basic (section 2.3.1)."""

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str,
        *,
        scope: str = "system/*.read",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(clock)
        self._token_url = token_url
        self._scope = scope
        # each part is form-encoded before it goes into Basic
        self._authorization = _basic(quote_plus(client_id), quote_plus(client_secret))

    async def _request(self, send: Send) -> httpx.Response:
        return await send(
            "POST",
            self._token_url,
            form=[("grant_type", "client_credentials"), ("scope", self._scope)],
            headers={"Authorization": self._authorization, "Accept": "application/json"},
            again=True,
        )


class BackendServices(_Tokens):
    """SMART Backend Services: a signed assertion for a token.

    ``key`` is the private key: a JWK as a mapping, or PEM text. ``kid`` must be that of the registered JWKS
    (by default the JWK's own). Without ``token_url`` it is looked up in
    ``.well-known/smart-configuration``.
    """

    def __init__(
        self,
        client_id: str,
        key: Mapping[str, Any] | str,
        *,
        algorithm: Algorithm = "ES384",
        kid: str | None = None,
        scope: str = "system/*.read",
        token_url: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises SourceError for a key that cannot be read, that is not private, or of another kind."""
        super().__init__(clock)
        self._client_id = client_id
        self._algorithm = algorithm
        self._scope = scope
        self._token_url = token_url
        material = key if isinstance(key, str) else dict(key)
        imported: jwk.ECKey | jwk.RSAKey | None = None
        try:
            if algorithm == "ES384":
                imported = jwk.import_key(material, "EC")
            else:
                imported = jwk.import_key(material, "RSA")
        except (JoseError, ValueError, TypeError, KeyError):
            imported = None
        if imported is None or not imported.is_private:
            kind = "EC" if algorithm == "ES384" else "RSA"
            raise SourceError(
                f"the key is no private {kind} key, which {algorithm} needs.",
                where="SMART Backend Services",
                mend="Give the private key as a JWK or as PEM.",
                code="security",
            )
        self._key = imported
        self._kid = kid or imported.kid

    def assertion(self, token_url: str) -> str:
        """A signed JWT that says who asks, for one token endpoint; each is used once."""
        now = int(time.time())
        header: dict[str, Any] = {"alg": self._algorithm, "typ": "JWT"}
        if self._kid:
            header["kid"] = self._kid
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": token_url,
            "iat": now,
            "exp": now + _LIFETIME,
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode(header, claims, self._key, algorithms=[self._algorithm])

    async def _request(self, send: Send) -> httpx.Response:
        if self._token_url is None:
            self._token_url = await token_endpoint(send)
        return await send(
            "POST",
            self._token_url,
            form=[
                ("grant_type", "client_credentials"),
                ("scope", self._scope),
                ("client_assertion_type", _ASSERTION),
                ("client_assertion", self.assertion(self._token_url)),
            ],
            headers={"Accept": "application/json"},
            # an assertion is used once: a repeated one may be refused as a replay
            again=False,
        )


async def token_endpoint(send: Send) -> str:
    """The token endpoint that the server's ``.well-known/smart-configuration`` names."""
    response = await send("GET", ".well-known/smart-configuration", headers={"Accept": "application/json"})
    where = place("GET", str(response.request.url))
    endpoint = _object(response, where).get("token_endpoint")
    if type(endpoint) is not str or not endpoint:
        raise SourceError(
            "the server's SMART configuration names no token endpoint.",
            where=where,
            mend="Give the token URL.",
        )
    return urljoin(str(response.request.url), endpoint)


def _object(response: httpx.Response, where: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(response.content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        value = None
    if type(value) is not dict:
        raise SourceError("the answer is no JSON object.", where=where, code="structure")
    return value


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
