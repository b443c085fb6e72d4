"""The built-in local issuer: OAuth 2.0 with SMART scopes, for development and tests.

SMART App Launch 2.2 and Backend Services, RFC 6749 (tokens), RFC 7009 (revocation), RFC 7662 (introspection),
RFC 9068 (JWT access tokens). ``SecuritySettings.check`` refuses it under production.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

import httpx
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from measurewise.api.security.assertions import ALGORITHMS as ASSERTION_ALGORITHMS
from measurewise.api.security.assertions import ClientAssertions
from measurewise.api.security.authorization import Authorization, granted
from measurewise.api.security.errors import ScopeError, SignInError
from measurewise.api.security.grants import Grant, Grants
from measurewise.api.security.keys import FixedKeys
from measurewise.api.security.scopes import parse_scope
from measurewise.api.security.settings import ClientSettings, SecuritySettings, UserSettings
from measurewise.api.security.sign_in_page import error_page
from measurewise.api.security.signing import ALGORITHM, SigningKeys
from measurewise.api.security.tokens import TrustedIssuer, Verifier, unproved_parts

_LARGEST_FORM: Final = 64 * 1024
_NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class _Refused(Exception):
    """An error as the token endpoint says it (RFC 6749, section 5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


class LocalIssuer:
    """The issuer: its keys, its memory of codes and tokens, and its endpoints."""

    def __init__(
        self,
        settings: SecuritySettings,
        *,
        client: httpx.AsyncClient,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Reads or makes the signing keys. Raises SecuritySettingsError, always so under production."""
        settings.check()
        self._settings = settings
        self._clock = clock
        self.url = settings.local_issuer_url
        self._signing = SigningKeys(settings.local_issuer.keys)
        self._grants = Grants(clock, settings.local_issuer.refresh_seconds)
        self._assertions = ClientAssertions(settings, f"{self.url}/token", client, clock=clock)
        self._authorization = Authorization(settings, self._grants, clock)
        self._verifier = Verifier(settings, [self.trusted()], clock=clock)

    def trusted(self) -> TrustedIssuer:
        """This issuer as the gate trusts it: its keys are at hand."""
        return TrustedIssuer(
            url=self.url,
            audience=self._settings.fhir_url,
            keys=FixedKeys(self._signing.public()),
            may_grant_every_organization=True,
            revoked=self._grants.is_revoked,
        )

    def metadata(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0 and RFC 8414."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "introspection_endpoint": f"{self.url}/introspect",
            "revocation_endpoint": f"{self.url}/revoke",
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "scopes_supported": [
                "openid",
                "fhirUser",
                "launch/patient",
                "offline_access",
                "patient/*.cruds",
                "user/*.cruds",
                "system/*.cruds",
            ],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
            "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
            "authorization_response_iss_parameter_supported": True,
        }

    def router(self) -> APIRouter:
        """The endpoints, to be mounted where ``url`` points."""
        router = APIRouter(tags=["local issuer"])

        @router.get("/.well-known/openid-configuration", summary="The issuer's metadata")
        async def configuration() -> JSONResponse:
            return JSONResponse(self.metadata())

        @router.get("/jwks", summary="The issuer's public keys")
        async def jwks() -> JSONResponse:
            return JSONResponse({"keys": self._signing.public()}, headers={"Cache-Control": "max-age=300"})

        @router.get("/authorize", summary="The sign-in page", response_model=None)
        async def authorize(request: Request) -> Response:
            return self._authorize(request.url.query, submitted=False)

        @router.post("/authorize", summary="Sign in, and allow an app", response_model=None)
        async def submit(request: Request) -> Response:
            try:
                return self._authorize(await _body(request), submitted=True)
            except _Refused as refused:
                return error_page(refused.description)

        for path, answer, summary in (
            ("/token", self._token, "A token for a code, a refresh token or a signed assertion"),
            ("/introspect", self._introspect, "What a token is good for"),
            ("/revoke", self._revoke, "Take a token back"),
        ):
            router.add_api_route(
                path, _endpoint(answer), methods=["POST"], summary=summary, response_model=None
            )
        return router

    def _authorize(self, text: str, *, submitted: bool) -> Response:
        try:
            form = _form(text)
        except _Refused as refused:
            return error_page(refused.description)
        return self._authorization.answer(form, submitted=submitted)

    async def _token(self, form: Mapping[str, str]) -> dict[str, Any]:
        match form.get("grant_type"):
            case "client_credentials":
                return await self._client_credentials(form)
            case "authorization_code":
                client = await self._client(form)
                grant = self._grants.redeem_code(
                    form.get("code", ""),
                    client.client_id,
                    form.get("redirect_uri", ""),
                    form.get("code_verifier", ""),
                )
                return self._user_tokens(grant, grant.scopes if grant is not None else ())
            case "refresh_token":
                client = await self._client(form)
                grant = self._grants.redeem_refresh(form.get("refresh_token", ""), client.client_id)
                if grant is None:
                    _refuse_grant()
                wanted = tuple(form.get("scope", "").split()) or grant.scopes
                if not set(wanted) <= set(grant.scopes):
                    raise _Refused("invalid_scope", "a refreshed token cannot have more scopes than before")
                return self._user_tokens(grant, wanted)
            case _:
                raise _Refused(
                    "unsupported_grant_type",
                    "grant_type must be client_credentials, authorization_code or refresh_token",
                )

    async def _client_credentials(self, form: Mapping[str, str]) -> dict[str, Any]:
        """SMART Backend Services."""
        client = await self._asserted(form)
        scopes = tuple(
            text
            for text in granted(form.get("scope", ""), client.scopes)
            if (scope := parse_scope(text)) is not None and scope.level == "system"
        )
        if not scopes:
            raise _Refused(
                "invalid_scope", "none of the system/ scopes asked for is registered for the client"
            )
        claims = {
            "sub": client.client_id,
            "client_id": client.client_id,
            "name": client.name or client.client_id,
            self._settings.organization_claim: list(client.organizations),
        }
        return self._access_token(claims, scopes)

    def _user_tokens(self, grant: Grant | None, scopes: tuple[str, ...]) -> dict[str, Any]:
        user = self._user(grant.username) if grant is not None else None
        if grant is None or user is None:
            _refuse_grant()
        about: dict[str, Any] = {"sub": user.username, "name": user.name or user.username}
        if user.fhir_user is not None:
            about["fhirUser"] = f"{self._settings.fhir_url}/{user.fhir_user}"
        claims = {
            **about,
            "client_id": grant.client_id,
            self._settings.organization_claim: list(user.organizations),
        }
        if grant.patient is not None:
            claims[self._settings.patient_claim] = grant.patient
        answer = self._access_token(claims, scopes, family=grant.family)
        if grant.patient is not None:
            answer["patient"] = grant.patient
        if "openid" in scopes:
            if "fhirUser" not in scopes:
                about.pop("fhirUser", None)
            answer["id_token"] = self._id_token(about, grant)
        if "offline_access" in grant.scopes:
            answer["refresh_token"] = self._grants.issue_refresh(grant)
        return answer

    def _access_token(
        self, claims: dict[str, Any], scopes: tuple[str, ...], family: str | None = None
    ) -> dict[str, Any]:
        now = int(self._clock())
        lifetime = self._settings.local_issuer.access_seconds
        token_id = str(uuid.uuid4())
        if family is not None:
            self._grants.remember(token_id, family, now + lifetime + self._settings.leeway_seconds)
        signed = self._signing.sign(
            claims
            | {
                "iss": self.url,
                "aud": self._settings.fhir_url,
                "iat": now,
                "nbf": now,
                "exp": now + lifetime,
                "jti": token_id,
                "scope": " ".join(scopes),
            },
            "at+jwt",
        )
        return {
            "access_token": signed,
            "token_type": "bearer",
            "expires_in": lifetime,
            "scope": " ".join(scopes),
        }

    def _id_token(self, about: dict[str, Any], grant: Grant) -> str:
        now = int(self._clock())
        claims = about | {
            "iss": self.url,
            "aud": grant.client_id,
            "iat": now,
            "exp": now + self._settings.local_issuer.access_seconds,
        }
        if grant.nonce is not None:
            claims["nonce"] = grant.nonce
        return self._signing.sign(claims, "JWT")

    async def _introspect(self, form: Mapping[str, str]) -> dict[str, Any]:
        await self._asserted(form)
        token = form.get("token", "")
        try:
            await self._verifier.verify(token)
        except (SignInError, ScopeError):
            return {"active": False}
        _, claims = unproved_parts(token)
        return {"active": True, "token_type": "bearer", **claims}

    async def _revoke(self, form: Mapping[str, str]) -> dict[str, Any]:
        client = await self._client(form)
        token = form.get("token", "")
        if not self._grants.revoke_refresh(token, client.client_id):
            try:
                principal = await self._verifier.verify(token)
            except (SignInError, ScopeError):
                return {}
            if principal.client_id == client.client_id:
                _, claims = unproved_parts(token)
                until = float(claims["exp"]) + self._settings.leeway_seconds
                self._grants.revoke_token(principal.token_id, until)
        return {}

    async def _client(self, form: Mapping[str, str]) -> ClientSettings:
        """The client that asks: by its assertion, or by its id alone where it has no keys."""
        if "client_assertion" in form:
            return await self._asserted(form)
        client = self._settings.client(form.get("client_id", ""))
        if client is None or client.has_keys:
            raise _Refused(
                "invalid_client", "the client is not registered, or must sign in with its key", 401
            )
        return client

    async def _asserted(self, form: Mapping[str, str]) -> ClientSettings:
        if "client_assertion" not in form:
            raise _Refused("invalid_client", "client_assertion is missing", 401)
        try:
            return await self._assertions.client(form)
        except SignInError as error:
            raise _Refused("invalid_client", error.what, 401) from None

    def _user(self, username: str) -> UserSettings | None:
        return next((u for u in self._settings.local_issuer.users if u.username == username), None)


def _refuse_grant() -> NoReturn:
    raise _Refused("invalid_grant", "the code or token is unknown, spent, expired, or not this client's")


def _endpoint(answer: Callable[[Mapping[str, str]], Any]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await answer(_form(await _body(request))), headers=_NO_STORE)
        except _Refused as refused:
            return JSONResponse(
                {"error": refused.error, "error_description": refused.description},
                status_code=refused.status,
                headers=_NO_STORE,
            )

    return endpoint


async def _body(request: Request) -> str:
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise _Refused("invalid_request", "send application/x-www-form-urlencoded")
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _LARGEST_FORM:
            raise _Refused("invalid_request", "the request is too large", 413)
    return content.decode("utf-8", "replace")


def _form(text: str) -> dict[str, str]:
    """Parameters, of which none may come twice (RFC 6749, section 3.2)."""
    try:
        pairs = parse_qsl(text, keep_blank_values=False, max_num_fields=100)
    except ValueError:
        raise _Refused("invalid_request", "the request has too many parameters") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _Refused("invalid_request", "a parameter is there twice")
    return form
