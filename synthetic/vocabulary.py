"""The codes that synthetic records use: members of the shipped value sets, and a few beside them."""

from __future__ import annotations

from functools import cache
from typing import Any

from measurewise.valuesets import value_set_resources

CANONICAL = "https://measurewise.example"

Coding = dict[str, str]

ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
LOINC = "http://loinc.org"
CVX = "http://hl7.org/fhir/sid/cvx"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
HL7 = "http://terminology.hl7.org/CodeSystem"
LOCAL = f"{CANONICAL}/CodeSystem/local"


def coding(system: str, code: str, display: str) -> Coding:
    """A FHIR Coding."""
    return {"system": system, "code": code, "display": display}


def concept(*codings: Coding, text: str | None = None) -> dict[str, Any]:
    """A FHIR CodeableConcept."""
    whole: dict[str, Any] = {"coding": [dict(each) for each in codings]}
    if text is not None:
        whole["text"] = text
    return whole


@cache
def _value_sets() -> dict[str, tuple[Coding, ...]]:
    return {
        resource["id"]: tuple(
            coding(c["system"], c["code"], c["display"]) for c in resource["expansion"]["contains"]
        )
        for resource in value_set_resources()
    }


def members(value_set: str) -> tuple[Coding, ...]:
    """The codes of a shipped value set, by its id."""
    return _value_sets()[value_set]


def value_set_url(value_set: str) -> str:
    """The canonical URL of a shipped value set, by its id."""
    return f"{CANONICAL}/ValueSet/{value_set}"


AMBULATORY = coding(ACT_CODE, "AMB", "ambulatory")
HOME_HEALTH = coding(ACT_CODE, "HH", "home health")
VIRTUAL = coding(ACT_CODE, "VR", "virtual")
INPATIENT = coding(ACT_CODE, "IMP", "inpatient encounter")
ACUTE = coding(ACT_CODE, "ACUTE", "inpatient acute")
EMERGENCY = coding(ACT_CODE, "EMER", "emergency")

BLOOD_PRESSURE = coding(LOINC, "85354-9", "Blood pressure panel with all children optional")
SYSTOLIC = coding(LOINC, "8480-6", "Systolic blood pressure")
DIASTOLIC = coding(LOINC, "8462-4", "Diastolic blood pressure")
BODY_HEIGHT = coding(LOINC, "8302-2", "Body height")
BODY_WEIGHT = coding(LOINC, "29463-7", "Body weight")
BODY_MASS_INDEX = coding(LOINC, "39156-5", "Body mass index (BMI) [Ratio]")
HEART_RATE = coding(LOINC, "8867-4", "Heart rate")
CREATININE = coding(LOINC, "2160-0", "Creatinine [Mass/volume] in Serum or Plasma")
LDL_CHOLESTEROL = coding(
    LOINC, "13457-7", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation"
)
GLOMERULAR_FILTRATION = coding(
    LOINC,
    "33914-3",
    "Glomerular filtration rate [Volume Rate/Area] in Serum or Plasma by Creatinine-based formula",
)

METFORMIN = coding(RXNORM, "861007", "metformin hydrochloride 500 MG Oral Tablet")
INFLUENZA_VACCINE = coding(CVX, "140", "Influenza, split virus, trivalent, PF")

COMMON_CONDITIONS = (
    coding(ICD_10_CM, "E78.5", "Hyperlipidemia, unspecified"),
    coding(ICD_10_CM, "I10", "Essential (primary) hypertension"),
    coding(ICD_10_CM, "J06.9", "Acute upper respiratory infection, unspecified"),
    coding(ICD_10_CM, "J45.909", "Unspecified asthma, uncomplicated"),
    coding(ICD_10_CM, "K21.9", "Gastro-esophageal reflux disease without esophagitis"),
    coding(ICD_10_CM, "M54.50", "Low back pain, unspecified"),
    coding(ICD_10_CM, "N39.0", "Urinary tract infection, site not specified"),
    coding(ICD_10_CM, "R73.03", "Prediabetes"),
)
REASONS_FOR_STAY = (
    coding(ICD_10_CM, "I21.4", "Non-ST elevation (NSTEMI) myocardial infarction"),
    coding(ICD_10_CM, "I50.9", "Heart failure, unspecified"),
    coding(ICD_10_CM, "J18.9", "Pneumonia, unspecified organism"),
    coding(ICD_10_CM, "N17.9", "Acute kidney failure, unspecified"),
)
PAYERS = (
    (40, coding("https://nahdo.org/sopt", "5", "PRIVATE HEALTH INSURANCE")),
    (35, coding("https://nahdo.org/sopt", "1", "MEDICARE")),
    (20, coding("https://nahdo.org/sopt", "2", "MEDICAID")),
    (5, coding("https://nahdo.org/sopt", "81", "Self-pay")),
)
DISPOSITION = f"{HL7}/discharge-disposition"
HOME = coding(DISPOSITION, "home", "Home")
SKILLED_NURSING = coding(DISPOSITION, "snf", "Skilled nursing facility")
EXPIRED = coding(DISPOSITION, "exp", "Expired")
HOSPICE = coding(DISPOSITION, "hosp", "Hospice")
OTHER_HOSPITAL = coding(DISPOSITION, "other-hcf", "Other healthcare facility")
