"""The Patient resource as the document's ``recordTarget`` and back (QRDA I, STU 5.3; US Realm Header)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from lxml import etree

from measurewise.qrda.category1.cda import (
    SDTC,
    TYPE,
    add,
    child,
    children,
    derived_id,
    find,
    find_all,
    make,
    qualified,
)
from measurewise.qrda.category1.code_systems import identifier_root, identifier_system
from measurewise.qrda.category1.data_types import (
    is_code,
    is_xml_text,
    read_coding,
    read_concept,
    read_time,
    to_ts,
    write_concept,
)
from measurewise.qrda.category1.fhir_ids import is_fhir_id
from measurewise.qrda.category1.slots import RESOURCE_ID

_CORE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
_PROFILE: Final = "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-patient"
_RACE_SYSTEM: Final = "urn:oid:2.16.840.1.113883.6.238"
_RACE_OID: Final = "2.16.840.1.113883.6.238"
_GENDER_OID: Final = "2.16.840.1.113883.5.1"
_SNOMED: Final = "2.16.840.1.113883.6.96"
_EXPIRED_ROOT: Final = "2.16.840.1.113883.10.20.24.3.54"
_EXPIRED: Final = (
    "observation[classCode=OBS,moodCode=EVN,template=2.16.840.1.113883.10.20.22.4.79:2015-08-01,"
    f"template={_EXPIRED_ROOT}:2016-02-01]"
)
_GENDERS: Final = {"male": "M", "female": "F", "other": "UN"}
_SEX_FINDINGS: Final = {"248153007": "male", "248152002": "female"}
# OMB's categories; every other code of CDC's table is a detail of one.
_RACES: Final = {"1002-5", "2028-9", "2054-5", "2076-8", "2106-3"}
_ETHNICITIES: Final = {"2135-2", "2186-5"}
_NAME_USES: Final = {"usual": "L", "official": "C", "nickname": "P", "anonymous": "ASGN", "maiden": "BIR"}
_USES: Final = {"home": "H", "work": "WP", "temp": "TMP", "old": "BAD"}
_TELECOMS: Final = {"phone": "tel:", "email": "mailto:", "fax": "fax:"}


def write_record_target(
    document: etree._Element, patient: dict[str, Any], owner: str, source: str, *, cms: bool = False
) -> None:
    """Write a Patient. ``cms``: sex as a translation of a null flavour, as CMS's guide for 2026 has it."""
    role = add(add(document, "recordTarget"), "patientRole")
    _identifiers(role, patient, owner, source, cms=cms)
    write_address(role, _first(patient.get("address")))
    _telecoms(role, patient.get("telecom"))
    person = add(role, "patient")
    _name(person, _first(patient.get("name")))
    _gender(person, patient, cms=cms)
    stamp = to_ts(patient.get("birthDate"))
    add(person, "birthTime", **({"value": stamp} if stamp else {"nullFlavor": "UNK"}))
    deceased = to_ts(patient.get("deceasedDateTime"))
    if deceased or patient.get("deceasedBoolean") is True:
        etree.SubElement(person, f"{{{SDTC}}}deceasedInd", value="true")
    if deceased:
        etree.SubElement(person, f"{{{SDTC}}}deceasedTime", value=deceased)
    marital = patient.get("maritalStatus")
    if isinstance(marital, dict):
        write_concept(add(person, "maritalStatusCode"), marital, {})
    _races(person, patient, "race", "raceCode")
    _races(person, patient, "ethnicity", "ethnicGroupCode")


def source_of(document: etree._Element) -> str | None:
    """The system that a document names as the one whose FHIR ids it states, None where it states none."""
    for one in find_all(document, "recordTarget/patientRole/id"):
        if one.get("root") == RESOURCE_ID:
            return one.get("assigningAuthorityName") or ""
    return None


def read_record_target(document: etree._Element) -> tuple[dict[str, Any], list[etree._Element]]:
    """The Patient of a document, and the parts of the recordTarget that no FHIR element came of."""
    target = child(document, "recordTarget")
    role = None if target is None else child(target, "patientRole")
    patient: dict[str, Any] = {"resourceType": "Patient", "id": "", "meta": {"profile": [_PROFILE]}}
    if role is None:
        patient["id"] = derived_id(etree.tostring(document, method="c14n").decode())
        return patient, []
    identifiers = _read_identifiers(role, patient)
    if identifiers:
        patient["identifier"] = identifiers
    person = child(role, "patient")
    if person is not None:
        _read_person(person, patient)
    telecoms = [one for one in map(_read_telecom, children(role, "telecom")) if one]
    addresses = [one for one in map(_read_address, children(role, "addr")) if one]
    patient |= {"telecom": telecoms} if telecoms else {}
    patient |= {"address": addresses} if addresses else {}
    if not patient["id"]:
        first = identifiers[0] if identifiers else patient
        patient["id"] = derived_id("patient", str(first.get("system")), str(first.get("value") or patient))
    understood = {
        "name",
        "administrativeGenderCode",
        "birthTime",
        "raceCode",
        "ethnicGroupCode",
        "deceasedInd",
        "deceasedTime",
        "maritalStatusCode",
    }
    left = [
        one
        for one in (() if person is None else person)
        if isinstance(one.tag, str) and etree.QName(one).localname not in understood
    ]
    left += children(role, "providerOrganization")
    return patient, left


def write_expired(patient: dict[str, Any], owner: str) -> etree._Element | None:
    """Patient Characteristic, Expired, for a patient of whom the time of death is known."""
    died = to_ts(patient.get("deceasedDateTime"))
    if not died:
        return None
    entry = etree.Element(qualified("entry"), typeCode="DRIV")
    observation = make(entry, _EXPIRED)
    add(observation, "id", root=derived_id(owner, "expired"))
    add(observation, "code", code="ASSERTION", codeSystem="2.16.840.1.113883.5.4")
    add(observation, "statusCode", code="completed")
    add(add(observation, "effectiveTime"), "low", value=died)
    add(
        observation,
        "value",
        None,
        **{TYPE: "CD", "code": "419099009", "codeSystem": _SNOMED, "displayName": "Dead"},
    )
    return entry


def read_expired(entry: etree._Element, patient: dict[str, Any]) -> bool:
    """Take the time of death from such an entry, where the header has none; False for any other entry."""
    observation = find(entry, f"observation[template={_EXPIRED_ROOT}]")
    if observation is None:
        return False
    died = read_time(find(observation, "effectiveTime/low")) or read_time(child(observation, "effectiveTime"))
    if died and "deceasedDateTime" not in patient:
        patient.pop("deceasedBoolean", None)
        patient["deceasedDateTime"] = died
    return True


def write_address(role: etree._Element, address: dict[str, Any] | None) -> None:
    """An address; what the US realm requires and is not known has a null flavour."""
    given = address or {}
    use = _USES.get(str(given.get("use")))
    element = add(role, "addr", **({"use": use} if use else {}))
    lines = [one for one in given.get("line") or () if _is_text(one)][:4]
    for line in lines:
        add(element, "streetAddressLine", line)
    if not lines:
        add(element, "streetAddressLine", nullFlavor="UNK")
    for name, part in (
        ("city", "city"),
        ("state", "state"),
        ("postalCode", "postalCode"),
        ("country", "country"),
    ):
        if _is_text(given.get(part)):
            add(element, name, given[part])
        elif name == "city":
            add(element, name, nullFlavor="UNK")


def _identifiers(
    role: etree._Element, patient: dict[str, Any], owner: str, source: str, *, cms: bool
) -> None:
    written = 0
    for one in patient.get("identifier") or ():
        if isinstance(one, dict) and _is_text(one.get("system")) and _is_text(one.get("value")):
            root, name = identifier_root(one["system"])
            # CMS's guide counts one identifier besides Medicare's.
            medicare = root in ("2.16.840.1.113883.4.572", "2.16.840.1.113883.4.927")
            if cms and written and not medicare:
                continue
            add(role, "id", root=root, extension=one["value"], assigningAuthorityName=name)
            written += not medicare
    if not cms and is_fhir_id(patient.get("id")):
        reference = f"Patient/{patient['id']}"
        add(role, "id", root=RESOURCE_ID, extension=reference, assigningAuthorityName=source)
    elif not written:
        add(role, "id", root=derived_id(owner), extension=str(patient.get("id")))


def _name(person: etree._Element, name: dict[str, Any] | None) -> None:
    given = name or {}
    use = _NAME_USES.get(str(given.get("use")))
    element = add(person, "name", **({"use": use} if use else {}))
    for tag, values in (
        ("prefix", given.get("prefix")),
        ("given", given.get("given")),
        ("family", [given.get("family")]),
        ("suffix", given.get("suffix")),
    ):
        texts = [one for one in values or () if _is_text(one)]
        for text in texts:
            add(element, tag, text)
        if not texts and tag in ("given", "family"):
            add(element, tag, nullFlavor="UNK")


def _gender(person: etree._Element, patient: dict[str, Any], *, cms: bool) -> None:
    gender = str(patient.get("gender"))
    if cms:
        finding = next((code for code, sex in _SEX_FINDINGS.items() if sex == gender), None)
        element = add(person, "administrativeGenderCode", nullFlavor="OTH" if finding else "UNK")
        if finding:
            add(element, "translation", code=finding, codeSystem=_SNOMED)
        return
    code = _GENDERS.get(gender)
    add(
        person,
        "administrativeGenderCode",
        **({"code": code, "codeSystem": _GENDER_OID} if code else {"nullFlavor": "UNK"}),
    )


def _races(person: etree._Element, patient: dict[str, Any], name: str, tag: str) -> None:
    extension = next((one for one in _extensions(patient) if one.get("url") == _CORE + name), {})
    codings = [
        one["valueCoding"]
        for part in ("ombCategory", "detailed")
        for one in _extensions(extension)
        if one.get("url") == part and isinstance(one.get("valueCoding"), dict)
    ]
    known = [one for one in codings if one.get("system") == _RACE_SYSTEM and is_code(one)]
    if not known:
        null = str(codings[0].get("code")) if codings else "UNK"
        add(person, tag, nullFlavor=null if null in ("UNK", "ASKU") else "UNK")
    for position, coding in enumerate(known):
        space = SDTC if position else "urn:hl7-org:v3"
        element = etree.SubElement(person, f"{{{space}}}{tag}", code=coding["code"], codeSystem=_RACE_OID)
        if _is_text(coding.get("display")):
            element.set("displayName", coding["display"])


def _read_identifiers(role: etree._Element, patient: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for one in children(role, "id"):
        root, extension = one.get("root"), one.get("extension")
        if root == RESOURCE_ID and extension:
            identity = extension.partition("/")[2]
            patient["id"] = identity if is_fhir_id(identity) else ""
        elif root and extension and not one.get("nullFlavor"):
            found.append(
                {"system": identifier_system(root, one.get("assigningAuthorityName")), "value": extension}
            )
    return found


def _read_person(person: etree._Element, patient: dict[str, Any]) -> None:
    names = [one for one in map(_read_name, children(person, "name")) if one]
    if names:
        patient["name"] = names
    gender = child(person, "administrativeGenderCode")
    if gender is not None:
        sex = next((read_coding(one) for one in children(gender, "translation")), None)
        by_code = {code: name for name, code in _GENDERS.items()}
        patient["gender"] = by_code.get(gender.get("code", "")) or _SEX_FINDINGS.get(
            (sex or {}).get("code", ""), "unknown"
        )
    birth = read_time(child(person, "birthTime"))
    if birth:
        patient["birthDate"] = birth[:10]
    died = read_time(person.find(f"{{{SDTC}}}deceasedTime"))
    indicated = person.find(f"{{{SDTC}}}deceasedInd")
    if died:
        patient["deceasedDateTime"] = died
    elif indicated is not None and indicated.get("value") == "true":
        patient["deceasedBoolean"] = True
    marital = child(person, "maritalStatusCode")
    if marital is not None and (status := read_concept(marital)):
        patient["maritalStatus"] = status
    for name, tag, categories in (
        ("race", "raceCode", _RACES),
        ("ethnicity", "ethnicGroupCode", _ETHNICITIES),
    ):
        elements = [*children(person, tag), *person.findall(f"{{{SDTC}}}{tag}")]
        parts = list(_race_parts(elements, categories))
        if parts:
            patient.setdefault("extension", []).append({"url": _CORE + name, "extension": parts})
    # QDM's sex, which measures ask of US Core's extension, stands nowhere else.
    finding = next((code for code, name in _SEX_FINDINGS.items() if name == patient.get("gender")), None)
    if finding:
        patient.setdefault("extension", []).append({"url": f"{_CORE}sex", "valueCode": finding})


def _race_parts(elements: list[etree._Element], categories: set[str]) -> Iterator[dict[str, Any]]:
    codings = [one for one in map(read_coding, elements) if one]
    for coding in codings:
        yield {
            "url": "ombCategory" if coding["code"] in categories else "detailed",
            "valueCoding": {**coding, "system": _RACE_SYSTEM},
        }
    if codings:
        yield {
            "url": "text",
            "valueString": ", ".join(str(one.get("display", one["code"])) for one in codings),
        }


def _read_name(element: etree._Element) -> dict[str, Any] | None:
    uses = {code: use for use, code in _NAME_USES.items()}
    name: dict[str, Any] = {}
    use = uses.get((element.get("use") or "").partition(" ")[0])
    if use:
        name["use"] = use
    family = child(element, "family")
    if family is not None and family.text:
        name["family"] = family.text
    for tag in ("given", "prefix", "suffix"):
        texts = [one.text for one in children(element, tag) if one.text]
        if texts:
            name[tag] = texts
    return name if name.keys() - {"use"} else None


def _telecoms(role: etree._Element, telecoms: Any) -> None:
    written = 0
    for one in telecoms if isinstance(telecoms, list) else ():
        prefix = _TELECOMS.get(str(one.get("system"))) if isinstance(one, dict) else None
        value = str(one.get("value", "")) if prefix else ""
        if prefix and value and is_xml_text(value):
            use = _USES.get(str(one.get("use")))
            add(role, "telecom", value=prefix + value, **({"use": use} if use else {}))
            written += 1
    if not written:
        add(role, "telecom", nullFlavor="UNK")


def _read_telecom(element: etree._Element) -> dict[str, Any] | None:
    value = element.get("value", "")
    for system, prefix in _TELECOMS.items():
        if value.startswith(prefix) and len(value) > len(prefix):
            uses = {**{code: use for use, code in _USES.items()}, "HP": "home"}
            use = uses.get(element.get("use", ""))
            return {"system": system, "value": value[len(prefix) :], **({"use": use} if use else {})}
    return None


def _read_address(element: etree._Element) -> dict[str, Any] | None:
    address: dict[str, Any] = {}
    uses = {**{code: use for use, code in _USES.items()}, "HP": "home"}
    if use := uses.get(element.get("use", "")):
        address["use"] = use
    lines = [one.text for one in children(element, "streetAddressLine") if one.text]
    if lines:
        address["line"] = lines
    for name in ("city", "state", "postalCode", "country"):
        part = child(element, name)
        if part is not None and part.text:
            address[name] = part.text
    return address if address.keys() - {"use"} else None


def _extensions(owner: dict[str, Any]) -> list[dict[str, Any]]:
    found = owner.get("extension")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _first(items: Any) -> dict[str, Any] | None:
    return next((one for one in items if isinstance(one, dict)), None) if isinstance(items, list) else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and is_xml_text(value)
