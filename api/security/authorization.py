"""The local issuer's authorization endpoint: a user signs in and allows an app, which gets a code.

RFC 6749, section 4.1 with PKCE S256 (RFC 7636), as SMART App Launch 2.2 profiles it ("App Launch: Launch and
Authorization"): ``state`` and ``aud`` are required.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

from starlette.responses import RedirectResponse, Response

from measurewise.api.security.grants import Grant, Grants
from measurewise.api.security.scopes import Scopes, parse_scope
from measurewise.api.security.settings import ClientSettings, SecuritySettings, UserSettings
from measurewise.api.security.sign_in_page import HEADERS, error_page, sign_in_page

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_FORM_ONLY: Final = frozenset({"username", "password", "patient"})
_FAILURES: Final = 5
_PAUSE_SECONDS: Final = 30.0


class Authorization:
    """The authorization endpoint, over the users and apps of the settings."""

    def __init__(self, settings: SecuritySettings, grants: Grants, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._grants = grants
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}

    def answer(self, form: Mapping[str, str], *, submitted: bool) -> Response:
        """The sign-in page, or the redirect that brings the app its code or its error."""
        app = self._settings.client(form.get("client_id", ""))
        if app is None or not app.redirect_uris:
            return error_page("The client_id is of no app that is registered here.")
        redirect_uri = form.get("redirect_uri", "")
        if redirect_uri not in app.redirect_uris:
            return error_page("The redirect_uri is not one that the app has registered.")
        fault = self._fault(form)
        if fault is not None:
            return self._redirect(redirect_uri, form, error=fault[0], error_description=fault[1])
        if not (submitted and "username" in form):
            return self._page(form, app)
        user = self._sign_in(form["username"], form.get("password", ""))
        if user is None:
            return self._page(form, app, error="User name and password do not match.", status=401)
        return self._allow(form, app, user, redirect_uri)

    def _allow(
        self, form: Mapping[str, str], app: ClientSettings, user: UserSettings, redirect_uri: str
    ) -> Response:
        scopes = granted(form["scope"], app.scopes, user.scopes)
        patient = _patient_of(user)
        wants_patient = "launch/patient" in scopes or Scopes.parse(scopes).has_level("patient")
        if wants_patient and patient is None:
            patient = form.get("patient", "")
            if not _ID.fullmatch(patient):
                return self._page(form, app, error="Name the patient by the id.", status=400)
        if not scopes:
            return self._redirect(redirect_uri, form, error="invalid_scope", error_description=_NO_SCOPE)
        grant = Grant(
            app.client_id,
            user.username,
            scopes,
            patient if wants_patient else None,
            form.get("nonce"),
        )
        code = self._grants.issue_code(grant, redirect_uri, form["code_challenge"])
        return self._redirect(redirect_uri, form, code=code)

    def _fault(self, form: Mapping[str, str]) -> tuple[str, str] | None:
        if form.get("response_type") != "code":
            return "unsupported_response_type", "response_type must be code"
        if not form.get("state"):
            return "invalid_request", "state is missing"
        if form.get("aud", "").rstrip("/") != self._settings.fhir_url:
            return "invalid_request", f"aud must be {self._settings.fhir_url}"
        if form.get("code_challenge_method") != "S256":
            return "invalid_request", "code_challenge_method must be S256"
        if not _CHALLENGE.fullmatch(form.get("code_challenge", "")):
            return "invalid_request", "code_challenge is no S256 challenge"
        if not form.get("scope", "").split():
            return "invalid_scope", "scope is missing"
        return None

    def _page(
        self, form: Mapping[str, str], app: ClientSettings, *, error: str = "", status: int = 200
    ) -> Response:
        scopes = form["scope"].split()
        asks = "launch/patient" in scopes or Scopes.parse(scopes).has_level("patient")
        users = self._settings.local_issuer.users
        return sign_in_page(
            {name: value for name, value in form.items() if name not in _FORM_ONLY},
            app=app.name or app.client_id,
            scopes=scopes,
            asks_patient=asks and any(_patient_of(user) is None for user in users),
            error=error,
            status=status,
        )

    def _sign_in(self, username: str, password: str) -> UserSettings | None:
        """The user of name and password; after five failures in a row a name has to wait."""
        count, until = self._failures.get(username, (0, 0.0))
        if count >= _FAILURES and self._clock() < until:
            return None
        user = next((u for u in self._settings.local_issuer.users if u.username == username), None)
        expected = user.password.get_secret_value() if user is not None else ""
        matches = hmac.compare_digest(expected.encode(), password.encode())
        if user is None or not matches or not password:
            if user is not None:
                self._failures[username] = (count + 1, self._clock() + _PAUSE_SECONDS)
            return None
        self._failures.pop(username, None)
        return user

    def _redirect(self, redirect_uri: str, form: Mapping[str, str], **answer: str) -> Response:
        """Back to the app, with the issuer's name so that it cannot be mixed up (RFC 9207)."""
        answer["iss"] = self._settings.local_issuer_url
        if form.get("state"):
            answer["state"] = form["state"]
        joint = "&" if urlsplit(redirect_uri).query else "?"
        return RedirectResponse(f"{redirect_uri}{joint}{urlencode(answer)}", status_code=303, headers=HEADERS)


_NO_SCOPE: Final = "neither the app nor the user may have these scopes"


def granted(wanted: str, *allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The wanted scopes that each of the allowed lists gives, in the order in which they are wanted."""
    lists = [Scopes.parse(texts) for texts in allowed]
    found: list[str] = []
    for text in dict.fromkeys(wanted.split()):
        scope = parse_scope(text)
        if all(text in held.other if scope is None else held.covers(scope) for held in lists):
            found.append(text)
    return tuple(found)


def _patient_of(user: UserSettings) -> str | None:
    if user.patient is not None:
        return user.patient
    if user.fhir_user is not None and user.fhir_user.startswith("Patient/"):
        return user.fhir_user.removeprefix("Patient/")
    return None
