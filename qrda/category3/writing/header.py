"""The header of a report (CMS QRDA III guide, section 5.1, QRDA Category III Report - CMS)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from measurewise.qrda.category3.writing.description import Description, EntityType, LegalAuthenticator
from measurewise.qrda.category3.writing.elements import (
    LOINC,
    SNOMED,
    Element,
    Identities,
    element,
    templates,
)
from measurewise.qrda.category3.writing.year import Guide

_TIN: Final = "2.16.840.1.113883.4.2"
_NPI: Final = "2.16.840.1.113883.4.6"
_ENTITY_ROOTS: Final = {
    EntityType.VIRTUAL_GROUP: "2.16.840.1.113883.3.249.5.2",
    EntityType.APM: "2.16.840.1.113883.3.249.5.4",
    EntityType.SUBGROUP: "2.16.840.1.113883.3.249.5.5",
}
_CEHRT: Final = "2.16.840.1.113883.3.2074.1"
_MVP: Final = "2.16.840.1.113883.3.249.5.6"
_PROGRAMME: Final = "2.16.840.1.113883.3.249.7"


def header(
    description: Description, guide: Guide, programme_name: str, at: datetime, identities: Identities
) -> Iterator[Element]:
    """Everything of the document before its body, in the order of the CDA schema.

    ``at`` is written as it stands, without an offset from UTC, which no time of a QRDA III file should have.
    """
    written = f"{at:%Y%m%d%H%M%S}"
    yield element("realmCode", {"code": "US"})
    yield element("typeId", {"root": "2.16.840.1.113883.1.3", "extension": "POCD_HD000040"})
    yield from templates(guide, "report", "reportCms")
    yield element("id", {"root": str(identities.report)})
    yield element(
        "code",
        {
            "code": "55184-6",
            **LOINC,
            "displayName": "Quality Reporting Document Architecture Calculated Summary Report",
        },
    )
    yield element("title", None, f"{description.entity.name}: QRDA III, {programme_name}, {description.year}")
    yield element("effectiveTime", {"value": written})
    yield element("confidentialityCode", {"code": "N", "codeSystem": "2.16.840.1.113883.5.25"})
    yield element("languageCode", {"code": "en"})
    yield element("versionNumber", {"value": "1"})
    yield element("recordTarget", None, element("patientRole", None, element("id", {"nullFlavor": "NA"})))
    yield element(
        "author",
        None,
        element("time", {"value": written}),
        element(
            "assignedAuthor",
            None,
            identities.of("author"),
            element("assignedAuthoringDevice", None, element("softwareName", None, description.software)),
            _organization("representedOrganization", description),
        ),
    )
    yield element(
        "custodian",
        None,
        element("assignedCustodian", None, _organization("representedCustodianOrganization", description)),
    )
    yield element(
        "informationRecipient",
        None,
        element("intendedRecipient", None, element("id", {"root": _PROGRAMME, "extension": programme_name})),
    )
    if description.legal_authenticator is not None:
        yield _legal_authenticator(description.legal_authenticator, description)
    if description.cehrt_id is not None:
        code = element("code", {"code": "129465004", **SNOMED, "displayName": "medical record, device"})
        yield _participant("DEV", "RGPR", _CEHRT, description.cehrt_id, code)
    if description.mvp is not None:
        yield _participant("TRC", "PROG", _MVP, description.mvp)
    yield element(
        "documentationOf",
        {"typeCode": "DOC"},
        element("serviceEvent", {"classCode": "PCPR"}, _performer(description)),
    )


def _legal_authenticator(signed: LegalAuthenticator, description: Description) -> Element:
    identity = {"nullFlavor": "NI"} if signed.npi is None else {"root": _NPI, "extension": signed.npi}
    return element(
        "legalAuthenticator",
        None,
        element("time", {"value": f"{signed.signed:%Y%m%d%H%M%S}"}),
        element("signatureCode", {"code": "S"}),
        element(
            "assignedEntity",
            None,
            element("id", identity),
            element(
                "assignedPerson",
                None,
                element(
                    "name",
                    None,
                    element("given", None, signed.given),
                    element("family", None, signed.family),
                ),
            ),
            _organization("representedOrganization", description),
        ),
    )


def _participant(kind: str, role: str, root: str, extension: str, *children: Element) -> Element:
    return element(
        "participant",
        {"typeCode": kind},
        element(
            "associatedEntity",
            {"classCode": role},
            element("id", {"root": root, "extension": extension}),
            *children,
        ),
    )


def _performer(description: Description) -> Element:
    entity = description.entity
    npi = {"nullFlavor": "NA"} if entity.npi is None else {"extension": entity.npi}
    return element(
        "performer",
        {"typeCode": "PRF"},
        element(
            "assignedEntity",
            None,
            element("id", {"root": _NPI, **npi}),
            _organization("representedOrganization", description),
        ),
    )


def _organization(name: str, description: Description) -> Element:
    entity = description.entity
    if entity.tin is not None:
        identity = {"root": _TIN, "extension": entity.tin}
    else:
        identity = {"root": _ENTITY_ROOTS[entity.type], "extension": entity.id or ""}
    return element(name, None, element("id", identity), element("name", None, entity.name))
