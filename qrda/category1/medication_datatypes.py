"""Medications and immunizations (QDM 5.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from measurewise.qrda.category1.cda import find, make
from measurewise.qrda.category1.data_types import write_concept
from measurewise.qrda.category1.datatypes import Datatype, c_cda, codes, profile, template
from measurewise.qrda.category1.paths import get
from measurewise.qrda.category1.slots import (
    Author,
    Concept,
    Frequency,
    Integer,
    Moment,
    Negation,
    Quantity,
    Reading,
    Reason,
    When,
    Writing,
)

_QICORE: Final = "http://hl7.org/fhir/us/qicore/StructureDefinition/"
_RECORDED: Final = f"extension({_QICORE}qicore-recorded).valueDateTime"
_MATERIAL: Final = f"manufacturedProduct[classCode=MANU,{c_cda(23)}]/manufacturedMaterial/code"
_BOUNDS: Final = "dosageInstruction[0].timing.repeat.boundsPeriod"
_DOSE: Final = "dosageInstruction[0].doseAndRate[0].doseQuantity"
_DISCHARGED: Final = (
    f"entryRelationship[typeCode=SUBJ]/substanceAdministration[classCode=SBADM,moodCode=EVN,{c_cda(16)}]"
)
_DISPENSED: Final = (
    f"entryRelationship[typeCode=SUBJ]/supply[classCode=SPLY,moodCode=EVN,{c_cda(18)},{template(45)}]"
)


@dataclass(frozen=True, slots=True)
class Product:
    """``medication[x]``: its code, that of the Medication where it is a reference."""

    place: str

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        concept = resource.get("medicationCodeableConcept")
        if not isinstance(concept, Mapping):
            reference = get(resource, "medicationReference.reference")
            concept = context.resources.get(str(reference), {}).get("code") or {}
        write_concept(make(act, self.place), dict(concept), context.value_sets)

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        Concept("medicationCodeableConcept", self.place).read(act, resource, context)
        element = find(act, self.place)
        while element is not None and element is not act:
            context.use(element)
            element = element.getparent()


def _negated(**values: Any) -> dict[str, Any]:
    return values


def _ordered(resource: dict[str, Any]) -> bool:
    return resource.get("intent") in (
        "order",
        "original-order",
        "reflex-order",
        "filler-order",
        "instance-order",
        None,
    )


def _discharge(resource: dict[str, Any]) -> bool:
    return _ordered(resource) and "discharge" in codes(resource.get("category"))


def _requested(inner: str, *rest: Any) -> tuple[Any, ...]:
    """What orders and discharge medications share; ``inner`` leads to the administration."""
    at = f"{inner}/" if inner else ""
    return (
        Negation(
            lambda one: one.get("doNotPerform") is True,
            _negated(doNotPerform=True, meta=profile("qicore-medicationnotrequested")),
        ),
        When(None, _BOUNDS, place=f"{at}effectiveTime", interval=True, kind="IVL_TS"),
        Frequency("dosageInstruction[0].timing.repeat", f"{at}effectiveTime"),
        Integer("dispenseRequest.numberOfRepeatsAllowed", f"{at}repeatNumber"),
        Concept("dosageInstruction[0].route", f"{at}routeCode"),
        Quantity(_DOSE, f"{at}doseQuantity", required=True),
        Product(f"{at}consumable/{_MATERIAL}"),
        Author("authoredOn", within=inner, required=True),
        Quantity(
            "dispenseRequest.expectedSupplyDuration",
            f"{at}entryRelationship[typeCode=COMP]/"
            f"supply[classCode=SPLY,moodCode=EVN,{template(157, '2018-10-01')}]/quantity",
        ),
        Reason("reasonCode[0]"),
        *rest,
    )


_ORDERED: Final[dict[str, Any]] = {
    "status": "active",
    "intent": "order",
    "meta": profile("qicore-medicationrequest"),
}

DATATYPES: Final = (
    Datatype(
        name="Medication, Discharge",
        resource="MedicationRequest",
        act=f"act[classCode=ACT,moodCode=RQO,{template(105)}]",
        key="2.16.840.1.113883.10.20.24.3.105",
        inner=_DISCHARGED,
        status="active",
        fixed=(
            (
                "code",
                (
                    ("code", "75311-1"),
                    ("codeSystem", "2.16.840.1.113883.6.1"),
                    ("displayName", "Discharge medications"),
                ),
            ),
        ),
        fits=_discharge,
        slots=_requested(_DISCHARGED),
        defaults={
            **_ORDERED,
            "category": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/medicationrequest-category",
                            "code": "discharge",
                        }
                    ]
                }
            ],
        },
    ),
    Datatype(
        name="Medication, Order",
        resource="MedicationRequest",
        act=f"substanceAdministration[classCode=SBADM,moodCode=RQO,{c_cda(42)},{template(47)}]",
        key="2.16.840.1.113883.10.20.24.3.47",
        status="active",
        fits=_ordered,
        slots=_requested(""),
        defaults=_ORDERED,
    ),
    Datatype(
        name="Substance, Recommended",
        resource="MedicationRequest",
        act=f"substanceAdministration[classCode=SBADM,moodCode=INT,{c_cda(42)},{template(75)}]",
        key="2.16.840.1.113883.10.20.24.3.75",
        status="active",
        fits=lambda resource: False,
        slots=_requested(""),
        defaults={**_ORDERED, "intent": "plan"},
    ),
    Datatype(
        name="Immunization, Order",
        resource="MedicationRequest",
        act=f"substanceAdministration[classCode=SBADM,moodCode=RQO,{c_cda(120, None)},{template(143)}]",
        key="2.16.840.1.113883.10.20.24.3.143",
        status="active",
        fits=lambda resource: False,
        slots=_requested(
            "",
            Concept(
                "medicationCodeableConcept",
                f"consumable/manufacturedProduct[{c_cda(54)}]/manufacturedMaterial/code",
            ),
        ),
        defaults=_ORDERED,
    ),
    Datatype(
        name="Medication, Administered",
        resource="MedicationAdministration",
        act=f"substanceAdministration[classCode=SBADM,moodCode=EVN,{c_cda(16)},{template(42)}]",
        key="2.16.840.1.113883.10.20.24.3.42",
        slots=(
            Negation(
                lambda one: one.get("status") == "not-done",
                _negated(status="not-done", meta=profile("qicore-medicationadministrationnotdone")),
            ),
            When("effectiveDateTime", "effectivePeriod", kind="IVL_TS"),
            Concept("dosage.route", "routeCode"),
            Quantity("dosage.dose", "doseQuantity", required=True),
            Product(f"consumable/{_MATERIAL}"),
            Author(_RECORDED),
            Reason("reasonCode[0]", negated=False),
            Reason("statusReason[0]", negated=True),
        ),
        defaults={"status": "completed", "meta": profile("qicore-medicationadministration")},
    ),
    Datatype(
        name="Medication, Active",
        resource="MedicationStatement",
        act=f"substanceAdministration[classCode=SBADM,moodCode=EVN,{c_cda(16)},{template(41)}]",
        key="2.16.840.1.113883.10.20.24.3.41",
        status="active",
        slots=(
            When("effectiveDateTime", "effectivePeriod", kind="IVL_TS"),
            Frequency("dosage[0].timing.repeat", "effectiveTime"),
            Concept("dosage[0].route", "routeCode"),
            Quantity("dosage[0].doseAndRate[0].doseQuantity", "doseQuantity", required=True),
            Product(f"consumable/{_MATERIAL}"),
            Author("dateAsserted"),
            Reason("reasonCode[0]"),
        ),
        defaults={"status": "active", "meta": profile("qicore-medicationstatement")},
    ),
    Datatype(
        name="Medication, Dispensed",
        resource="MedicationDispense",
        act=f"act[classCode=ACT,moodCode=EVN,{template(139)}]",
        key="2.16.840.1.113883.10.20.24.3.139",
        inner=_DISPENSED,
        fixed=(("code", (("code", "SPLY"), ("codeSystem", "2.16.840.1.113883.5.6"))),),
        slots=(
            Negation(
                lambda one: one.get("status") == "declined",
                _negated(status="declined", meta=profile("qicore-medicationdispensedeclined")),
            ),
            When("whenHandedOver", None, place=f"{_DISPENSED}/effectiveTime"),
            Quantity("quantity", f"{_DISPENSED}/quantity"),
            Product(f"{_DISPENSED}/product/{_MATERIAL}"),
            Moment("whenPrepared", f"{_DISPENSED}/author[{template(155, '2019-12-01')}]/time"),
            Quantity(
                "daysSupply",
                f"{_DISPENSED}/entryRelationship[typeCode=COMP]/"
                f"supply[classCode=SPLY,moodCode=EVN,{template(157, '2018-10-01')}]/quantity",
            ),
            Reason("statusReasonCodeableConcept", negated=True),
        ),
        defaults={"status": "completed", "meta": profile("qicore-medicationdispense")},
    ),
    Datatype(
        name="Immunization, Administered",
        resource="Immunization",
        act=(
            f"substanceAdministration[classCode=SBADM,moodCode=EVN,{c_cda(52, '2015-08-01')},{template(140)}]"
        ),
        key="2.16.840.1.113883.10.20.24.3.140",
        slots=(
            Negation(
                lambda one: one.get("status") == "not-done",
                _negated(status="not-done", meta=profile("qicore-immunizationnotdone")),
                always=True,
            ),
            When("occurrenceDateTime", None, point=True),
            Concept("route", "routeCode"),
            Quantity("doseQuantity", "doseQuantity"),
            Concept(
                "vaccineCode",
                f"consumable/manufacturedProduct[classCode=MANU,{c_cda(54)}]/manufacturedMaterial/code",
                required=True,
            ),
            Author("recorded"),
            Reason("reasonCode[0]", negated=False),
            Reason("statusReason", negated=True),
        ),
        defaults={"status": "completed", "meta": profile("qicore-immunization")},
        patient="patient",
    ),
)
