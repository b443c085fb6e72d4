"""One resource as one entry of the patient data, and one entry as a resource.

An entry is written by its QDM datatype, read back at once, and what the templates have no place for is
added as FHIR elements (:mod:`elements`); so nothing is lost without being told.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from measurewise.qrda.category1.cda import (
    CDA,
    child,
    children,
    derived_id,
    find,
    insert,
    local,
    make,
    qualified,
)
from measurewise.qrda.category1.datatypes import Datatype, datatype_of, datatypes_by_template
from measurewise.qrda.category1.elements import Carried, missing, read_elements, write_elements
from measurewise.qrda.category1.fhir_ids import is_fhir_id
from measurewise.qrda.category1.slots import RESOURCE_ID, Reading, Writing

_OTHER: Final = "act[classCode=ACT,moodCode=EVN]"
# What says nothing of its own: ids, the narrative, and what templates fix.
_STRUCTURE: Final = ("templateId", "id", "text", "realmCode", "typeId")
_FIXED_CODES: Final = frozenset(
    ("77301-0", "33999-4", "ASSERTION", "SPLY", "ENC", "CONC", "29308-4", "282291009", "75311-1", "SEV")
)
_FIXED_CODES_MORE: Final = {
    "48768-6",
    "263486008",
    "75325-1",
    "418799008",
    "75323-6",
    "64572001",
    "419199007",
    "281647001",
}


@dataclass(frozen=True, slots=True)
class Written:
    """An entry, the name of its QDM datatype (None: QRDA I has none), what became of the rest.

    ``filled`` tells what the template requires and the resource has not.
    """

    entry: etree._Element
    datatype: str | None
    carried: Carried
    filled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A part of a document that no FHIR element came of, and why."""

    element: etree._Element
    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """What came of an entry: the resource, with others that it tells of; what was not mapped.

    ``own``: the entry states its resource's FHIR id, so that reading restores the record it was written from.
    """

    resource: dict[str, Any] | None
    others: tuple[dict[str, Any], ...]
    unmapped: tuple[Unmapped, ...]
    own: bool


def write_entry(
    resource: dict[str, Any], context: Writing, patient: str, owner: str, *, elements: bool = True
) -> Written:
    """Write a resource. ``patient`` is the reference to the patient, ``owner`` makes ids the record's own.

    ``elements=False`` keeps to the templates.
    """
    datatype = datatype_of(resource)
    context.filled.clear()
    entry = etree.Element(qualified("entry"), typeCode="DRIV")
    act = make(entry, datatype.act if datatype else _OTHER)
    target = make(act, datatype.inner) if datatype and datatype.inner else act
    reference = f"{resource.get('resourceType')}/{resource.get('id')}"
    insert(target, etree.Element(qualified("id"), root=derived_id(owner, reference)))
    if target is not act:
        insert(act, etree.Element(qualified("id"), root=derived_id(owner, reference, "act")))
    if is_fhir_id(resource.get("id")) or datatype is None:
        insert(act, etree.Element(qualified("id"), root=RESOURCE_ID, extension=reference))
    if datatype is None:
        make(act, "code").set("nullFlavor", "NA")
    else:
        for place, attributes in datatype.fixed:
            made = make(act, place)
            for name, value in attributes:
                made.set(name, value)
        if datatype.status:
            make(target, "statusCode").set("code", datatype.status)
        for slot in datatype.slots:
            slot.write(act, resource, context)
    back = _resource(act, datatype, Reading(patient), {})
    differences = [(path, value) for path, value in missing(resource, back) if path != "resourceType"]
    carried = write_elements(act, differences, allowed=elements)
    return Written(entry, datatype.name if datatype else None, carried, tuple(context.filled))


def read_entry(entry: etree._Element, patient: str) -> Read:
    """Read an entry of the patient data."""
    act = next((one for one in entry if local(one)), None)
    if act is None:
        return Read(None, (), (Unmapped(entry, "an entry without content"),), False)
    stated = _stated(act)
    datatype = _datatype(act, stated)
    if datatype is None and stated is None:
        return Read(None, (), (Unmapped(entry, _unknown(act)),), False)
    context = Reading(patient)
    wrong: dict[etree._Element, str] = {}
    resource = _resource(act, datatype, context, wrong)
    if stated is None and datatype is not None and _says_nothing(resource, datatype):
        return Read(None, (), (Unmapped(entry, "the entry tells nothing but null flavours"),), False)
    unmapped = [Unmapped(element, reason) for element, reason in wrong.items()]
    unmapped += (Unmapped(one, "no FHIR element for it in this datatype") for one in _left(act, context))
    return Read(resource, tuple(context.resources), tuple(unmapped), stated is not None)


def _resource(
    act: etree._Element, datatype: Datatype | None, context: Reading, wrong: dict[etree._Element, str]
) -> dict[str, Any]:
    stated = _stated(act)
    resource: dict[str, Any]
    if datatype is None:
        kind, _, identity = (stated or "").partition("/")
        resource = {"resourceType": kind, "id": identity}
    else:
        target = find(act, datatype.inner) if datatype.inner else act
        target = act if target is None else target
        identity = stated.partition("/")[2] if stated else _foreign_id(target, act)
        resource = {"resourceType": datatype.resource, "id": identity, **deepcopy(datatype.defaults)}
        resource[datatype.patient] = {"reference": context.patient}
        context.use(act, target, child(target, "statusCode"), child(act, "statusCode"))
        if target is not act:
            context.use(target.getparent())
        for slot in datatype.slots:
            slot.read(act, resource, context)
    for observation, reason in read_elements(act, resource):
        context.use(observation.getparent(), observation, *observation.iterdescendants())
        if reason:
            wrong[observation] = reason
    return resource


def _says_nothing(resource: dict[str, Any], datatype: Datatype) -> bool:
    ignored = {"resourceType", "id", "meta", "category", datatype.patient, "clinicalStatus"}
    return {name: one for name, one in resource.items() if name not in ignored} == {
        name: one for name, one in datatype.defaults.items() if name not in ignored
    }


def _stated(act: etree._Element) -> str | None:
    """``Type/id`` that an entry states as its resource."""
    for one in children(act, "id"):
        extension = one.get("extension", "")
        kind, _, identity = extension.partition("/")
        if one.get("root") == RESOURCE_ID and kind.isalpha() and (is_fhir_id(identity) or identity == "None"):
            return extension
    return None


def _datatype(act: etree._Element, stated: str | None) -> Datatype | None:
    for template in children(act, "templateId"):
        among = datatypes_by_template().get(template.get("root", ""), ())
        for one in among:
            if stated is None or one.resource == stated.partition("/")[0]:
                return one
    return None


def _foreign_id(target: etree._Element, act: etree._Element) -> str:
    """A FHIR id for an entry by its own id: the same for the same entry, wherever it comes from."""
    for element in (target, act):
        for one in children(element, "id"):
            root, extension = one.get("root"), one.get("extension")
            if root and root != RESOURCE_ID:
                return (
                    root.lower()
                    if not extension and is_fhir_id(root) and "." not in root
                    else derived_id(root, extension or "")
                )
    return derived_id(etree.tostring(act, method="c14n").decode())


def _unknown(act: etree._Element) -> str:
    templates = ", ".join(str(one.get("root")) for one in children(act, "templateId"))
    return (
        f"no QDM datatype with FHIR counterpart is known for the templates {templates}"
        if templates
        else "no template"
    )


def _left(act: etree._Element, context: Reading) -> Iterator[etree._Element]:
    """The largest parts of an entry of which nothing was understood."""
    for one in act.iterchildren(f"{{{CDA}}}*", "{urn:hl7-org:sdtc}*"):
        name = local(one)
        if name in _STRUCTURE or (name == "assignedAuthor" and not _tells(one)):
            continue
        if name == "statusCode" and one.get("code") in ("completed", "active"):
            # Templates fix the status of what stands within an entry.
            continue
        if one in context.used or any(inner in context.used for inner in one.iterdescendants()):
            yield from _left(one, context)
        elif _tells(one) and not (
            name in ("code", "value", "translation") and one.get("code") in _FIXED_CODES | _FIXED_CODES_MORE
        ):
            yield one


def _tells(element: etree._Element) -> bool:
    """Whether an element says anything: text, a code, a value, an id."""
    for one in element.iter(f"{{{CDA}}}*", "{urn:hl7-org:sdtc}*"):
        if local(one) == "templateId" or one.get("nullFlavor"):
            continue
        if (one.text or "").strip() or any(one.get(name) for name in ("code", "value", "extension", "root")):
            return True
    return False
