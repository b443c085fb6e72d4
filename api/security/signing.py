"""The local issuer's own signing keys: made at the first start, kept where only the owner reads."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any, Final

import msgspec
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from measurewise.api.security.errors import SecuritySettingsError

_FILE: Final = "local-issuer.jwks.json"
ALGORITHM: Final = "ES384"


class SigningKeys:
    """The keys of a folder: the first signs, all of them are published."""

    def __init__(self, folder: Path) -> None:
        """Reads the folder's keys, or makes them. Raises SecuritySettingsError."""
        self._path = folder / _FILE
        try:
            if not self._path.exists():
                self._create()
            if os.name == "posix" and self._path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SecuritySettingsError(
                    "the local issuer's signing keys can be read by others.",
                    where=str(self._path),
                    mend="Remove the file, so that new keys are made, or chmod 600 it.",
                )
            content = self._path.read_bytes()
        except OSError as error:
            raise SecuritySettingsError(
                f"the local issuer's signing keys cannot be kept: {error.strerror}.",
                where=str(self._path),
                mend="Name a folder that can be written under security.local_issuer.keys.",
            ) from None
        try:
            document = msgspec.json.decode(content)
            self._keys = tuple(jwk.ECKey.import_key(data) for data in document["keys"])
        except (JoseError, msgspec.MsgspecError, ValueError, TypeError, KeyError):
            self._keys = ()
        if not self._keys or not all(key.is_private and key.curve_name == "P-384" for key in self._keys):
            raise SecuritySettingsError(
                "the local issuer's signing keys cannot be read.",
                where=str(self._path),
                mend="Remove the file, so that new keys are made.",
            )

    def _create(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = jwk.ECKey.generate_key("P-384", auto_kid=True)
        content = msgspec.json.encode({"keys": [key.as_dict(private=True, use="sig", alg=ALGORITHM)]})
        draft = self._path.with_name(f"{_FILE}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            # of two processes that start at once, the first one's keys stay
            os.link(draft, self._path)
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)

    def public(self) -> list[dict[str, Any]]:
        """The public keys, as JWKs."""
        return [dict(key.as_dict(private=False, use="sig", alg=ALGORITHM)) for key in self._keys]

    def sign(self, claims: dict[str, Any], kind: str) -> str:
        """A signed JWT; ``kind`` is its ``typ``."""
        key = self._keys[0]
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": kind}
        return jwt.encode(header, claims, key, algorithms=[ALGORITHM])
