"""A QRDA III report as typed values, as it was written: lists where the guide wants one, text where it wants
numbers, so that rules can say what is wrong. Each part keeps its element (``at``) for locations.

Templates are known by their root (CMS QRDA III guide, section 5); a part stands below the nearest part above
it, whatever lies between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lxml import etree

CDA: Final = "urn:hl7-org:v3"
_TEMPLATE: Final = f"{{{CDA}}}templateId"
_NS: Final = {"c": CDA}
DOCUMENT_TEMPLATE: Final = "2.16.840.1.113883.10.20.27.1.2"
CATEGORY_SECTION: Final = "2.16.840.1.113883.10.20.27.2.1"
CATEGORY_SECTION_EXTENSION: Final = "2020-12-01"


class Kind(Enum):
    """The templates that carry something to read, by the root of their id."""

    QUALITY_SECTION = "2.16.840.1.113883.10.20.27.2.3"
    ACTIVITY_SECTION = "2.16.840.1.113883.10.20.27.2.4"
    PROMOTING_SECTION = "2.16.840.1.113883.10.20.27.2.5"
    REPORTING_PARAMETERS = "2.16.840.1.113883.10.20.17.3.8"
    MEASURE = "2.16.840.1.113883.10.20.27.3.17"
    MEASURE_DATA = "2.16.840.1.113883.10.20.27.3.16"
    PERFORMANCE_RATE = "2.16.840.1.113883.10.20.27.3.25"
    STRATUM = "2.16.840.1.113883.10.20.27.3.4"
    AGGREGATE_COUNT = "2.16.840.1.113883.10.20.27.3.3"
    SEX = "2.16.840.1.113883.10.20.27.3.6"
    ETHNICITY = "2.16.840.1.113883.10.20.27.3.7"
    RACE = "2.16.840.1.113883.10.20.27.3.8"
    PAYER = "2.16.840.1.113883.10.20.27.3.18"
    PROPORTION = "2.16.840.1.113883.10.20.27.3.28"
    NUMERATOR = "2.16.840.1.113883.10.20.27.3.31"
    DENOMINATOR = "2.16.840.1.113883.10.20.27.3.32"
    ATTESTATION = "2.16.840.1.113883.10.20.27.3.29"
    ACTIVITY = "2.16.840.1.113883.10.20.27.3.33"
    PERFORMED = "2.16.840.1.113883.10.20.27.3.27"


_KINDS: Final = {kind.value: kind for kind in Kind}
SUPPLEMENTAL: Final = (Kind.SEX, Kind.ETHNICITY, Kind.RACE, Kind.PAYER)


@dataclass(frozen=True, slots=True)
class Part:
    """An element with a known template, and the parts below it."""

    kind: Kind
    at: etree._Element
    parts: tuple[Part, ...]

    def of(self, *kinds: Kind) -> tuple[Part, ...]:
        """The parts of these kinds that stand directly below."""
        return tuple(part for part in self.parts if part.kind in kinds)

    def texts(self, path: str) -> tuple[str, ...]:
        """The attributes at an XPath from this element (prefix ``c``)."""
        return _texts(self.at, path)

    @property
    def counts(self) -> tuple[str, ...]:
        """What an aggregate count says."""
        return self.texts("c:value/@value")

    @property
    def code(self) -> tuple[str, ...]:
        """Population, answer or supplemental code: ``value/@code``."""
        return self.texts("c:value/@code")

    @property
    def references(self) -> tuple[str, ...]:
        """GUIDs of the population or stratum that is meant."""
        return self.texts("c:reference/c:externalObservation/c:id/@root")

    @property
    def measure_ids(self) -> tuple[str, ...]:
        """The ids of an eCQM (version-specific GUIDs), or of a PI measure or activity."""
        root = "[@root='2.16.840.1.113883.4.738']" if self.kind is Kind.MEASURE else ""
        return self.texts(f"c:reference/c:externalDocument/c:id{root}/@extension")

    @property
    def count(self) -> int:
        """The one count below, or 0 where there is none that is a whole number."""
        counts = self.of(Kind.AGGREGATE_COUNT)
        return (whole_number(counts[0].counts[0]) or 0) if counts and counts[0].counts else 0


@dataclass(frozen=True, slots=True)
class Performer:
    """Who did what is reported: the NPIs and TINs of one performer."""

    npis: tuple[str, ...]
    tins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report. Ids are in the order of the file; empty where the file has none."""

    at: etree._Element
    template_extensions: tuple[str | None, ...]
    programme_names: tuple[str, ...]
    npis: tuple[str, ...]
    tins: tuple[str, ...]
    virtual_group_ids: tuple[str, ...]
    apm_entity_ids: tuple[str, ...]
    subgroup_ids: tuple[str, ...]
    practice_site_ids: tuple[str, ...]
    practice_site_addresses: tuple[etree._Element, ...]
    cehrt_ids: tuple[str, ...]
    mvp_ids: tuple[str, ...]
    performers: tuple[Performer, ...]
    parts: tuple[Part, ...]

    def of(self, *kinds: Kind) -> tuple[Part, ...]:
        """The sections of these kinds."""
        return tuple(part for part in self.parts if part.kind in kinds)

    @property
    def starts(self) -> tuple[str, ...]:
        """The first days of the reporting periods, as written."""
        return self._days("low")

    @property
    def ends(self) -> tuple[str, ...]:
        """The last days of the reporting periods, as written."""
        return self._days("high")

    def _days(self, name: str) -> tuple[str, ...]:
        return tuple(
            text
            for section in self.parts
            for act in section.of(Kind.REPORTING_PARAMETERS)
            for text in act.texts(f"c:effectiveTime/c:{name}/@value")
        )


def read_document(root: etree._Element) -> Document | None:
    """The report below a root element, or None when the root is no ClinicalDocument with the CMS template."""
    if root.tag != f"{{{CDA}}}ClinicalDocument":
        return None
    extensions = tuple(
        child.get("extension")
        for child in root.iterchildren(_TEMPLATE)
        if child.get("root") == DOCUMENT_TEMPLATE
    )
    if not extensions:
        return None
    entity = "c:documentationOf/c:serviceEvent/c:performer/c:assignedEntity/"
    device = "c:participant/c:associatedEntity/c:id"

    def organization(root_id: str) -> tuple[str, ...]:
        return _texts(root, f"{entity}c:representedOrganization/c:id[@root='{root_id}']/@extension")

    def participant(root_id: str) -> tuple[str, ...]:
        return _texts(root, f"{device}[@root='{root_id}']/@extension")

    return Document(
        at=root,
        template_extensions=extensions,
        programme_names=_texts(
            root,
            "c:informationRecipient/c:intendedRecipient/c:id[@root='2.16.840.1.113883.3.249.7']/@extension",
        ),
        npis=_texts(root, f"{entity}c:id[@root='2.16.840.1.113883.4.6']/@extension"),
        tins=organization("2.16.840.1.113883.4.2"),
        virtual_group_ids=organization("2.16.840.1.113883.3.249.5.2"),
        apm_entity_ids=organization("2.16.840.1.113883.3.249.5.4"),
        subgroup_ids=organization("2.16.840.1.113883.3.249.5.5"),
        practice_site_ids=participant("2.16.840.1.113883.3.249.5.3"),
        practice_site_addresses=tuple(
            root.iterfind("c:participant[@typeCode='LOC']/c:associatedEntity/c:addr", _NS)
        ),
        cehrt_ids=participant("2.16.840.1.113883.3.2074.1"),
        mvp_ids=participant("2.16.840.1.113883.3.249.5.6"),
        performers=tuple(
            Performer(
                _texts(performer, "c:assignedEntity/c:id[@root='2.16.840.1.113883.4.6']/@extension"),
                _texts(
                    performer,
                    "c:assignedEntity/c:representedOrganization/"
                    "c:id[@root='2.16.840.1.113883.4.2']/@extension",
                ),
            )
            for performer in root.iterfind("c:documentationOf/c:serviceEvent/c:performer", _NS)
        ),
        parts=tuple(_parts_below(root)),
    )


def whole_number(text: str) -> int | None:
    """A count as written, or None when it is no whole number (32 bits, as CMS reads it)."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    number = int(text)
    return number if -(2**31) <= number < 2**31 else None


def _parts_below(element: etree._Element) -> Iterator[Part]:
    for child in element.iterchildren("{*}*"):
        roots = [template.get("root", "") for template in child.iterchildren(_TEMPLATE)]
        kind = next((_KINDS[root] for root in roots if root in _KINDS), None)
        if kind is not None:
            yield Part(kind, child, tuple(_parts_below(child)))
        elif not roots:
            # Below an unknown template nothing is looked for: what stands there is its own.
            yield from _parts_below(child)


def _texts(element: etree._Element, path: str) -> tuple[str, ...]:
    found = element.xpath(path, namespaces=_NS)
    return tuple(str(text) for text in found) if isinstance(found, list) else ()
