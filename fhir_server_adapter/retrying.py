"""When to ask again, and after how long.

``Retry-After`` is RFC 9110, section 10.2.3: seconds or an HTTP date.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may well succeed."""


@dataclass(frozen=True, slots=True)
class Retries:
    """``attempts`` in all; waits double from ``first`` seconds up to ``longest``, with jitter.

    A server that asks for more than ``patience`` seconds in ``Retry-After`` is given up.
    """

    attempts: int = 6
    first: float = 0.5
    longest: float = 30.0
    patience: float = 300.0

    def wait(self, attempt: int, asked: float | None) -> float:
        """Seconds before attempt ``attempt + 1``: what the server asked for, else a jittered back-off."""
        if asked is not None:
            return asked
        ceiling = min(self.longest, self.first * 2.0 ** (attempt - 1))
        return ceiling * (0.5 + random.random() / 2)  # noqa: S311, jitter is no secret


def retry_after(headers: Mapping[str, str], *, now: datetime | None = None) -> float | None:
    """The seconds that ``Retry-After`` asks for, never negative; None where it is missing or unreadable."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
