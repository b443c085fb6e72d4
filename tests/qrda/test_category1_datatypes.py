"""Each QDM datatype written from a FHIR resource: valid, and read back the same, from the templates alone."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from category1_records import AT, cases, comparable, findings, settings
from lxml import etree

from measurewise.qrda.category1.datatypes import all_datatypes, datatype_of
from measurewise.qrda.category1.document import write_document
from measurewise.qrda.category1.reading import read_document

QICORE = "http://hl7.org/fhir/us/qicore/StructureDefinition/"
SCT = "http://snomed.info/sct"
PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "meta": {"profile": [f"{QICORE}qicore-patient"]},
    "extension": [
        {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-sex", "valueCode": "248152002"},
    ],
    "identifier": [{"system": "urn:oid:1.2.3.4", "value": "77"}],
    "name": [{"family": "Ohm", "given": ["Ada", "B."]}],
    "gender": "female",
    "birthDate": "1960-02-03",
    "maritalStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M"}]
    },
    "deceasedDateTime": "2026-11-01T10:00:00+00:00",
}
DOSE = {"value": Decimal("2.50"), "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
DAYS = {"value": 30, "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}


def concept(code: str, system: str = SCT) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": f"what {code} means"}]}


def resource(kind: str, profile: str, subject: str = "subject", **elements: Any) -> dict[str, Any]:
    return {
        "resourceType": kind,
        "id": f"{kind}-1",
        "meta": {"profile": [f"{QICORE}{profile}"]},
        subject: {"reference": "Patient/p1"},
        **elements,
    }


TERM = "http://terminology.hl7.org/CodeSystem/"
DRUG = concept("105152", "http://www.nlm.nih.gov/research/umls/rxnorm")
OBSERVED = {"status": "final", "code": concept("1234-5", "http://loinc.org")}
MOMENT = "2026-03-04T05:06:07.000-05:00"
PERIOD = {"start": MOMENT, "end": "2026-03-05"}
NOT_DONE = {
    "extension": [{"url": f"{QICORE}qicore-notDoneReason", "valueCodeableConcept": concept("183932001")}]
}
NOT_ASKED = {"url": f"{QICORE}qicore-doNotPerformReason", "valueCodeableConcept": concept("183932001")}

WHOLE = {
    "Encounter, Performed": resource(
        "Encounter",
        "qicore-encounter",
        status="finished",
        type=[concept("99213", "http://www.ama-assn.org/go/cpt")],
        period=PERIOD,
        **{"class": {"system": f"{TERM}v3-ActCode", "code": "AMB"}},
        priority=concept("1"),
        hospitalization={"dischargeDisposition": concept("306689006")},
        reasonCode=[concept("5")],
    ),
    "Diagnosis": {
        **resource("Condition", "qicore-condition-problems-health-concerns"),
        "meta": {
            "profile": [
                f"{QICORE}qicore-condition-problems-health-concerns",
                f"{QICORE}qicore-condition-encounter-diagnosis",
            ]
        },
        "clinicalStatus": {"coding": [{"system": f"{TERM}condition-clinical", "code": "resolved"}]},
        "verificationStatus": {"coding": [{"system": f"{TERM}condition-ver-status", "code": "confirmed"}]},
        "category": [
            {"coding": [{"system": f"{TERM}condition-category", "code": code}]}
            for code in ("problem-list-item", "encounter-diagnosis")
        ],
        "code": concept("44054006"),
        "bodySite": [concept("56459004")],
        "severity": concept("24484000"),
        "onsetDateTime": "2020-01-01",
        "abatementDateTime": "2026-02-01",
        "recordedDate": "2020-01-02",
    },
    "Laboratory Test, Performed": resource(
        "Observation",
        "qicore-observation-lab",
        **OBSERVED,
        category=[{"coding": [{"system": f"{TERM}observation-category", "code": "laboratory"}]}],
        effectiveDateTime=MOMENT,
        issued="2026-03-04T05:06:07.000-05:00",
        valueQuantity={
            "value": Decimal("9.10"),
            "unit": "%",
            "system": "http://unitsofmeasure.org",
            "code": "%",
        },
    ),
    "Physical Exam, Performed": resource(
        "Observation",
        "qicore-simple-observation",
        status="final",
        code=concept("29463-7", "http://loinc.org"),
        category=[{"coding": [{"system": f"{TERM}observation-category", "code": "vital-signs"}]}],
        effectivePeriod=PERIOD,
        method=concept("1"),
        bodySite=concept("2"),
        component=[
            {"code": concept("8480-6", "http://loinc.org"), "valueQuantity": DOSE},
            {"code": concept("3"), "valueCodeableConcept": concept("4")},
        ],
    )
    | {"meta": {"profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-body-weight"]}},
    "Diagnostic Study, Performed": resource(
        "Observation",
        "qicore-observation-clinical-result",
        **OBSERVED,
        category=[{"coding": [{"system": f"{TERM}observation-category", "code": "imaging"}]}],
        effectiveDateTime="2026",
        valueCodeableConcept=concept("7"),
    ),
    "Assessment, Performed": resource(
        "Observation",
        "qicore-observation-screening-assessment",
        **OBSERVED,
        category=[{"coding": [{"system": f"{TERM}observation-category", "code": "survey"}]}],
        effectiveDateTime="2026-03",
        valueInteger=27,
    ),
    "Assessment, not performed": {
        **resource("Observation", "qicore-observationcancelled", **OBSERVED),
        "status": "cancelled",
        **NOT_DONE,
        "category": [{"coding": [{"system": f"{TERM}observation-category", "code": "survey"}]}],
        "issued": MOMENT,
    },
    "Procedure, Performed": resource(
        "Procedure",
        "qicore-procedure",
        status="completed",
        code=concept("8"),
        performedPeriod=PERIOD,
        bodySite=[concept("9")],
        reasonCode=[concept("10")],
    ),
    "Procedure, not performed": resource(
        "Procedure",
        "qicore-procedurenotdone",
        status="not-done",
        code={
            "extension": [
                {
                    "url": f"{QICORE}qicore-notDoneValueSet",
                    "valueCanonical": "http://cts.nlm.nih.gov/fhir/ValueSet/1.3.6.1.4.1.33895.1.3.0.45",
                }
            ]
        },
        statusReason=concept("105480006"),
        extension=[{"url": f"{QICORE}qicore-recorded", "valueDateTime": MOMENT}],
    ),
    "Allergy/Intolerance": resource(
        "AllergyIntolerance",
        "qicore-allergyintolerance",
        "patient",
        clinicalStatus={"coding": [{"system": f"{TERM}allergyintolerance-clinical", "code": "active"}]},
        verificationStatus={
            "coding": [{"system": f"{TERM}allergyintolerance-verification", "code": "confirmed"}]
        },
        code=DRUG,
        onsetDateTime="2010",
        lastOccurrence="2011-01-01",
        recordedDate="2010-05-06",
    ),
    "Communication, Performed": resource(
        "Communication",
        "qicore-communication",
        status="completed",
        sent="2026-01-01T08:00:00+00:00",
        received="2026-01-01T09:00:00+00:00",
        reasonCode=[concept("401270003")],
        medium=[concept("11")],
        basedOn=[{"reference": "ServiceRequest/ServiceRequest-1"}],
        extension=[{"url": f"{QICORE}qicore-recorded", "valueDateTime": MOMENT}],
    ),
    "Care Goal": resource(
        "Goal",
        "qicore-goal",
        lifecycleStatus="active",
        startDate="2026-01-01",
        statusDate="2026-01-02",
        target=[{"measure": concept("12"), "detailQuantity": DOSE, "dueDate": "2026-06-01"}],
    ),
    "Adverse Event": resource(
        "AdverseEvent",
        "qicore-adverseevent",
        actuality="actual",
        event=concept("13"),
        category=[concept("14")],
        date="2026-01-01T08:00:00+00:00",
        recordedDate="2026-01-02",
    ),
    "Family History": resource(
        "FamilyMemberHistory",
        "qicore-familymemberhistory",
        "patient",
        status="completed",
        relationship=concept("FTH", f"{TERM}v3-RoleCode"),
    ),
    "Patient Characteristic, Payer": resource(
        "Coverage",
        "qicore-coverage",
        "beneficiary",
        status="active",
        type=concept("1", "https://nahdo.org/sopt"),
        period=PERIOD,
    ),
    "Medication, Order": resource(
        "MedicationRequest",
        "qicore-medicationrequest",
        status="active",
        intent="order",
        medicationCodeableConcept=DRUG,
        authoredOn=MOMENT,
        dosageInstruction=[
            {
                "timing": {
                    "repeat": {"boundsPeriod": PERIOD, "frequency": 1, "period": 6, "periodUnit": "h"}
                },
                "route": concept("26643006"),
                "doseAndRate": [{"doseQuantity": DOSE}],
            }
        ],
        dispenseRequest={"numberOfRepeatsAllowed": 2, "expectedSupplyDuration": DAYS},
        reasonCode=[concept("15")],
    ),
    "Medication, not ordered": resource(
        "MedicationRequest",
        "qicore-medicationnotrequested",
        status="active",
        intent="order",
        doNotPerform=True,
        medicationCodeableConcept=DRUG,
        authoredOn=MOMENT,
        reasonCode=[concept("15")],
    ),
    "Medication, Discharge": resource(
        "MedicationRequest",
        "qicore-medicationrequest",
        status="active",
        intent="order",
        category=[{"coding": [{"system": f"{TERM}medicationrequest-category", "code": "discharge"}]}],
        medicationCodeableConcept=DRUG,
        authoredOn=MOMENT,
    ),
    "Medication, Administered": resource(
        "MedicationAdministration",
        "qicore-medicationadministration",
        status="completed",
        medicationCodeableConcept=DRUG,
        effectivePeriod=PERIOD,
        dosage={"route": concept("26643006"), "dose": DOSE},
        reasonCode=[concept("16")],
    ),
    "Medication, not administered": resource(
        "MedicationAdministration",
        "qicore-medicationadministrationnotdone",
        status="not-done",
        medicationCodeableConcept=DRUG,
        statusReason=[concept("182903008")],
        extension=[{"url": f"{QICORE}qicore-recorded", "valueDateTime": MOMENT}],
    ),
    "Medication, Active": resource(
        "MedicationStatement",
        "qicore-medicationstatement",
        status="active",
        medicationCodeableConcept=DRUG,
        effectiveDateTime=MOMENT,
        dateAsserted="2026-01-01",
    ),
    "Medication, Dispensed": resource(
        "MedicationDispense",
        "qicore-medicationdispense",
        status="completed",
        medicationCodeableConcept=DRUG,
        whenHandedOver=MOMENT,
        quantity=DOSE,
        daysSupply=DAYS,
    ),
    "Immunization, Administered": resource(
        "Immunization",
        "qicore-immunization",
        "patient",
        status="completed",
        vaccineCode=concept("33", "http://hl7.org/fhir/sid/cvx"),
        occurrenceDateTime="2026-01-01",
        recorded="2026-01-02",
        doseQuantity=DOSE,
    ),
    "Laboratory Test, Order": resource(
        "ServiceRequest",
        "qicore-servicerequest",
        status="active",
        intent="order",
        category=[concept("108252007")],
        code=concept("4544-3", "http://loinc.org"),
        authoredOn=MOMENT,
        reasonCode=[concept("17")],
    ),
    "Intervention, Order": resource(
        "ServiceRequest",
        "qicore-servicerequest",
        status="active",
        intent="order",
        code=concept("419553002"),
        authoredOn="2026-02-03",
    ),
    "Intervention, not ordered": resource(
        "ServiceRequest",
        "qicore-servicenotrequested",
        status="active",
        intent="order",
        doNotPerform=True,
        code=concept("419553002"),
        authoredOn="2026-02-03",
        extension=[NOT_ASKED],
    ),
    "Intervention, Recommended": resource(
        "ServiceRequest",
        "qicore-servicerequest",
        status="active",
        intent="plan",
        code=concept("419553002"),
        authoredOn="2026-02-03",
    ),
    "Device, Order": resource(
        "DeviceRequest",
        "qicore-devicerequest",
        status="active",
        intent="order",
        codeCodeableConcept=concept("401608003"),
        authoredOn="2026-02-03",
        reasonCode=[concept("18")],
    ),
    "Device, not ordered": resource(
        "DeviceRequest",
        "qicore-devicenotrequested",
        status="active",
        intent="order",
        codeCodeableConcept=concept("401608003"),
        authoredOn="2026-02-03",
        modifierExtension=[
            {
                "url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-DeviceRequest.doNotPerform",
                "valueBoolean": True,
            }
        ],
        extension=[NOT_ASKED],
    ),
    "Task": resource(
        "Task",
        "qicore-task",
        "for",
        status="completed",
        intent="order",
        code=concept("371530004"),
        authoredOn="2026-02-03",
        executionPeriod=PERIOD,
        basedOn=[{"reference": "ServiceRequest/ServiceRequest-1"}],
    ),
}
# The categories that say which template fits, which an entry then says by its template alone.
BY_TEMPLATE = {"Laboratory Test, Order": ["category[0]"], "Family History": []}


@pytest.mark.parametrize("name", WHOLE)
def test_a_resource_is_carried_by_its_template_without_further_elements(name: str) -> None:
    given = WHOLE[name]
    if name == "Family History":
        given = given | {"condition": [{"code": concept("22298006")}]}
    written = write_document([PATIENT, given], settings())
    of_patient, of_resource = written.entries
    assert (of_patient.as_elements, of_patient.lost) == ((), ())
    assert list(of_resource.as_elements) == BY_TEMPLATE.get(name, [])
    assert of_resource.lost == ()
    assert findings(written.data) == []
    document = read_document(written.data)
    assert document.not_mapped == ()
    assert comparable([document.patient, *document.resources]) == comparable([PATIENT, given])


def test_every_datatype_that_is_written_is_among_these() -> None:
    tried = {(one.name, one.resource) for one in map(datatype_of, WHOLE.values()) if one}
    written = {
        (one.name, one.resource)
        for one in all_datatypes()
        if any(datatype_of(candidate) is one for candidate in _candidates(one.resource))
    }
    assert tried >= written - {("Family History", "FamilyMemberHistory")}


def _candidates(kind: str) -> list[dict[str, Any]]:
    categories = ("", "laboratory", "vital-signs", "imaging", "survey", "discharge", "108252007")
    return [
        {"resourceType": kind, "intent": intent, "category": [concept(one)], "condition": [{}]}
        for one in categories
        for intent in ("order", "plan")
        if not (one == "108252007" and intent == "plan")
        and not (kind == "DeviceRequest" and intent == "plan")
    ]


def test_what_a_template_requires_and_the_record_has_not_is_told() -> None:
    order = resource(
        "ServiceRequest", "qicore-servicerequest", status="active", intent="order", code=concept("1")
    )
    written = write_document([PATIENT, order], settings())
    assert written.entries[1].filled == ("authoredOn: the document's time",)
    assert findings(written.data) == []
    assert "authoredOn" not in read_document(written.data).resources[0]


def test_what_no_template_carries_is_itemized_and_with_the_templates_alone_lost() -> None:
    given = WHOLE["Intervention, Order"] | {
        "priority": "asap",
        "note": [{"text": "by mail"}],
        "text": {"div": "-"},
    }
    device = {"resourceType": "Device", "id": "d", "status": "active"}
    carried = write_document([PATIENT, given, device], settings())
    assert carried.entries[1].as_elements == ("priority", "note[0].text")
    assert carried.entries[1].lost == ("text",)
    assert (carried.entries[2].datatype, carried.entries[2].as_elements) == (None, ("status",))
    alone = write_document([PATIENT, given, device], settings(elements=False))
    assert alone.entries[1].lost == ("priority", "note", "text")
    assert alone.entries[2].lost == ("status",)
    assert [one["resourceType"] for one in read_document(alone.data).resources] == ["ServiceRequest"]
    assert findings(carried.data) == findings(alone.data) == []


def test_codes_of_systems_without_oid_keep_their_system() -> None:
    odd = concept("a1", "https://example.org/codes") | {"text": "an odd code"}
    given = WHOLE["Intervention, Order"] | {"code": odd}
    written = write_document([PATIENT, given], settings())
    assert findings(written.data) == []
    assert read_document(written.data).resources[0]["code"] == odd


def test_equal_records_make_equal_documents() -> None:
    records = [PATIENT, *WHOLE.values()]
    assert write_document(records, settings()).data == write_document(records, settings()).data
    assert AT[:4].encode() in write_document(records, settings()).data


def test_records_in_no_shape_of_fhir_are_written_and_what_can_be_restored_is(ecqm_dir: object) -> None:
    chance = random.Random(20261122)  # noqa: S311
    odd: list[Any] = [
        None,
        "",
        "x y",
        5,
        True,
        [],
        {},
        ["a"],
        {"a": 1},
        {"coding": "x"},
        "\x01",
        [[1]],
        "<&>",
    ]
    given = list(cases("CMS22FHIRPCSBPScreeningFollowUp"))
    for case in given * 3:
        resources = case["resources"]
        for _ in range(3):
            _spoil(chance.choice(resources), chance, odd)
        written = write_document(resources, settings())
        document = read_document(written.data)
        etree.fromstring(written.data)
        lost = {one.reference for one in written.entries if one.lost}
        for one in document.resources:
            reference = f"{one['resourceType']}/{one.get('id')}"
            if reference not in lost:
                original = next(r for r in resources if f"{r['resourceType']}/{r.get('id')}" == reference)
                assert comparable([_pruned(one)]) == comparable([_pruned(original)])


def _spoil(resource: dict[str, Any], chance: random.Random, odd: list[Any]) -> None:
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, part in list(value.items() if isinstance(value, dict) else enumerate(value)):
            if key not in ("resourceType", "id"):
                places.append((value, key))
            if isinstance(part, dict | list):
                walk(part)

    walk(resource)
    holder, key = chance.choice(places)
    holder[key] = chance.choice(odd)


def _pruned(value: Any) -> Any:
    """Without what is empty, which FHIR has no place for and no element carries."""
    if isinstance(value, dict):
        parts = {name: _pruned(part) for name, part in value.items()}
        return {name: part for name, part in parts.items() if part not in (None, "", [], {})}
    if isinstance(value, list):
        return [part for part in map(_pruned, value) if part not in (None, "", [], {})]
    return value
