"""The keys that tokens are checked with: an issuer's JWKS, fetched, remembered, and fetched anew on rotation.

RFC 7517 (JWK), RFC 8414 and OpenID Connect Discovery 1.0 (where an issuer's JWKS is), RFC 8725 (the algorithm
is decided here, and by the key, never by the token alone).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httpx
import msgspec
from joserfc import jwk
from joserfc.errors import JoseError

from measurewise.api.security.errors import KeysUnavailableError

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384")
"""What tokens may be signed with: neither ``none`` nor anything symmetric."""

Key = jwk.RSAKey | jwk.ECKey

_CURVES: Final = {"ES256": "P-256", "ES384": "P-384"}
_LARGEST = 512 * 1024
_FLOOR_SECONDS = 30.0
_STALE_SECONDS = 24 * 3600.0
_SHORTEST_RSA = 2048


class KeySource(Protocol):
    """Where the key of a token's header is looked up."""

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key, or None where the source has none for this id and algorithm."""
        ...


class FixedKeys:
    """Keys that were written down: a registered JWKS, or the server's own."""

    def __init__(self, keys: Iterable[Any]) -> None:
        """``keys`` are JWKs as mappings; those that cannot be used are left out."""
        self._keys = usable(keys)

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key, or None."""
        return pick(self._keys, kid, algorithm)


class RemoteKeys:
    """A JWKS at an address, which is fetched when first needed.

    It is fetched again after ``lifetime`` seconds, and when a token names an unknown key, then at most every
    30 seconds: so a rotation is seen at once and invented key ids cause no traffic. When the address does not
    answer, the keys last seen are used for up to a day.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        issuer: str | None = None,
        jwks_uri: str | None = None,
        lifetime: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Either ``jwks_uri`` is given, or ``issuer``, whose metadata names it."""
        if jwks_uri is None and issuer is None:
            raise ValueError("give an issuer or the address of its keys")
        self._client = client
        self._issuer = issuer
        self._jwks_uri = jwks_uri
        self._lifetime = lifetime
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._fetched: float | None = None
        self._tried: float | None = None
        self._alone = asyncio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key, or None. Raises KeysUnavailableError where no keys are to be had."""
        age = None if self._fetched is None else self._clock() - self._fetched
        # while one request fetches them anew, the others need not wait for a slow issuer
        if age is None or age > _STALE_SECONDS or (age > self._lifetime and not self._alone.locked()):
            await self._refresh()
        key = pick(self._keys, kid, algorithm)
        if key is None and self._may_try():
            await self._refresh()
            key = pick(self._keys, kid, algorithm)
        return key

    def _may_try(self) -> bool:
        return self._tried is None or self._clock() - self._tried >= _FLOOR_SECONDS

    async def _refresh(self) -> None:
        """Fetch, unless this or another request has done so, or tried to, a moment ago."""
        async with self._alone:
            if not self._may_try():
                self._require_keys("they could not be fetched a moment ago")
                return
            self._tried = self._clock()
            try:
                if self._jwks_uri is None:
                    metadata = await discover(self._client, self._issuer or "")
                    self._jwks_uri = str(metadata["jwks_uri"])
                document = await fetch_object(self._client, self._jwks_uri)
            except KeysUnavailableError as error:
                self._require_keys(error.what)
                return
            listed = document.get("keys")
            self._keys = usable(listed if isinstance(listed, list) else ())
            self._fetched = self._clock()

    def _require_keys(self, why: str) -> None:
        if self._fetched is None or self._clock() - self._fetched > _STALE_SECONDS:
            raise KeysUnavailableError(
                f"the issuer's keys are out of reach: {why}.",
                where=self._issuer or self._jwks_uri or "",
                mend="Try again shortly.",
            )


async def discover(client: httpx.AsyncClient, issuer: str) -> dict[str, Any]:
    """The issuer's metadata, from ``openid-configuration`` or ``oauth-authorization-server``.

    Raises KeysUnavailableError where neither is there, or it speaks of another issuer (RFC 8414, 3.3).
    """
    base = issuer.rstrip("/")
    parts = urlsplit(base)
    addresses = (
        f"{base}/.well-known/openid-configuration",
        f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path}",
    )
    failures: list[str] = []
    for address in addresses:
        try:
            metadata = await fetch_object(client, address)
        except KeysUnavailableError as error:
            failures.append(error.what)
            continue
        if metadata.get("issuer") != issuer:
            failures.append(f"the metadata at {address} speaks of another issuer")
        elif not isinstance(metadata.get("jwks_uri"), str):
            failures.append(f"the metadata at {address} names no jwks_uri")
        else:
            return metadata
    raise KeysUnavailableError("; ".join(failures), where=issuer)


async def fetch_object(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """A JSON object of at most 512 KiB; redirects are not followed. Raises KeysUnavailableError."""
    content = bytearray()
    try:
        async with client.stream(
            "GET", url, headers={"Accept": "application/json"}, follow_redirects=False, timeout=10.0
        ) as response:
            if response.status_code != 200:
                raise KeysUnavailableError(f"{url} answered {response.status_code}", where=url)
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _LARGEST:
                    raise KeysUnavailableError(f"the answer of {url} is too large", where=url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise KeysUnavailableError(f"{url} gave no answer ({type(error).__name__})", where=url) from None
    try:
        document = msgspec.json.decode(bytes(content))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise KeysUnavailableError(f"the answer of {url} is no JSON object", where=url)
    return document


def usable(listed: Iterable[Any]) -> tuple[Key, ...]:
    """The public signing keys of a JWKS.

    Left out are keys of other kinds (a set may hold some that one need not know, RFC 7517, section 5),
    encryption keys, and RSA keys below 2,048 bits.
    """
    keys: list[Key] = []
    for data in listed:
        if not isinstance(data, dict) or data.get("use", "sig") != "sig":
            continue
        try:
            if data.get("kty") == "RSA":
                rsa = jwk.RSAKey.import_key({name: data[name] for name in _PUBLIC if name in data})
                if rsa.public_key.key_size >= _SHORTEST_RSA:
                    keys.append(rsa)
            elif data.get("kty") == "EC":
                keys.append(jwk.ECKey.import_key({name: data[name] for name in _PUBLIC if name in data}))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return tuple(keys)


_PUBLIC: Final = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")
"""The members of a public key: private parts, should an issuer show them, are not even read."""


def pick(keys: Iterable[Key], kid: str | None, algorithm: str) -> Key | None:
    """The key of this id that is made for the algorithm; without an id, the only one there is."""
    fitting = [key for key in keys if _fits(key, algorithm)]
    if kid is not None:
        return next((key for key in fitting if key.kid == kid), None)
    return fitting[0] if len(fitting) == 1 else None


def _fits(key: Key, algorithm: str) -> bool:
    if algorithm not in ALGORITHMS or key.get("alg", algorithm) != algorithm:
        return False
    if isinstance(key, jwk.ECKey):
        return key.curve_name == _CURVES.get(algorithm)
    return algorithm not in _CURVES
