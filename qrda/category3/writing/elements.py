"""CDA elements that several parts of a report are made of (CDA R2; HL7 QRDA III, STU Release 2.1)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import date
from typing import Final

from lxml import etree

from measurewise.qrda.category3.writing.year import Guide

CDA: Final = "urn:hl7-org:v3"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
NAMESPACES: Final = {None: CDA, "xsi": XSI}

LOINC: Final = {"codeSystem": "2.16.840.1.113883.6.1", "codeSystemName": "LOINC"}
SNOMED: Final = {"codeSystem": "2.16.840.1.113883.6.96", "codeSystemName": "SNOMED-CT"}
ACT_CODE: Final = {"codeSystem": "2.16.840.1.113883.5.4", "codeSystemName": "ActCode"}
EVENT: Final = {"moodCode": "EVN"}
OBSERVATION: Final = {"classCode": "OBS", **EVENT}

Element = etree._Element


class Identities:
    """Ids that are the same when the same report is written again: UUID version 5 below its own."""

    def __init__(self, report: uuid.UUID) -> None:
        self.report = report

    def of(self, *parts: object) -> Element:
        """The ``id`` element of a part of the report."""
        return element("id", {"root": str(uuid.uuid5(self.report, "/".join(map(str, parts))))})


def element(name: str, attributes: dict[str, str] | None = None, *children: Element | str | None) -> Element:
    """A CDA element; ``type`` is written as ``xsi:type``, text is text, and None is left out."""
    made = etree.Element(f"{{{CDA}}}{name}", nsmap=NAMESPACES)  # type: ignore[arg-type]
    for key, value in (attributes or {}).items():
        made.set(f"{{{XSI}}}type" if key == "type" else key, value)
    for child in children:
        if isinstance(child, str):
            made.text = child
        elif child is not None:
            made.append(child)
    return made


def added(
    parent: Element, name: str, attributes: dict[str, str] | None = None, *children: Element | str | None
) -> Element:
    """An element made below a parent. What is large is filled after it stands where it belongs, because
    moving an element costs as much as there is in it."""
    made = element(name, attributes, *children)
    parent.append(made)
    return made


def templates(guide: Guide, *names: str) -> list[Element]:
    """The ``templateId`` elements of a part."""
    made = []
    for name in names:
        template = guide.templates[name]
        extension = {} if template.extension is None else {"extension": template.extension}
        made.append(element("templateId", {"root": template.root, **extension}))
    return made


def assertion() -> list[Element]:
    """The code and status of an observation that asserts something."""
    return [element("code", {"code": "ASSERTION", **ACT_CODE, "displayName": "Assertion"}), completed()]


def completed() -> Element:
    """The status of everything that is reported."""
    return element("statusCode", {"code": "completed"})


def aggregate_count(guide: Guide, count: int) -> Element:
    """An Aggregate Count below what it counts."""
    return element(
        "entryRelationship",
        {"typeCode": "SUBJ", "inversionInd": "true"},
        element(
            "observation",
            OBSERVATION,
            *templates(guide, "aggregateCount"),
            element("code", {"code": "MSRAGG", **ACT_CODE, "displayName": "rate aggregation"}),
            element("value", {"type": "INT", "value": str(count)}),
            element(
                "methodCode",
                {
                    "code": "COUNT",
                    "codeSystem": "2.16.840.1.113883.5.84",
                    "codeSystemName": "ObservationMethod",
                    "displayName": "Count",
                },
            ),
        ),
    )


def external_observation(guid: str, *children: Element) -> Element:
    """A reference to a population or stratum of the eCQM."""
    return element(
        "reference",
        {"typeCode": "REFR"},
        element("externalObservation", OBSERVATION, element("id", {"root": guid}), *children),
    )


def external_document(root: str, extension: str, title: str, *children: Element) -> Element:
    """A reference to a measure or activity."""
    return element(
        "reference",
        {"typeCode": "REFR"},
        element(
            "externalDocument",
            {"classCode": "DOC", **EVENT},
            element("id", {"root": root, "extension": extension}),
            *children,
            element("text", None, title),
        ),
    )


def reporting_parameters(guide: Guide, identity: Element, start: date, end: date) -> Element:
    """The entry that says for which period a section reports."""
    return element(
        "entry",
        {"typeCode": "DRIV"},
        element(
            "act",
            {"classCode": "ACT", **EVENT},
            *templates(guide, "reportingParameters"),
            identity,
            element("code", {"code": "252116004", **SNOMED, "displayName": "Observation Parameters"}),
            element(
                "effectiveTime",
                None,
                element("low", {"value": f"{start:%Y%m%d}"}),
                element("high", {"value": f"{end:%Y%m%d}"}),
            ),
        ),
    )


def section(body: Element, template_ids: Iterable[Element], narrative: Element) -> Element:
    """A measure section below the body, whatever it measures, still without entries."""
    return added(
        added(body, "component"),
        "section",
        None,
        *template_ids,
        element("code", {"code": "55186-1", **LOINC, "displayName": "Measure Section"}),
        element("title", None, "Measure Section"),
        narrative,
    )


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Element:
    """A narrative with one table (CDA R2, 4.3.5)."""
    return element(
        "text",
        None,
        element(
            "table",
            {"border": "1", "width": "100%"},
            element("thead", None, element("tr", None, *[element("th", None, one) for one in headings])),
            element(
                "tbody",
                None,
                *[element("tr", None, *[element("td", None, cell) for cell in row]) for row in rows],
            ),
        ),
    )
