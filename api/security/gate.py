"""The one door: every request comes through here, and leaves with a principal or a refusal."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import httpx
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.requests import Request

from measurewise.api.security.errors import SignInError
from measurewise.api.security.issuer import LocalIssuer
from measurewise.api.security.keys import RemoteKeys, discover
from measurewise.api.security.principal import Principal, operator
from measurewise.api.security.scopes import EVERY_LEVEL, Level, Need, operation_needs
from measurewise.api.security.settings import SecuritySettings, is_loopback
from measurewise.api.security.tokens import TrustedIssuer, Verifier

_documented: Final = HTTPBearer(
    auto_error=False, scheme_name="SMART", bearerFormat="JWT", description="A SMART on FHIR access token."
)
CAPABILITIES: Final = (
    "launch-standalone",
    "client-public",
    "client-confidential-asymmetric",
    "context-standalone-patient",
    "permission-offline",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
    "authorize-post",
    "sso-openid-connect",
)


class Gate:
    """Settings, trusted issuers and the verifier, once per app."""

    def __init__(
        self,
        settings: SecuritySettings,
        *,
        client: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Checks the settings. Raises SecuritySettingsError."""
        settings.check()
        self.settings = settings
        self.client = client or httpx.AsyncClient(timeout=10.0, follow_redirects=False)
        self.local = LocalIssuer(settings, client=self.client, clock=clock) if _local(settings) else None
        issuers = [
            TrustedIssuer(
                url=issuer.url,
                audience=issuer.audience or settings.fhir_url,
                keys=RemoteKeys(
                    self.client, issuer=issuer.url, jwks_uri=issuer.jwks_uri, lifetime=settings.jwks_seconds
                ),
                organizations=issuer.organizations,
                may_grant_every_organization=issuer.may_grant_every_organization,
                registered=issuer.url,
            )
            for issuer in settings.issuers
        ]
        if self.local is not None:
            issuers.append(self.local.trusted())
        self._clock = clock
        self._metadata: tuple[float, dict[str, Any]] = (0.0, {})
        self.verifier = Verifier(settings, issuers, clock=clock)

    async def principal(self, request: Request) -> Principal:
        """Who asks. Raises SignInError, ScopeError or KeysUnavailableError."""
        if self.settings.open:
            self._only_from_here(request)
            return operator()
        given = request.headers.getlist("authorization")
        if not given:
            raise SignInError("nobody is signed in.", mend="Send a bearer token.", code="login")
        scheme, _, token = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer" or not token.strip():
            raise SignInError(
                "the Authorization header holds no bearer token.", mend="Send one.", code="login"
            )
        return await self.verifier.verify(token.strip())

    async def smart_configuration(self) -> dict[str, Any] | None:
        """What ``.well-known/smart-configuration`` answers; None where nobody signs in.

        SMART App Launch 2.2, section "Conformance". With several issuers it speaks of the first.
        Raises KeysUnavailableError where the issuer does not answer.
        """
        if self.local is not None:
            metadata = self.local.metadata()
        elif self.settings.issuers:
            metadata = await self._discovered()
        else:
            return None
        known: dict[str, Any] = {name: metadata[name] for name in _SHOWN if name in metadata}
        known["capabilities"] = list(CAPABILITIES if self.local is not None else _OF_THE_SERVER)
        return known

    async def _discovered(self) -> dict[str, Any]:
        until, metadata = self._metadata
        if not metadata or self._clock() >= until:
            metadata = await discover(self.client, self.settings.issuers[0].url)
            self._metadata = (self._clock() + self.settings.jwks_seconds, metadata)
        return metadata

    async def aclose(self) -> None:
        """Close the connections to issuers."""
        await self.client.aclose()

    def _only_from_here(self, request: Request) -> None:
        """An open server answers this machine only, and no web page that got a name to mean this machine."""
        peer = request.client.host if request.client is not None else None
        names = [_host("//" + request.headers.get("host", ""))]
        if "origin" in request.headers:
            names.append(_host(request.headers["origin"]))
        elsewhere = peer is not None and _is_address(peer) and not is_loopback(peer)
        if elsewhere or not all(is_loopback(name) or name in self.settings.trusted_hosts for name in names):
            raise SignInError(
                "no issuer is configured, so this server answers its own machine only.",
                where="http.Host",
                mend="Ask it as 127.0.0.1 or localhost, or configure an issuer.",
                code="login",
            )


_OF_THE_SERVER: Final = ("permission-patient", "permission-user", "permission-v1", "permission-v2")
"""What this server does by itself, whoever the issuer is."""
_SHOWN: Final = (
    "issuer",
    "jwks_uri",
    "authorization_endpoint",
    "token_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "registration_endpoint",
    "management_endpoint",
    "grant_types_supported",
    "response_types_supported",
    "scopes_supported",
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
)


def install(
    app: FastAPI,
    settings: SecuritySettings,
    *,
    client: httpx.AsyncClient | None = None,
    clock: Callable[[], float] = time.time,
) -> Gate:
    """Put the gate into an app: ``app.state.gate`` and the local issuer's routes below ``/auth``.

    Refusals are errors of the family, which the app answers as any other, with their ``headers``.
    Raises SecuritySettingsError where the server must not start with these settings.
    """
    gate = Gate(settings, client=client, clock=clock)
    app.state.gate = gate
    if gate.local is not None:
        app.include_router(gate.local.router(), prefix="/auth")
    return gate


async def principal(request: Request, _: Annotated[object, Depends(_documented)] = None) -> Principal:
    """Dependency: who asks; remembered in ``request.state.principal``."""
    known = getattr(request.state, "principal", None)
    if not isinstance(known, Principal):
        gate: Gate = request.app.state.gate
        known = await gate.principal(request)
        request.state.principal = known
    return known


def require(
    resource_type: str,
    actions: str,
    *,
    levels: frozenset[Level] = EVERY_LEVEL,
    restrictable: bool = False,
) -> Callable[..., Awaitable[Principal]]:
    """Dependency: a principal whose scopes allow the actions (letters of ``cruds``) on a resource type.

    Its ``access`` is what the store filters by. With ``restrictable``, the endpoint joins
    ``principal.search_parameters(resource_type)`` to its search.
    """
    need = Need(resource_type, actions)

    async def permitted(asking: Annotated[Principal, Depends(principal)]) -> Principal:
        return asking.permit(need, levels=levels, restrictable=restrictable)

    return permitted


def require_operation(name: str) -> Callable[..., Awaitable[Principal]]:
    """Dependency: a principal whose scopes allow an operation of the table, such as ``Measure/$evaluate``."""
    operation = operation_needs(name)

    async def permitted(asking: Annotated[Principal, Depends(principal)]) -> Principal:
        return asking.permit_operation(operation)

    return permitted


def _local(settings: SecuritySettings) -> bool:
    return settings.local_issuer.enabled


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
