"""Canonical references to value sets and code systems: ``url|version``, OIDs, and the latest version.

FHIR R4, "References between Resources", canonical URLs (https://hl7.org/fhir/R4/references.html#canonical).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

VSAC_VALUE_SET = "http://cts.nlm.nih.gov/fhir/ValueSet/"

_VSAC = re.compile(r"https?://cts\.nlm\.nih\.gov/fhir/(?:[^/]+/)?ValueSet/(?P<oid>[0-9.]+)\Z")
_OID = re.compile(r"(?:urn:oid:)?(?P<oid>[0-2](?:\.(?:0|[1-9][0-9]*))+)\Z")
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?(?!\d)")
_RUN = re.compile(r"\d+|[A-Za-z]+")

VersionKey = tuple[tuple[int, int, str], ...]


def split_canonical(canonical: str) -> tuple[str, str | None]:
    """``url|version`` as ``(url, version)``; the version is None where the reference gives none."""
    url, bar, version = canonical.partition("|")
    return url, (version.partition("#")[0] or None) if bar else None


def value_set_key(url: str) -> str:
    """The same key for every spelling of one value set's URL.

    ``urn:oid:<oid>``, a bare ``<oid>`` and VSAC's ``http://cts.nlm.nih.gov/fhir/ValueSet/<oid>`` name one
    value set; every other URL is its own key.
    """
    found = _VSAC.match(url) or _OID.match(url)
    return VSAC_VALUE_SET + found["oid"] if found else url


def code_system_key(url: str) -> str:
    """The key of a code system's URL: a bare OID stands for ``urn:oid:<oid>``."""
    found = _OID.match(url)
    return "urn:oid:" + found["oid"] if found else url


def version_key(version: str | None) -> VersionKey:
    """An ordering of version strings: numbers as numbers, words before numbers, no version lowest.

    ``1.2.9 < 1.2.10``, ``20230901 < 20240901``, ``2.0.0-ballot < 2.0.0``; a date is the same with hyphens or
    without (``2024-09-01`` is ``20240901``).
    """
    if version is None:
        return ()
    joined = _ISO_DATE.sub(lambda m: "".join(part or "00" for part in m.groups()), version)
    runs = [(2, int(run), "") if run.isdigit() else (0, 0, run.lower()) for run in _RUN.findall(joined)]
    return (*runs, (1, 0, version))


def latest(versions: Iterable[str | None]) -> str | None:
    """The highest of some versions by :func:`version_key`."""
    return max(versions, key=version_key)
