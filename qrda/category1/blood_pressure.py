"""Blood pressures: two physical exams in QDM, one Observation with two components in FHIR (US Core)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from lxml import etree

from measurewise.qrda.category1.cda import derived_id, find_all
from measurewise.qrda.category1.datatypes import codes, concept
from measurewise.qrda.category1.slots import RESOURCE_ID

_LOINC: Final = "http://loinc.org"
_SYSTOLIC: Final = "8480-6"
_DIASTOLIC: Final = "8462-4"
_PANEL: Final = "85354-9"
_PROFILE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-blood-pressure"
_NAMES: Final = {_SYSTOLIC: "Systolic blood pressure", _DIASTOLIC: "Diastolic blood pressure"}


def blood_pressures(resources: Sequence[dict[str, Any]], own: Collection[int]) -> list[dict[str, Any]]:
    """A panel for each systolic and diastolic pressure of one time, among the entries of other systems.

    The two Observations stay, and the panel names them (``hasMember``). Of several at one time the first with
    the first make a panel, and so on.
    """
    return list(_panels([one for position, one in enumerate(resources) if position not in own]))


def pressures_of(resource: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The physical exams that QDM has for a blood pressure, each with what it is a part of.

    They stand beside the panel's own entry, for readers that know no panel, and state their part
    (``Observation/1#8480-6``), by which :func:`is_part` knows them.
    """
    components = resource.get("component")
    if resource.get("resourceType") != "Observation" or not isinstance(components, list):
        return []
    found = []
    for component in components:
        told = codes(component.get("code")) & _NAMES.keys() if isinstance(component, dict) else set()
        if told and isinstance(component.get("valueQuantity"), dict):
            (code,) = sorted(told)[:1]
            exam = {
                **{name: value for name, value in resource.items() if name.startswith("effective")},
                "resourceType": "Observation",
                "status": resource.get("status"),
                "category": [{"coding": [{"code": "vital-signs"}]}],
                "code": concept(_LOINC, code, _NAMES[code]),
                "valueQuantity": component["valueQuantity"],
            }
            found.append((f"Observation/{resource.get('id')}#{code}", exam))
    return found


def is_part(entry: etree._Element) -> bool:
    """Whether an entry says again what another entry of the document says."""
    return any(
        one.get("root") == RESOURCE_ID and "#" in one.get("extension", "")
        for one in find_all(entry, "observation/id")
    )


def _panels(resources: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    waiting: dict[str, list[dict[str, Any]]] = {}
    measured = [one for one in resources if one["resourceType"] == "Observation" and one.get("valueQuantity")]
    for one in measured:
        if _DIASTOLIC in codes(one.get("code")) and one.get("status") == "final":
            waiting.setdefault(_time(one), []).append(one)
    for systolic in measured:
        partners = waiting.get(_time(systolic)) if _SYSTOLIC in codes(systolic.get("code")) else None
        if partners and systolic.get("status") == "final" and _time(systolic):
            yield _panel(systolic, partners.pop(0))


def _panel(systolic: dict[str, Any], diastolic: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": derived_id("blood pressure", str(systolic.get("id")), str(diastolic.get("id"))),
        "meta": {"profile": [_PROFILE]},
        "status": "final",
        "category": systolic["category"],
        "code": concept(_LOINC, _PANEL, "Blood pressure panel with all children optional"),
        "subject": systolic["subject"],
        **{name: value for name, value in systolic.items() if name.startswith("effective")},
        "hasMember": [{"reference": f"Observation/{one.get('id')}"} for one in (systolic, diastolic)],
        "component": [
            {"code": concept(_LOINC, code, _NAMES[code]), "valueQuantity": one["valueQuantity"]}
            for code, one in ((_SYSTOLIC, systolic), (_DIASTOLIC, diastolic))
        ],
    }


def _time(observation: dict[str, Any]) -> str:
    return str(observation.get("effectiveDateTime") or observation.get("effectivePeriod") or "")
