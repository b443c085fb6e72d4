"""Clients that sign in with a key: ``private_key_jwt`` as SMART Backend Services asks for it.

SMART App Launch 2.2, "Client Authentication: Asymmetric":
https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html; RFC 7523.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Final

import httpx

from measurewise.api.security.errors import KeysUnavailableError, SignInError
from measurewise.api.security.keys import FixedKeys, KeySource, RemoteKeys
from measurewise.api.security.settings import ClientSettings, SecuritySettings
from measurewise.api.security.tokens import check_times, proved, unproved_parts

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ("RS384", "ES384")
_LONGEST_LIFE = 300


class Once:
    """What may be used once within its lifetime: remembered until then, and as a digest only."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._used: dict[bytes, float] = {}
        self._sweep_at = 0.0

    def use(self, *parts: str, until: float) -> bool:
        """True the first time. ``until`` is the moment after which it is refused anyway, in seconds."""
        now = self._clock()
        if now >= self._sweep_at:
            self._used = {key: end for key, end in self._used.items() if end >= now}
            self._sweep_at = now + 60
        key = hashlib.sha256("\0".join(parts).encode()).digest()
        if key in self._used:
            return False
        self._used[key] = until
        return True


class ClientAssertions:
    """Checks the assertions of registered clients for one token endpoint."""

    def __init__(
        self,
        settings: SecuritySettings,
        audience: str,
        client: httpx.AsyncClient,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._audience = audience
        self._clock = clock
        self._once = Once(clock)
        self._keys: dict[str, KeySource] = {}
        for registered in settings.clients:
            if registered.issuer is None and registered.has_keys:
                self._keys[registered.client_id] = _keys(registered, client, settings)

    async def client(self, form: Mapping[str, str]) -> ClientSettings:
        """The client that a token request's assertion proves. Raises SignInError (``invalid_client``)."""
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise SignInError(f"client_assertion_type is not {ASSERTION_TYPE}.")
        assertion = form.get("client_assertion", "")
        header, unproved = unproved_parts(assertion)
        algorithm, kid, named = header.get("alg"), header.get("kid"), unproved.get("iss")
        if algorithm not in ALGORITHMS:
            raise SignInError("the assertion is not signed with " + " or ".join(ALGORITHMS) + ".")
        if not isinstance(kid, str) or not kid:
            raise SignInError("the assertion's header names no key (kid).")
        registered = self._settings.client(named) if isinstance(named, str) else None
        source = self._keys.get(registered.client_id) if registered is not None else None
        if registered is None or source is None:
            raise SignInError("the assertion's issuer is no client that is registered with keys.")
        try:
            key = await source.find(kid, algorithm)
        except KeysUnavailableError as error:
            raise SignInError(f"the client's keys are out of reach: {error.what}") from None
        if key is None:
            raise SignInError("the assertion is signed with a key that the client has not registered.")
        claims = proved(assertion, key, algorithm)
        now, leeway = self._clock(), self._settings.leeway_seconds
        check_times(claims, now, leeway, what="assertion")
        if claims.get("iss") != registered.client_id or claims.get("sub") != registered.client_id:
            raise SignInError("the assertion's iss and sub are not both the client's id.")
        if form.get("client_id", registered.client_id) != registered.client_id:
            raise SignInError("the assertion is of another client than client_id.")
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise SignInError(f"the assertion's aud is not {self._audience}.")
        expiry = float(claims["exp"])
        if expiry > now + _LONGEST_LIFE + leeway:
            raise SignInError("the assertion lives for more than five minutes.")
        jti = claims.get("jti")
        if not isinstance(jti, str) or not jti:
            raise SignInError("the assertion has no jti.")
        if not self._once.use(registered.client_id, jti, until=expiry + leeway):
            raise SignInError("the assertion has been used before.")
        return registered


def _keys(registered: ClientSettings, client: httpx.AsyncClient, settings: SecuritySettings) -> KeySource:
    if registered.jwks_url is not None:
        return RemoteKeys(client, jwks_uri=registered.jwks_url, lifetime=settings.jwks_seconds)
    listed = (registered.jwks or {}).get("keys")
    return FixedKeys(listed if isinstance(listed, list) else ())
