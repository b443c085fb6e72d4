"""The server: one application made from settings, with everything it offers mounted on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response

import measurewise
from measurewise.api.content_routes import content_router
from measurewise.api.documentation import mount_documentation
from measurewise.api.fhir.audit_trail import AuditTrail
from measurewise.api.fhir.media import FhirResponse
from measurewise.api.fhir.outcomes import outcome, outcome_of, status_of
from measurewise.api.fhir.routes import router
from measurewise.api.observing import REQUEST_ID, Observed, observing_router
from measurewise.api.operations import OPERATIONS
from measurewise.api.registry import registry_router
from measurewise.api.security.gate import install
from measurewise.api.services.context import open_services
from measurewise.api.services.qrda import end_processes
from measurewise.api.settings import Settings
from measurewise.api.subscriptions import subscription_router
from measurewise.engine.errors import MeasurewiseError

FHIR: Final = "/fhir"
_EXPOSED: Final = (
    "content-location", "etag", "last-modified", "location", "retry-after", "x-notice", "x-progress",
    "x-request-id",
)  # fmt: skip


def create_app(settings: Settings | None = None, *, client: httpx.AsyncClient | None = None) -> FastAPI:
    """The application; ``client`` asks issuers for their keys.

    Raises StoreError and SecuritySettingsError where it must not start.
    """
    chosen = settings or Settings()
    services = open_services(chosen)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.gate.aclose()
        end_processes()
        services.database.close()

    app = FastAPI(
        title="Measurewise",
        version=measurewise.__version__,
        summary="Clinical quality measures computed from FHIR records.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.services = services
    app.state.audit = AuditTrail(services)
    app.add_middleware(Observed)
    if chosen.security.browser_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=chosen.security.browser_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )
    gate = install(app, chosen.security, client=client)

    @app.get(f"{FHIR}/.well-known/smart-configuration", tags=["Service"], summary="SMART configuration")
    async def smart_configuration() -> Response:
        found = await gate.smart_configuration()
        if found is None:
            return FhirResponse(_missing("nobody signs in at this server."), status_code=404)
        return JSONResponse(found)

    app.include_router(observing_router())
    app.include_router(subscription_router(), prefix=FHIR)
    app.include_router(router(OPERATIONS), prefix=FHIR)
    app.include_router(content_router())
    app.include_router(registry_router())
    mount_documentation(app)
    app.add_exception_handler(MeasurewiseError, _failed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _broken)
    return app


async def _failed(_: Request, error: Exception) -> Response:
    """An error of the family as an OperationOutcome."""
    if not isinstance(error, MeasurewiseError):
        raise error
    headers = getattr(error, "headers", None) or {}
    return FhirResponse(outcome_of(error), status_code=status_of(error), headers=dict(headers))


async def _refused(_: Request, error: Exception) -> Response:
    """What the framework itself refuses: an unknown address, a method that is not offered."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not-found", 405: "not-supported"}.get(error.status_code, "processing")
    said = {"severity": "error", "code": code, "details": {"text": str(error.detail)}}
    return FhirResponse(outcome(said), status_code=error.status_code, headers=dict(error.headers or {}))


async def _invalid(_: Request, error: Exception) -> Response:
    """Parameters of a wrong form, where the framework reads them."""
    if not isinstance(error, RequestValidationError):
        raise error
    issues = [
        {
            "severity": "error",
            "code": "value",
            "details": {"text": str(fault["msg"])},
            "expression": [".".join(map(str, fault["loc"]))],
        }
        for fault in error.errors()
    ]
    return FhirResponse(outcome(*issues), status_code=400)


async def _broken(request: Request, _: Exception) -> Response:
    """A fault of the program: told without its inner workings; the log has them under the request's id."""
    request_id = getattr(request.state, "request_id", "")
    text = f"The server made a mistake. Its log tells more under the request id {request_id}."
    said = {"severity": "fatal", "code": "exception", "details": {"text": text}}
    # This is answered outside of what gives other answers their id.
    headers = {REQUEST_ID: request_id} if request_id else {}
    return FhirResponse(outcome(said), status_code=500, headers=headers)


def _missing(text: str) -> dict[str, object]:
    return outcome({"severity": "error", "code": "not-found", "details": {"text": text}})
