"""Refusals at the door: errors of the one family with the HTTP status and headers to answer them with.

RFC 6750, section 3 (the WWW-Authenticate challenge) and FHIR's IssueType codes ``login``, ``expired``,
``security``, ``forbidden``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from measurewise.engine.errors import MeasurewiseError
from measurewise.store.errors import ForbiddenError

REALM = "measurewise"


class SecuritySettingsError(MeasurewiseError):
    """Settings under which the server must not start."""

    code = "security"


class SignInError(MeasurewiseError):
    """No valid token: 401. ``code`` is login (none given), expired, or security (not acceptable)."""

    status = 401

    def __init__(
        self,
        what: str,
        *,
        where: str = "http.Authorization",
        mend: str = "",
        code: Literal["login", "expired", "security"] = "security",
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return _sign_in, (self.what, self.where, self.mend, self.code)

    @property
    def headers(self) -> dict[str, str]:
        """The challenge; where no token was given it names no error (RFC 6750, section 3.1)."""
        if self.code == "login":
            return {"WWW-Authenticate": f'Bearer realm="{REALM}"'}
        said = _quoted(self.what)
        return {
            "WWW-Authenticate": f'Bearer realm="{REALM}", error="invalid_token", error_description="{said}"'
        }


class ScopeError(ForbiddenError):
    """A valid token that does not reach this far: 403. ``scopes`` are those that would."""

    status = 403

    def __init__(
        self, what: str, *, where: str = "scope", mend: str = "", scopes: Iterable[str] = ()
    ) -> None:
        super().__init__(what, where=where, mend=mend)
        self.scopes = tuple(scopes)

    def __reduce__(self) -> tuple[Any, ...]:
        return _scope, (self.what, self.where, self.mend, self.scopes)

    @property
    def headers(self) -> dict[str, str]:
        """The challenge with the scopes that would do (RFC 6750, section 3.1)."""
        challenge = f'Bearer realm="{REALM}", error="insufficient_scope"'
        if self.scopes:
            challenge += f', scope="{_quoted(" ".join(self.scopes))}"'
        return {"WWW-Authenticate": challenge}


class KeysUnavailableError(MeasurewiseError):
    """The issuer's keys are out of reach, so no token of it can be checked: 503."""

    code = "transient"
    status = 503

    @property
    def headers(self) -> dict[str, str]:
        """When to come back."""
        return {"Retry-After": "10"}


def _quoted(text: str) -> str:
    """Text that may stand in a quoted-string of a header: printable ASCII without quotes and backslashes."""
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in text)


def _sign_in(what: str, where: str, mend: str, code: Literal["login", "expired", "security"]) -> SignInError:
    return SignInError(what, where=where, mend=mend, code=code)


def _scope(what: str, where: str, mend: str, scopes: tuple[str, ...]) -> ScopeError:
    return ScopeError(what, where=where, mend=mend, scopes=scopes)
