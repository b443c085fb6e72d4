"""Blood pressures: two physical exams in QDM, one Observation with two components in FHIR (US Core)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from measurewise.qrda.category1.cda import derived_id
from measurewise.qrda.category1.datatypes import codes, concept

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
