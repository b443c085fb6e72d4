"""Orders and recommendations (QDM 5.6): ServiceRequest and DeviceRequest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from measurewise.qrda.category1.datatypes import Datatype, c_cda, codes, profile, template
from measurewise.qrda.category1.paths import get
from measurewise.qrda.category1.slots import Author, Concept, Negation, Reason

_QICORE: Final = "http://hl7.org/fhir/us/qicore/StructureDefinition/"
_REASON_NOT: Final = f"extension({_QICORE}qicore-doNotPerformReason).valueCodeableConcept"
_DEVICE_NOT: Final = "modifierExtension(http://hl7.org/fhir/5.0/StructureDefinition/extension-DeviceRequest.doNotPerform).valueBoolean"
# SNOMED CT categories of US Core's ServiceRequest.
_LABORATORY: Final = "108252007"
_IMAGING: Final = "363679005"
_SURGICAL: Final = "387713003"
_PLANNED: Final = ("plan", "proposal")
_ORDERED: Final = ("order", "original-order", "reflex-order", "filler-order", "instance-order", None)


_SERVICE_NOT: Final = {"doNotPerform": True, "meta": profile("qicore-servicenotrequested")}
_DEVICE_NEGATED: Final = {_DEVICE_NOT: True, "meta": profile("qicore-devicenotrequested")}


def _service(
    name: str, act: str, key: int, fits: Callable[[dict[str, Any]], bool], intent: str, inner: str = ""
) -> Datatype:
    at = f"{inner}/" if inner else ""
    return Datatype(
        name=name,
        resource="ServiceRequest",
        act=act,
        key=f"2.16.840.1.113883.10.20.24.3.{key}",
        inner=inner,
        status="active",
        fits=fits,
        fixed=(("code", (("code", "ENC"), ("codeSystem", "2.16.840.1.113883.5.6"))),) if inner else (),
        slots=(
            Negation(lambda one: one.get("doNotPerform") is True, _SERVICE_NOT),
            Concept("code", f"{at}code", required=True),
            *(
                (Concept("bodySite[0]", "targetSiteCode"),)
                if act.startswith(("procedure", "observation"))
                else ()
            ),
            Author("authoredOn", within=inner, required=True),
            Reason("reasonCode[0]", negated=False),
            Reason(_REASON_NOT, negated=True),
        ),
        defaults={"status": "active", "intent": intent, "meta": profile("qicore-servicerequest")},
    )


def _of(category: str, *, planned: bool) -> Callable[[dict[str, Any]], bool]:
    return lambda one: category in codes(one.get("category")) and _stands(one, planned=planned)


def _rest(*, planned: bool) -> Callable[[dict[str, Any]], bool]:
    return lambda one: _stands(one, planned=planned)


def _stands(resource: dict[str, Any], *, planned: bool) -> bool:
    """Whether a request is an order (or a recommendation); an option or a directive is neither."""
    return resource.get("intent") in (_PLANNED if planned else _ORDERED)


def _never(resource: dict[str, Any]) -> bool:
    return False


def _pair(
    name: str, element: str, class_code: str, base: int, keys: tuple[int, int], category: str | None
) -> tuple[Datatype, ...]:
    """The order and the recommendation of one QDM category; ``category`` None: read only."""
    return tuple(
        _service(
            f"{name}, {kind}",
            f"{element}[classCode={class_code},moodCode={mood},{c_cda(base)},{template(key)}]",
            key,
            _never
            if category is None
            else _of(category, planned=planned)
            if category
            else _rest(planned=planned),
            intent,
        )
        for kind, mood, key, planned, intent in (
            ("Order", "RQO", keys[0], False, "order"),
            ("Recommended", "INT", keys[1], True, "plan"),
        )
    )


def _encounter(mood: str, key: int, inner_key: int, intent: str) -> Datatype:
    return _service(
        f"Encounter, {'Order' if mood == 'RQO' else 'Recommended'}",
        f"act[classCode=ACT,moodCode={mood},{template(key)}]",
        key,
        _never,
        intent,
        inner=(
            f"entryRelationship[typeCode=SUBJ]/encounter[classCode=ENC,moodCode={mood},"
            f"{c_cda(40)},{template(inner_key)}]"
        ),
    )


def _device(name: str, mood: str, key: int, inner_key: int, *, planned: bool) -> Datatype:
    inner = (
        f"entryRelationship[typeCode=SUBJ]/supply[classCode=SPLY,moodCode={mood},"
        f"{c_cda(43)},{template(inner_key)}]"
    )
    return Datatype(
        name=name,
        resource="DeviceRequest",
        act=f"act[classCode=ACT,moodCode={mood},{template(key)}]",
        key=f"2.16.840.1.113883.10.20.24.3.{key}",
        inner=inner,
        status="active",
        fits=_rest(planned=planned),
        fixed=(("code", (("code", "SPLY"), ("codeSystem", "2.16.840.1.113883.5.6"))),),
        slots=(
            Negation(lambda one: get(one, _DEVICE_NOT) is True, _DEVICE_NEGATED),
            Concept(
                "codeCodeableConcept",
                f"{inner}/participant[typeCode=DEV]/participantRole[classCode=MANU]/playingDevice[classCode=DEV]/code",
                required=True,
            ),
            Author("authoredOn", within=inner, required=True),
            Reason("reasonCode[0]", negated=False),
            Reason(_REASON_NOT, negated=True),
        ),
        defaults={
            "status": "active",
            "intent": "plan" if planned else "order",
            "meta": profile("qicore-devicerequest"),
        },
    )


DATATYPES: Final = (
    *_pair("Laboratory Test", "observation", "OBS", 44, (37, 39), _LABORATORY),
    *_pair("Diagnostic Study", "observation", "OBS", 44, (17, 19), _IMAGING),
    *_pair("Procedure", "procedure", "PROC", 41, (63, 65), _SURGICAL),
    *_pair("Assessment", "observation", "OBS", 44, (158, 145), None),
    *_pair("Physical Exam", "observation", "OBS", 44, (58, 60), None),
    *_pair("Intervention", "act", "ACT", 39, (31, 33), ""),
    _encounter("RQO", 132, 22, "order"),
    _encounter("INT", 134, 24, "plan"),
    _device("Device, Order", "RQO", 130, 9, planned=False),
    _device("Device, Recommended", "INT", 131, 10, planned=True),
)
