"""A patient with diabetes, Groups and Parameters, as the tests of DEQM's operations send them."""

from __future__ import annotations

from typing import Any

DIABETES, PRESSURE = "DiabetesGlycemicControl", "HighBloodPressureFollowUp"
URL = "https://measurewise.example/Measure/"
LOINC = "http://loinc.org"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFIED = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"


def patient(identity: str, **more: Any) -> list[dict[str, Any]]:
    """A person of 56 with diabetes, one visit in the year and a haemoglobin A1c of 8.0 %."""
    about = {"subject": {"reference": f"Patient/{identity}"}}
    day = {"start": "2026-03-01T09:00:00Z", "end": "2026-03-01T09:30:00Z"}
    return [
        {
            "resourceType": "Patient", "id": identity, "birthDate": "1970-01-01", "gender": "female", **more,
        },
        {
            "resourceType": "Encounter", "id": f"{identity}-visit", "status": "finished", **about,
            "period": day,
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        },
        {
            "resourceType": "Condition", "id": f"{identity}-diabetes", **about,
            "clinicalStatus": {"coding": [{"system": CLINICAL, "code": "active"}]},
            "verificationStatus": {"coding": [{"system": VERIFIED, "code": "confirmed"}]},
            "category": [{"coding": [{"system": CATEGORY, "code": "problem-list-item"}]}],
            "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E10.10"}]},
            "onsetDateTime": "2020-01-01",
        },
        {
            "resourceType": "Observation", "id": f"{identity}-a1c", "status": "final", **about,
            "category": [{"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory",
            }]}],
            "code": {"coding": [{"system": LOINC, "code": "17856-6"}]},
            "effectiveDateTime": "2026-03-01T09:10:00Z",
            "valueQuantity": {"value": 8.0, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"},
        },
    ]  # fmt: skip


def group(identity: str | None, *members: str) -> dict[str, Any]:
    found: dict[str, Any] = {"resourceType": "Group", "type": "person", "actual": True}
    if identity:
        found["id"] = identity
    if members:
        found["member"] = [{"entity": {"reference": f"Patient/{member}"}} for member in members]
    return found


def parameters(**values: Any) -> dict[str, Any]:
    kinds = {"periodStart": "valueDate", "periodEnd": "valueDate", "reportType": "valueCode"}
    parts = []
    for name, given in values.items():
        for value in given if isinstance(given, list) else [given]:
            key = "resource" if isinstance(value, dict) else kinds.get(name, "valueString")
            parts.append({"name": name, key: value})
    return {"resourceType": "Parameters", "parameter": parts}
