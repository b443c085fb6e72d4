"""Encounters, diagnoses, observations, procedures, allergies, communications and the like (QDM 5.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from measurewise.qrda.category1.cda import child, make
from measurewise.qrda.category1.data_types import to_ts
from measurewise.qrda.category1.datatypes import Datatype, c_cda, codes, concept, profile, template
from measurewise.qrda.category1.encounter_slots import Diagnoses, Locations
from measurewise.qrda.category1.paths import get
from measurewise.qrda.category1.slots import (
    NOT_DONE,
    RESULT,
    Author,
    Coded,
    Concept,
    Each,
    Moment,
    Negation,
    Reading,
    Reason,
    RelatedTo,
    Value,
    When,
    Writing,
)

_TERM: Final = "http://terminology.hl7.org/CodeSystem/"
_QICORE: Final = "http://hl7.org/fhir/us/qicore/StructureDefinition/"
RECORDED: Final = f"extension({_QICORE}qicore-recorded).valueDateTime"
_CLINICAL: Final = f"{_TERM}condition-clinical"
_ACTIVE: Final = {"active", "recurrence", "relapse"}
_DIAGNOSIS: Final = (
    "entryRelationship[typeCode=SUBJ]/observation[classCode=OBS,moodCode=EVN,"
    f"{c_cda(4, '2015-08-01')},{template(135)}]"
)
_SYMPTOM: Final = (
    "entryRelationship[typeCode=SUBJ]/observation[classCode=OBS,moodCode=EVN,"
    f"{c_cda(4, '2015-08-01')},{template(136)}]"
)
# QDM's diagnosis is both: what is on the problem list, and what an encounter was for.
_DIAGNOSED: Final[dict[str, Any]] = {
    "meta": profile("qicore-condition-problems-health-concerns", "qicore-condition-encounter-diagnosis"),
    "verificationStatus": concept(f"{_TERM}condition-ver-status", "confirmed"),
    "category": [
        concept(f"{_TERM}condition-category", "problem-list-item"),
        concept(f"{_TERM}condition-category", "encounter-diagnosis"),
    ],
}
_VITAL_SIGNS: Final = {
    "85354-9": "blood-pressure",
    "39156-5": "bmi",
    "59576-9": "pediatric-bmi-for-age",
    "77606-2": "pediatric-weight-for-height",
    "8867-4": "heart-rate",
    "9279-1": "respiratory-rate",
    "8310-5": "body-temperature",
    "8302-2": "body-height",
    "29463-7": "body-weight",
    "2708-6": "pulse-oximetry",
    "9843-4": "head-circumference",
}
# Systolic and diastolic pressure, which QDM has apart (``blood_pressure``).
_PRESSURES: Final = {"8480-6", "8462-4"}
_COMPONENTS: Final = Each(
    "component",
    f"entryRelationship[typeCode=REFR]/observation[classCode=OBS,moodCode=EVN,{template(149, '2017-08-01')}]",
    (Concept("code", "code", required=True), Value()),
    id_of="component",
    # CMS's sample for 2026 has the template with C-CDA's root.
    also=(f"entryRelationship[typeCode=REFR]/observation[{c_cda(149)}]",),
)
_ASSERTION: Final = ("code", (("code", "ASSERTION"), ("codeSystem", "2.16.840.1.113883.5.4")))


@dataclass(frozen=True, slots=True)
class Bound:
    """An onset or abatement (dateTime or Period) as one bound of effectiveTime."""

    path: str
    place: str
    part: str
    required: bool = False

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        moment = get(resource, f"{self.path}DateTime") or get(resource, f"{self.path}Period.{self.part}")
        Moment("moment", self.place, required=self.required).write(act, {"moment": moment}, context)

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        Moment(f"{self.path}DateTime", self.place).read(act, resource, context)


@dataclass(frozen=True, slots=True)
class ConcernStatus:
    """``clinicalStatus`` as the status of the concern: active, or completed for what is resolved."""

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        status = codes(resource.get("clinicalStatus"))
        is_active = bool(status & _ACTIVE) if status else not _abated(resource)
        make(act, "statusCode").set("code", "active" if is_active else "completed")

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        status = child(act, "statusCode")
        context.use(status)
        completed = status is not None and status.get("code") == "completed"
        code = "resolved" if completed or _abated(resource) else "active"
        resource["clinicalStatus"] = concept(_CLINICAL, code)


@dataclass(frozen=True, slots=True)
class VitalSign:
    """Profile and category of a physical exam: a vital sign, which US Core tells by its code, or none."""

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot; the code says it."""

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        if resource.get("status") == "cancelled":
            return
        vital = codes(resource.get("code")) & _VITAL_SIGNS.keys()
        for code in vital:
            url = f"http://hl7.org/fhir/us/core/StructureDefinition/us-core-{_VITAL_SIGNS[code]}"
            resource["meta"] = {"profile": [url]}
        if not vital and not codes(resource.get("code")) & _PRESSURES:
            resource |= _category("exam")


def _abated(resource: dict[str, Any]) -> bool:
    return any(to_ts(resource.get(name)) for name in ("abatementDateTime",)) or bool(
        resource.get("abatementPeriod")
    )


def _status(*values: str) -> Any:
    return lambda resource: resource.get("status") in values


def _set(**values: Any) -> dict[str, Any]:
    return values


def _category(code: str) -> dict[str, Any]:
    return {"category": [concept(f"{_TERM}observation-category", code)]}


def _in(*categories: str) -> Any:
    return lambda resource: bool(codes(resource.get("category")) & set(categories))


_OBSERVATION_NEGATED: Final = Negation(
    lambda one: (
        one.get("status") == "cancelled" or get(one, f"modifierExtension({NOT_DONE}).valueBoolean") is True
    ),
    _set(status="cancelled", meta=profile("qicore-observationcancelled")),
)
_NOT_DONE_REASON: Final = Reason(
    f"extension({_QICORE}qicore-notDoneReason).valueCodeableConcept", negated=True
)


def _observation(
    name: str, act: str, key: int, category: str, profiles: tuple[str, ...], value: Value, **rest: Any
) -> Datatype:
    return Datatype(
        name=name,
        resource="Observation",
        act=act,
        key=f"2.16.840.1.113883.10.20.24.3.{key}",
        slots=(
            _OBSERVATION_NEGATED,
            Concept("code", "code", required=True),
            When("effectiveDateTime", "effectivePeriod"),
            Concept("method", "methodCode"),
            Concept("bodySite", "targetSiteCode"),
            Author("issued"),
            value,
            _COMPONENTS,
            _NOT_DONE_REASON,
            *((VitalSign(),) if category == "vital-signs" else ()),
        ),
        defaults={"status": "final", "meta": profile(*profiles), **_category(category)},
        **rest,
    )


DATATYPES: Final = (
    Datatype(
        name="Encounter, Performed",
        resource="Encounter",
        act=f"encounter[classCode=ENC,moodCode=EVN,{c_cda(49, '2015-08-01')},{template(23)}]",
        key="2.16.840.1.113883.10.20.24.3.23",
        slots=(
            Concept("type[0]", "code", required=True),
            When(None, "period", interval=True),
            Concept("hospitalization.dischargeDisposition", "dischargeDispositionCode"),
            Concept("priority", "priorityCode"),
            Coded(
                "class",
                f"entryRelationship[typeCode=REFR]/act[classCode=ACT,moodCode=EVN,{template(171)}]/code",
            ),
            Diagnoses(),
            Locations(),
            Reason("reasonCode[0]"),
        ),
        defaults={"status": "finished", "meta": profile("qicore-encounter")},
    ),
    Datatype(
        name="Diagnosis",
        resource="Condition",
        act=f"act[classCode=ACT,moodCode=EVN,{c_cda(3, '2015-08-01')},{template(137)}]",
        key="2.16.840.1.113883.10.20.24.3.137",
        inner=_DIAGNOSIS,
        status=None,
        fixed=(("code", (("code", "CONC"), ("codeSystem", "2.16.840.1.113883.5.6"))),),
        slots=(
            Moment("recordedDate", "effectiveTime/low", required=True),
            Bound("onset", f"{_DIAGNOSIS}/effectiveTime/low", "start", required=True),
            Bound("abatement", f"{_DIAGNOSIS}/effectiveTime/high", "end"),
            ConcernStatus(),
            Concept("code", f"{_DIAGNOSIS}/value", "CD", required=True),
            Concept("bodySite[0]", f"{_DIAGNOSIS}/targetSiteCode"),
            Concept(
                "severity",
                f"{_DIAGNOSIS}/entryRelationship[typeCode=REFR]/observation[classCode=OBS,moodCode=EVN,"
                f"{c_cda(8)}]/value",
                "CD",
            ),
        ),
        defaults={
            **_DIAGNOSED,
        },
    ),
    Datatype(
        name="Symptom",
        resource="Condition",
        act=f"act[classCode=ACT,moodCode=EVN,{c_cda(3, '2015-08-01')},{template(138)}]",
        key="2.16.840.1.113883.10.20.24.3.138",
        inner=_SYMPTOM,
        status=None,
        fits=lambda resource: False,
        slots=(
            Moment("recordedDate", "effectiveTime/low"),
            Bound("onset", f"{_SYMPTOM}/effectiveTime/low", "start"),
            Bound("abatement", f"{_SYMPTOM}/effectiveTime/high", "end"),
            ConcernStatus(),
            Concept("code", f"{_SYMPTOM}/value", "CD"),
        ),
        defaults={
            **_DIAGNOSED,
        },
    ),
    _observation(
        "Laboratory Test, Performed",
        f"observation[classCode=OBS,moodCode=EVN,{template(38)}]",
        38,
        "laboratory",
        # US Core's laboratory results are clinical results.
        ("qicore-observation-lab", "qicore-observation-clinical-result"),
        Value(within=f"entryRelationship[typeCode=REFR]/{RESULT}"),
        fits=_in("laboratory"),
    ),
    _observation(
        "Physical Exam, Performed",
        f"observation[classCode=OBS,moodCode=EVN,{c_cda(13)},{template(59)}]",
        59,
        "vital-signs",
        ("qicore-simple-observation", "qicore-observation-clinical-result"),
        Value(required=True),
        fits=_in("vital-signs", "exam"),
    ),
    _observation(
        "Diagnostic Study, Performed",
        f"observation[classCode=OBS,moodCode=EVN,{c_cda(13)},{template(18)}]",
        18,
        "imaging",
        ("qicore-observation-clinical-result", "qicore-simple-observation"),
        Value(within=f"entryRelationship[typeCode=REFR]/{RESULT}", null=True),
        fits=_in("imaging", "procedure", "clinical-test"),
    ),
    _observation(
        "Assessment, Performed",
        f"observation[classCode=OBS,moodCode=EVN,{template(144)}]",
        144,
        "survey",
        ("qicore-observation-screening-assessment",),
        Value(),
    ),
    _observation(
        "Patient Care Experience",
        f"observation[classCode=OBS,moodCode=EVN,{template(48)}]",
        48,
        "survey",
        ("qicore-simple-observation",),
        Value(),
        fits=lambda resource: False,
    ),
    _observation(
        "Provider Care Experience",
        f"observation[classCode=OBS,moodCode=EVN,{template(67)}]",
        67,
        "survey",
        ("qicore-simple-observation",),
        Value(),
        fits=lambda resource: False,
    ),
    *(
        Datatype(
            name=name,
            resource="Procedure",
            act=act,
            key=f"2.16.840.1.113883.10.20.24.3.{key}",
            slots=(
                Negation(
                    _status("not-done"), _set(status="not-done", meta=profile("qicore-procedurenotdone"))
                ),
                Concept("code", "code", required=True),
                When("performedDateTime", "performedPeriod"),
                *((Concept("bodySite[0]", "targetSiteCode"),) if act.startswith("procedure") else ()),
                Author(RECORDED),
                Reason("reasonCode[0]", negated=False),
                Reason("statusReason", negated=True),
            ),
            fits=fits,
            defaults={"status": "completed", "meta": profile("qicore-procedure")},
        )
        for name, act, key, fits in (
            (
                "Intervention, Performed",
                f"act[classCode=ACT,moodCode=EVN,{c_cda(12)},{template(32)}]",
                32,
                # SNOMED CT: counselling, education.
                _in("409063005", "409073007"),
            ),
            (
                "Procedure, Performed",
                f"procedure[classCode=PROC,moodCode=EVN,{c_cda(14)},{template(64)}]",
                64,
                lambda resource: True,
            ),
        )
    ),
    Datatype(
        name="Allergy/Intolerance",
        resource="AllergyIntolerance",
        act=f"observation[classCode=OBS,moodCode=EVN,{template(90, '2014-06-09')},{template(147)}]",
        key="2.16.840.1.113883.10.20.24.3.147",
        fixed=(
            _ASSERTION,
            (
                "value",
                (
                    ("{http://www.w3.org/2001/XMLSchema-instance}type", "CD"),
                    ("code", "419199007"),
                    ("codeSystem", "2.16.840.1.113883.6.96"),
                    ("displayName", "Allergy to substance (finding)"),
                ),
            ),
        ),
        slots=(
            Bound("onset", "effectiveTime/low", "start", required=True),
            Moment("lastOccurrence", "effectiveTime/high"),
            Concept(
                "code",
                "participant[typeCode=CSM]/participantRole[classCode=MANU]/playingEntity[classCode=MMAT]/code",
                required=True,
            ),
            Author("recordedDate"),
        ),
        defaults={
            "meta": profile("qicore-allergyintolerance"),
            "clinicalStatus": concept(f"{_TERM}allergyintolerance-clinical", "active"),
            "verificationStatus": concept(f"{_TERM}allergyintolerance-verification", "confirmed"),
        },
        patient="patient",
    ),
    Datatype(
        name="Communication, Performed",
        resource="Communication",
        act=f"act[classCode=ACT,moodCode=EVN,{template(156)}]",
        key="2.16.840.1.113883.10.20.24.3.156",
        fixed=(("code", (("nullFlavor", "NA"),)),),
        slots=(
            Negation(
                lambda one: (
                    one.get("status") == "not-done"
                    or get(one, f"modifierExtension({NOT_DONE}).valueBoolean") is True
                ),
                _set(status="not-done", meta=profile("qicore-communicationnotdone")),
            ),
            Moment("sent", "effectiveTime/low"),
            Moment("received", "effectiveTime/high"),
            Author(RECORDED, required=True),
            Concept("medium[0]", "participant[typeCode=VIA]/participantRole/code"),
            Reason("reasonCode[0]", link="REFR", required=True),
            Reason("statusReason", negated=True),
            RelatedTo("basedOn"),
        ),
        defaults={"status": "completed", "meta": profile("qicore-communication")},
    ),
    Datatype(
        # QDM has no task; what measures ask of one (a report received on a referral) it calls communication.
        name="Communication, Performed",
        resource="Task",
        act=f"act[classCode=ACT,moodCode=EVN,{template(156)}]",
        key="2.16.840.1.113883.10.20.24.3.156",
        fixed=(("code", (("nullFlavor", "NA"),)),),
        slots=(
            Negation(_status("rejected"), _set(status="rejected", meta=profile("qicore-taskrejected"))),
            When(None, "executionPeriod"),
            Author("authoredOn", required=True),
            Reason("code", link="REFR", required=True),
            Reason("statusReason", negated=True),
            RelatedTo("basedOn"),
        ),
        defaults={"status": "completed", "intent": "order", "meta": profile("qicore-task")},
        patient="for",
    ),
    Datatype(
        name="Care Goal",
        resource="Goal",
        act=f"observation[classCode=OBS,moodCode=GOL,{c_cda(121, None)},{template(1)}]",
        key="2.16.840.1.113883.10.20.24.3.1",
        status="active",
        slots=(
            Concept("target[0].measure", "code", required=True),
            Moment("startDate", "effectiveTime/low", required=True),
            Moment("target[0].dueDate", "effectiveTime/high"),
            Value(path="detail", parent="target[0]"),
            Author("statusDate"),
            RelatedTo("addresses"),
        ),
        defaults={"lifecycleStatus": "active", "meta": profile("qicore-goal")},
    ),
    Datatype(
        name="Adverse Event",
        resource="AdverseEvent",
        act=f"observation[classCode=OBS,moodCode=EVN,{template(146)}]",
        key="2.16.840.1.113883.10.20.24.3.146",
        fixed=(
            _ASSERTION,
            (
                "value",
                (
                    ("{http://www.w3.org/2001/XMLSchema-instance}type", "CD"),
                    ("code", "281647001"),
                    ("codeSystem", "2.16.840.1.113883.6.96"),
                    ("displayName", "Adverse reaction (disorder)"),
                ),
            ),
        ),
        slots=(
            When("date", None, point=True),
            Concept(
                "event",
                "entryRelationship[typeCode=CAUS,inversionInd=true]/"
                f"observation[classCode=OBS,moodCode=EVN,{template(148, '2017-08-01')}]/value",
                "CD",
                required=True,
            ),
            Concept(
                "category[0]",
                "entryRelationship[typeCode=MFST,inversionInd=true]/"
                f"observation[classCode=OBS,moodCode=EVN,{c_cda(9)}]/value",
                "CD",
            ),
            Author("recordedDate"),
        ),
        defaults={"actuality": "actual", "meta": profile("qicore-adverseevent")},
    ),
    Datatype(
        name="Family History",
        resource="FamilyMemberHistory",
        act=f"organizer[classCode=CLUSTER,moodCode=EVN,{c_cda(45, '2015-08-01')},{template(12)}]",
        key="2.16.840.1.113883.10.20.24.3.12",
        fits=lambda resource: bool(resource.get("condition")),
        slots=(
            Concept("relationship", "subject/relatedSubject[classCode=PRS]/code", required=True),
            Each(
                "condition",
                "component/observation[classCode=OBS,moodCode=EVN,"
                f"{c_cda(46, '2015-08-01')},{template(112)}]",
                (Concept("code", "value", "CD", required=True), Author("recorded", required=True)),
                id_of="family history",
            ),
        ),
        defaults={"status": "completed", "meta": profile("qicore-familymemberhistory")},
        patient="patient",
    ),
    Datatype(
        name="Patient Characteristic, Payer",
        resource="Coverage",
        act=f"observation[classCode=OBS,moodCode=EVN,{template(55, None)}]",
        key="2.16.840.1.113883.10.20.24.3.55",
        fixed=(
            (
                "code",
                (
                    ("code", "48768-6"),
                    ("codeSystem", "2.16.840.1.113883.6.1"),
                    ("displayName", "Payment source"),
                ),
            ),
        ),
        slots=(
            When(None, "period", interval=True),
            Concept("type", "value", "CD", required=True),
        ),
        defaults={"status": "active", "meta": profile("qicore-coverage")},
        patient="beneficiary",
    ),
)
