"""What an encounter tells of other resources: its diagnoses and the places where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from measurewise.qrda.category1.cda import (
    TYPE,
    add,
    add_templates,
    child,
    children,
    derived_id,
    find,
    find_all,
    insert,
    make,
    qualified,
)
from measurewise.qrda.category1.data_types import read_concept, read_period, write_concept, write_period
from measurewise.qrda.category1.slots import RESOURCE_ID, Integer, Q, Reading, Writing

QICORE: Final = "http://hl7.org/fhir/us/qicore/StructureDefinition/"
_RANK: Final = (
    "entryRelationship[typeCode=REFR]/observation[classCode=OBS,moodCode=EVN,"
    f"template={Q}166:2019-12-01]/value"
)
_DIAGNOSIS: Final = f"entryRelationship/observation[template={Q}168:2021-08-01]"
_MADE: Final = (
    f"entryRelationship[typeCode=REFR]/observation[classCode=OBS,moodCode=EVN,template={Q}168:2021-08-01]"
)
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/condition-category"


@dataclass(frozen=True, slots=True)
class Diagnoses:
    """``Encounter.diagnosis`` as Encounter Diagnosis QDM: the Condition's code, and its rank."""

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        for diagnosis in _items(resource.get("diagnosis")):
            holder = insert(act, etree.Element(qualified("entryRelationship"), typeCode="REFR"))
            observation = make(holder, _MADE.partition("/")[2], new=True)
            reference = _reference(diagnosis.get("condition"))
            condition = context.resources.get(reference, {})
            if reference:
                insert(observation, etree.Element(qualified("id"), root=RESOURCE_ID, extension=reference))
            value = make(observation, "value")
            value.set(TYPE, "CD")
            write_concept(value, condition.get("code") or {}, context.value_sets)
            Integer("rank", _RANK, "INT").write(observation, diagnosis, context)

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        found = []
        for observation in find_all(act, _DIAGNOSIS):
            context.use(observation.getparent(), observation, *observation.iterdescendants())
            diagnosis: dict[str, Any] = {}
            reference = _fhir_id(observation)
            value = child(observation, "value")
            concept = None if value is None else read_concept(value)
            if reference is None and concept:
                condition = _condition(concept, resource, context)
                context.resources.append(condition)
                reference = f"Condition/{condition['id']}"
            if reference:
                diagnosis["condition"] = {"reference": reference}
            Integer("rank", _RANK, "INT").read(observation, diagnosis, context)
            if diagnosis:
                found.append(diagnosis)
        if found:
            resource["diagnosis"] = found


@dataclass(frozen=True, slots=True)
class Locations:
    """``Encounter.location`` as Facility Location: the Location's type, and the time there."""

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        for item in _items(resource.get("location")):
            reference = _reference(item.get("location"))
            location = context.resources.get(reference, {})
            participant = insert(act, etree.Element(qualified("participant"), typeCode="LOC"))
            add_templates(participant, ((f"{Q}100", "2017-08-01"),))
            period = item.get("period")
            write_period(add(participant, "time"), period if isinstance(period, dict) else {})
            role = add(participant, "participantRole", classCode="SDLOC")
            if reference:
                add(role, "id", root=RESOURCE_ID, extension=reference)
            types = _items(location.get("type"))
            write_concept(add(role, "code"), types[0] if types else {}, context.value_sets)

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        found = []
        for participant in find_all(act, "participant[typeCode=LOC]"):
            role = child(participant, "participantRole")
            if role is None:
                continue
            context.use(participant, role, *children(role, "id"), *children(role, "code"))
            reference = _fhir_id(role)
            code = child(role, "code")
            concept = None if code is None else read_concept(code)
            if reference is None and concept:
                location = {
                    "resourceType": "Location",
                    "id": derived_id("location", context.patient, str(concept)),
                    "meta": {"profile": [f"{QICORE}qicore-location"]},
                    "type": [concept],
                }
                name = find(role, "playingEntity/name")
                if name is not None and name.text:
                    location["name"] = name.text
                    context.use(name.getparent(), name)
                context.resources.append(location)
                reference = f"Location/{location['id']}"
            item: dict[str, Any] = {"location": {"reference": reference}} if reference else {}
            time = child(participant, "time")
            if time is not None and (period := read_period(time)):
                item["period"] = period
                context.use(time, *time)
            if item:
                found.append(item)
        if found:
            resource["location"] = found


def _condition(concept: dict[str, Any], encounter: dict[str, Any], context: Reading) -> dict[str, Any]:
    period = encounter.get("period") or {}
    condition = {
        "resourceType": "Condition",
        "id": derived_id("encounter diagnosis", context.patient, str(encounter.get("id")), str(concept)),
        "meta": {"profile": [f"{QICORE}qicore-condition-encounter-diagnosis"]},
        "category": [{"coding": [{"system": _CATEGORY, "code": "encounter-diagnosis"}]}],
        "code": concept,
        "subject": {"reference": context.patient},
        "encounter": {"reference": f"Encounter/{encounter.get('id')}"},
    }
    if period.get("start"):
        condition["onsetDateTime"] = period["start"]
    return condition


def _fhir_id(element: etree._Element) -> str | None:
    for one in children(element, "id"):
        if one.get("root") == RESOURCE_ID and one.get("extension"):
            return one.get("extension")
    return None


def _reference(reference: Any) -> str:
    text = reference.get("reference") if isinstance(reference, Mapping) else None
    return text if isinstance(text, str) else ""


def _items(items: Any) -> list[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
