"""Bearer tokens: a signed JWT in, a principal out, or a refusal that says why.

RFC 9068 (JWT access tokens), RFC 8725 (JWT best practice), RFC 6750 (bearer tokens), SMART App Launch 2.2
(launch context claims).
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError

from measurewise.api.security.errors import ScopeError, SignInError
from measurewise.api.security.keys import ALGORITHMS, KeySource
from measurewise.api.security.principal import Principal, is_staff
from measurewise.api.security.scopes import Scopes
from measurewise.api.security.settings import EVERY_ORGANIZATION, SecuritySettings
from measurewise.store.access import Access

_LONGEST = 16_384
_REFERENCE: Final = re.compile(r"(?:https?://[^?#\s]+/)?([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})")
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})


@dataclass(frozen=True, slots=True)
class TrustedIssuer:
    """An issuer with its keys, and what its tokens are believed."""

    url: str
    audience: str
    keys: KeySource
    organizations: tuple[str, ...] = ()
    may_grant_every_organization: bool = False
    revoked: Callable[[str], bool] | None = None
    """Whether the token of this ``jti`` was taken back; None where the issuer is not asked."""
    registered: str | None = None
    """Under which issuer its clients are registered; None for the local one."""


class _Registry(jws.JWSRegistry):
    """Issuers put certificates and names of their own into the header; what is critical is still refused."""

    max_header_length = 8192

    def __init__(self, algorithms: Collection[str]) -> None:
        super().__init__(algorithms=algorithms, strict_check_header=False)


class Verifier:
    """Checks tokens of the trusted issuers."""

    def __init__(
        self,
        settings: SecuritySettings,
        issuers: Collection[TrustedIssuer],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._issuers: Mapping[str, TrustedIssuer] = {issuer.url: issuer for issuer in issuers}
        self._clock = clock

    async def verify(self, token: str) -> Principal:
        """The principal of a token. Raises SignInError, ScopeError or KeysUnavailableError."""
        header, unproved = unproved_parts(token)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise SignInError(
                "the token is not signed with an algorithm that is accepted.",
                mend="Accepted are " + ", ".join(ALGORITHMS) + ".",
            )
        kind = header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise SignInError("the token is no access token.")
        named = unproved.get("iss")
        issuer = self._issuers.get(named) if isinstance(named, str) else None
        if issuer is None:
            raise SignInError("the token's issuer is not one that this server trusts.")
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise SignInError("the token's key id is not a string.")
        key = await issuer.keys.find(kid, algorithm)
        if key is None:
            raise SignInError("the token is signed with a key that its issuer does not publish.")
        claims = proved(token, key, algorithm)
        check_times(claims, self._clock(), self._settings.leeway_seconds, what="token")
        if claims.get("iss") != issuer.url:
            raise SignInError("the token's issuer is not one that this server trusts.")
        if issuer.audience not in _strings(claims.get("aud")):
            raise SignInError(
                "the token is meant for somebody else: its audience is not this server.",
                mend=f"Ask for a token whose audience is {issuer.audience}.",
            )
        token_id = claims.get("jti")
        if issuer.revoked is not None and (not isinstance(token_id, str) or issuer.revoked(token_id)):
            raise SignInError("the token has been revoked.")
        return self._principal(claims, issuer)

    def _principal(self, claims: Mapping[str, Any], issuer: TrustedIssuer) -> Principal:
        client_id = _text(claims, "client_id") or _text(claims, "azp") or _text(claims, "cid") or ""
        subject = _text(claims, "sub") or client_id
        if not subject:
            raise SignInError("the token names neither a subject nor a client.")
        # RFC 9068 writes scope as a string; some issuers write scp, or a list
        scopes = Scopes.parse(_strings(claims.get("scope", claims.get("scp")), split=True))
        fhir_user = _user(claims.get("fhirUser"))
        patient = _id(_text(claims, self._settings.patient_claim))
        if patient is None and fhir_user is not None and fhir_user.startswith("Patient/"):
            patient = fhir_user.removeprefix("Patient/")
        organizations = self._organizations(claims, issuer, client_id, scopes)
        bound = scopes.has_level("patient") or not is_staff(fhir_user)
        if bound and patient is not None and organizations is None:
            raise ScopeError(
                "a token with a patient must name the organisations that hold the patient's data.",
                where=self._settings.organization_claim,
            )
        wide = is_staff(fhir_user) and (scopes.has_level("user") or scopes.has_level("system"))
        if not (wide or (bound and patient is not None and scopes.granted)):
            # nothing will be permitted, so nothing is in sight before
            organizations = frozenset()
        token_id = _text(claims, "jti") or ""
        return Principal(
            subject=subject,
            client_id=client_id,
            scopes=scopes,
            access=Access(organizations, patient if bound else None),
            name=_text(claims, "name") or _text(claims, "preferred_username") or "",
            issuer=issuer.url,
            token_id=token_id,
            patient=patient,
            fhir_user=fhir_user,
        )

    def _organizations(
        self, claims: Mapping[str, Any], issuer: TrustedIssuer, client_id: str, scopes: Scopes
    ) -> frozenset[str] | None:
        """The token's organisations, else its registered service's, else its issuer's; None for all.

        A token for a person is not given what its app is registered for.
        """
        named = _strings(claims.get(self._settings.organization_claim))
        person = scopes.has_level("user") or scopes.has_level("patient")
        if not named and not person:
            client = self._settings.client(client_id, issuer.registered) if client_id else None
            named = client.organizations if client is not None else ()
        named = named or issuer.organizations
        if EVERY_ORGANIZATION not in named:
            return frozenset(name for name in named if name)
        if not issuer.may_grant_every_organization:
            raise ScopeError(
                "the token claims every organisation, which its issuer may not grant.",
                where=self._settings.organization_claim,
            )
        return None


def proved(token: str, key: Any, algorithm: str) -> dict[str, Any]:
    """The claims of a token whose signature holds. Raises SignInError."""
    try:
        return jwt.decode(token, key, algorithms=[algorithm], registry=_Registry([algorithm])).claims
    except (JoseError, ValueError, TypeError):
        raise SignInError("the token's signature does not hold, or the token is misshapen.") from None


def check_times(claims: Mapping[str, Any], now: float, leeway: float, *, what: str) -> None:
    """``exp`` (required), ``nbf`` and ``iat`` against the clock. Raises SignInError."""
    times: dict[str, float] = {}
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is None:
            continue
        # a number that is not finite would never expire
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
            raise SignInError(f"the {what}'s {name} is no time.")
        times[name] = float(value)
    if "exp" not in times:
        raise SignInError(f"the {what} has no expiry.")
    if times["exp"] + leeway <= now:
        raise SignInError(f"the {what} has expired.", mend="Get a new one.", code="expired")
    if times.get("nbf", now) > now + leeway:
        raise SignInError(f"the {what} is not valid yet.")
    if times.get("iat", now) > now + leeway:
        raise SignInError(f"the {what} was issued in the future.")


def unproved_parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims as they stand there, unproved: only to find the key."""
    parts = token.split(".")
    if len(token) > _LONGEST or len(parts) != 3:
        raise SignInError("the token is no signed JWT.")
    decoded: list[dict[str, Any]] = []
    for part in parts[:2]:
        try:
            value = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise SignInError("the token is no signed JWT.")
        decoded.append(value)
    return decoded[0], decoded[1]


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and value else None


def _strings(value: Any, *, split: bool = False) -> tuple[str, ...]:
    """One string or a list of them; with ``split``, words."""
    listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    texts = [text for text in listed if isinstance(text, str)]
    if split:
        texts = [word for text in texts for word in text.split()]
    return tuple(texts)


def _user(fhir_user: Any) -> str | None:
    """``fhirUser`` may be an absolute address; what counts is ``Type/id``. Raises SignInError."""
    if fhir_user is None:
        return None
    form = _REFERENCE.fullmatch(fhir_user) if isinstance(fhir_user, str) else None
    if form is None:
        # whoever this is might be a patient, who must not be taken for staff
        raise SignInError("the token's fhirUser is no reference such as Practitioner/123.")
    return form[1]


def _id(patient: str | None) -> str | None:
    """The launch context is an id; some issuers write a reference."""
    return patient.rsplit("/", 1)[-1] or None if patient is not None else None
