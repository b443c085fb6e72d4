"""An issuer one can hold in the hand, and a small app behind the gate."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI
from joserfc import jwk, jwt
from starlette.requests import Request

from measurewise.api.fhir.media import FhirResponse
from measurewise.api.fhir.outcomes import outcome_of, status_of
from measurewise.api.security.gate import install, principal, require, require_operation
from measurewise.api.security.principal import Principal
from measurewise.api.security.settings import SecuritySettings
from measurewise.engine.errors import MeasurewiseError

ISSUER = "https://sign-in.example.org/realms/practice"
BASE = "http://localhost:8000"
AUDIENCE = f"{BASE}/fhir"
_FIRST_KEY = jwk.RSAKey.generate_key(2048, auto_kid=True)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


@dataclass
class OutsideIssuer:
    """An authorization server elsewhere: its keys and what it answers, request by request."""

    clock: Clock
    keys: list[jwk.ECKey | jwk.RSAKey] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    reachable: bool = True

    def __post_init__(self) -> None:
        self.keys.append(_FIRST_KEY)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(str(request.url))
        if not self.reachable:
            raise httpx.ConnectError("refused", request=request)
        if request.url.path.endswith("/.well-known/openid-configuration"):
            return httpx.Response(
                200,
                json={
                    "issuer": ISSUER,
                    "jwks_uri": f"{ISSUER}/certs",
                    "token_endpoint": f"{ISSUER}/token",
                    "authorization_endpoint": f"{ISSUER}/authorize",
                },
            )
        if request.url.path.endswith("/certs"):
            return httpx.Response(200, json={"keys": [key.as_dict(private=False) for key in self.keys]})
        return httpx.Response(404)

    def claims(self, **changed: Any) -> dict[str, Any]:
        now = int(self.clock())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "nurse-7",
            "client_id": "dashboard",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": str(uuid.uuid4()),
            "scope": "user/Measure.read user/MeasureReport.read",
            "organization": "practice-a",
            "name": "Nora Nurse",
        } | changed
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *, algorithm: str = "RS256", kid: str | None = "", **changed: Any) -> str:
        key = self.keys[-1]
        header: dict[str, Any] = {"alg": algorithm, "typ": "at+jwt"}
        if kid is not None:
            header["kid"] = kid or key.kid
        return jwt.encode(header, self.claims(**changed), key, algorithms=[algorithm])


async def refused(request: Request, error: Exception) -> FhirResponse:
    """A refusal as the server answers it."""
    assert isinstance(error, MeasurewiseError)
    headers = dict(getattr(error, "headers", {}))
    return FhirResponse(outcome_of(error), status_code=status_of(error), headers=headers)


def app_with(settings: SecuritySettings, **options: Any) -> FastAPI:
    """An app with one endpoint of each kind behind the gate."""
    app = FastAPI()
    install(app, settings, **options)
    app.add_exception_handler(MeasurewiseError, refused)

    def told(who: Principal) -> dict[str, Any]:
        organizations = who.access.organizations
        return {
            "subject": who.subject,
            "client": who.client_id,
            "organizations": None if organizations is None else sorted(organizations),
            "patient": who.access.patient,
            "search": who.search_parameters("Observation"),
        }

    @app.get("/me")
    async def me(who: Annotated[Principal, Depends(principal)]) -> dict[str, Any]:
        return told(who)

    @app.get("/measure")
    async def measure(who: Annotated[Principal, Depends(require("Measure", "r"))]) -> dict[str, Any]:
        return told(who)

    @app.put("/measure")
    async def put_measure(who: Annotated[Principal, Depends(require("Measure", "u"))]) -> dict[str, Any]:
        return told(who)

    @app.get("/observations")
    async def observations(
        who: Annotated[Principal, Depends(require("Observation", "s", restrictable=True))],
    ) -> dict[str, Any]:
        return told(who)

    @app.get("/evaluate")
    async def evaluate(
        who: Annotated[Principal, Depends(require_operation("Measure/$evaluate-measure"))],
        subject: str | None = None,
    ) -> dict[str, Any]:
        who.check_subject(subject)
        return told(who)

    @app.get("/export")
    async def export(
        who: Annotated[Principal, Depends(require_operation("Group/$export"))],
    ) -> dict[str, Any]:
        return told(who)

    return app


def ask(app: FastAPI, base: str = BASE) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base)
