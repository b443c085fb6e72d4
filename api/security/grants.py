"""What the local issuer remembers between two requests: codes, refresh tokens, and tokens taken back.

Kept in this process's memory: the local issuer is for development, and a restart signs everybody out.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

_CODE_SECONDS: Final = 60.0
_LONGEST_TOKEN: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user allowed an app: the tokens of one family come from it."""

    client_id: str
    username: str
    scopes: tuple[str, ...]
    patient: str | None = None
    nonce: str | None = None
    family: str = field(default_factory=lambda: secrets.token_urlsafe(16))


@dataclass(frozen=True, slots=True)
class _Code:
    grant: Grant
    redirect_uri: str
    challenge: str
    until: float


class Grants:
    """Codes and refresh tokens; each is used once, and a second use ends the whole family (RFC 9700)."""

    def __init__(self, clock: Callable[[], float], refresh_seconds: float) -> None:
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._codes: dict[str, _Code] = {}
        self._refresh: dict[str, tuple[Grant, float]] = {}
        self._spent: dict[str, tuple[str, float]] = {}
        self._ended: dict[str, float] = {}
        self._tokens: dict[str, tuple[str, float]] = {}
        self._revoked: dict[str, float] = {}

    def issue_code(self, grant: Grant, redirect_uri: str, challenge: str) -> str:
        """A code for an app; ``challenge`` is the PKCE S256 challenge."""
        self._sweep()
        code = secrets.token_urlsafe(32)
        self._codes[_digest(code)] = _Code(grant, redirect_uri, challenge, self._clock() + _CODE_SECONDS)
        return code

    def redeem_code(self, code: str, client_id: str, redirect_uri: str, verifier: str) -> Grant | None:
        """The grant of a code, once; None where anything does not match (RFC 7636, section 4.6)."""
        key = _digest(code)
        self._end_if_spent(key)
        held = self._codes.pop(key, None)
        if held is None:
            return None
        self._spent[key] = (held.grant.family, self._clock() + self._refresh_seconds)
        matches = (
            held.until > self._clock()
            and held.grant.client_id == client_id
            and held.redirect_uri == redirect_uri
            and secrets.compare_digest(challenge_of(verifier), held.challenge)
        )
        return held.grant if matches else None

    def issue_refresh(self, grant: Grant) -> str:
        """A refresh token."""
        token = secrets.token_urlsafe(32)
        self._refresh[_digest(token)] = (grant, self._clock() + self._refresh_seconds)
        return token

    def redeem_refresh(self, token: str, client_id: str) -> Grant | None:
        """The grant of a refresh token, once: the next one comes with the answer."""
        key = _digest(token)
        self._end_if_spent(key)
        held = self._refresh.get(key)
        if held is None or held[0].client_id != client_id:
            return None
        del self._refresh[key]
        grant, until = held
        if until <= self._clock() or grant.family in self._ended:
            return None
        self._spent[key] = (grant.family, until)
        return replace(grant, nonce=None)

    def remember(self, token_id: str, family: str, until: float) -> None:
        """That an access token belongs to a family, so that it ends with it."""
        self._tokens[token_id] = (family, until)

    def revoke_token(self, token_id: str, until: float) -> None:
        """Take an access token back until it would have expired."""
        self._revoked[token_id] = until

    def revoke_refresh(self, token: str, client_id: str) -> bool:
        """Take a refresh token back, with all that came of it; False where it is not this client's."""
        held = self._refresh.get(_digest(token))
        if held is None or held[0].client_id != client_id:
            return False
        del self._refresh[_digest(token)]
        self._end(held[0].family)
        return True

    def is_revoked(self, token_id: str) -> bool:
        """Whether an access token has been taken back, by itself or with its family."""
        family, _ = self._tokens.get(token_id, ("", 0.0))
        return token_id in self._revoked or family in self._ended

    def _end_if_spent(self, key: str) -> None:
        spent = self._spent.get(key)
        if spent is not None:
            self._end(spent[0])

    def _end(self, family: str) -> None:
        self._ended[family] = self._clock() + max(self._refresh_seconds, _LONGEST_TOKEN)
        self._refresh = {key: held for key, held in self._refresh.items() if held[0].family != family}

    def _sweep(self) -> None:
        now = self._clock()
        self._codes = {key: code for key, code in self._codes.items() if code.until > now}
        self._refresh = {key: held for key, held in self._refresh.items() if held[1] > now}
        self._spent = {key: spent for key, spent in self._spent.items() if spent[1] > now}
        self._tokens = {key: token for key, token in self._tokens.items() if token[1] > now}
        self._ended = {key: until for key, until in self._ended.items() if until > now}
        self._revoked = {key: until for key, until in self._revoked.items() if until > now}


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier (RFC 7636, section 4.2).

    >>> challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'
    """
    digest = hashlib.sha256(verifier.encode("ascii", "replace")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
