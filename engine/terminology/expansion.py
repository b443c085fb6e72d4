"""The codes that a ValueSet resource's expansion lists (https://hl7.org/fhir/R4/valueset.html#expansion)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from measurewise.engine.errors import ContentError

TOO_COSTLY = "http://hl7.org/fhir/StructureDefinition/valueset-toocostly"


class Listed(NamedTuple):
    """One member of a value set: a code in a code system, and what the listing says of it."""

    system: str
    code: str
    version: str | None
    display: str | None


class ExpansionIdentity(NamedTuple):
    """Which statement of a value set was used, for reports.

    ``source`` is ``"expansion"``, or ``"compose"`` where the codes were computed here; ``identifier`` and
    ``timestamp`` are the expansion's own and None for a compose.
    """

    url: str
    version: str | None
    source: str
    identifier: str | None
    timestamp: str | None


def listed(contains: Iterable[Mapping[str, Any]], where: str) -> Iterator[Listed]:
    """The members among an expansion's ``contains``, nested ones included, in the order written.

    Inactive codes are members; abstract entries and entries without a code only group others. Raises
    ContentError for a code without a system.
    """
    for entry in _nodes(contains):
        code = entry.get("code")
        if not code or entry.get("abstract") is True:
            continue
        system = entry.get("system")
        if not system:
            raise ContentError(
                f"The expansion lists the code '{code}' without a code system.",
                where=where,
                mend="Expand the value set again with a terminology server that states systems.",
            )
        # One string object a system keeps the sets small and their look-ups quick.
        yield Listed(sys.intern(system), code, entry.get("version"), entry.get("display"))


def _nodes(contains: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for entry in contains:
        if type(entry) is not dict and not isinstance(entry, Mapping):
            raise ContentError(f"An expansion contains {entry!r}, which is not an object.")
        yield entry
        nested = entry.get("contains")
        if nested:
            yield from _nodes(nested)


class Expansion:
    """One expansion, put together from one resource or from the pages of a paged one."""

    __slots__ = ("contains", "identifier", "resource", "stated_total", "timestamp", "too_costly")

    def __init__(self, pages: list[Mapping[str, Any]]) -> None:
        in_order = sorted(pages, key=_offset)
        first = in_order[0]["expansion"]
        self.resource = in_order[0]
        self.identifier: str | None = first.get("identifier")
        self.timestamp: str | None = first.get("timestamp")
        self.stated_total: int | None = first.get("total")
        self.contains: list[Mapping[str, Any]] = []
        self.too_costly = False
        for page in in_order:
            expansion = page["expansion"]
            self.contains.extend(expansion.get("contains") or ())
            for extension in expansion.get("extension") or ():
                if extension.get("url") == TOO_COSTLY and extension.get("valueBoolean") is not False:
                    self.too_costly = True

    def shortfall(self) -> str | None:
        """Why the expansion does not list every member, in words, or None when it does."""
        if self.too_costly:
            return "The expansion is marked as cut short (valueset-toocostly)."
        if self.stated_total is not None:
            # A repeated code is counted by `total` as it is listed, so nodes are compared, not members.
            count = sum(1 for _ in _nodes(self.contains))
            if count < self.stated_total:
                return f"The expansion holds {count} of {self.stated_total} codes."
        return None


def _offset(resource: Mapping[str, Any]) -> int:
    offset = resource["expansion"].get("offset")
    return offset if type(offset) is int else 0


def newest_expansion(resources: Iterable[Mapping[str, Any]]) -> Expansion | None:
    """The expansion to use among resources of one value set and version.

    Resources with one expansion identifier and different offsets are pages of one expansion. Among several
    expansions a complete one goes before an incomplete one, then the later timestamp before the earlier.
    """
    by_identifier: dict[str | None, dict[int, Mapping[str, Any]]] = {}
    for resource in resources:
        expansion = resource.get("expansion")
        if expansion is not None:
            pages = by_identifier.setdefault(expansion.get("identifier"), {})
            pages.setdefault(_offset(resource), resource)
    candidates = [Expansion(list(pages.values())) for pages in by_identifier.values()]
    if len(candidates) <= 1:
        return candidates[0] if candidates else None
    return max(candidates, key=lambda e: (e.shortfall() is None, e.timestamp or ""))
