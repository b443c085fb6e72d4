"""Official cases written as QRDA I and read again: valid, the same records, the same populations."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from category1_records import cases, comparable, findings, settings

from measurewise.engine import Content, Engine, Prepared, Record, load_content
from measurewise.qrda.category1.document import CmsHospital, write_document
from measurewise.qrda.category1.export import measure_reference, value_sets_of
from measurewise.qrda.category1.reading import read_document

# The measures of eligible clinicians that have cases, with the number of these.
CLINICIANS = {
    "CMS1056CTClinicalFHIR": 10,
    "CMS117FHIRChildhoodImmunizationStatus": 10,
    "CMS122FHIRDiabetesAssessGreaterThan9Percent": 56,
    "CMS124FHIRCervicalCancerScreening": 33,
    "CMS125FHIRBreastCancerScreening": 66,
    "CMS130FHIRColorectalCancerScreening": 64,
    "CMS133FHIRCataracts2040BCVAwithin90Days": 73,
    "CMS135FHIRHFACEIorARBorARNIforLVSD": 35,
    "CMS142FHIRDRCommunicationWithPhysicianManagingDiabetes": 32,
    "CMS143FHIRPOAGOpticNerveEvaluation": 31,
    "CMS145FHIRCADBetaBlockerTherapyPriorMIorLVSD": 51,
    "CMS149FHIRDementiaCognitiveAssessment": 32,
    "CMS155FHIRWeightAssessandCounselforKids": 10,
    "CMS159FHIRDepressionRemissionatTwelveMonths": 67,
    "CMS165FHIRControllingHighBloodPressure": 68,
    "CMS22FHIRPCSBPScreeningFollowUp": 43,
    "CMS349FHIRHIVScreening": 36,
    "CMS50FHIRCRLReceiptofSpecialistReport": 33,
    "CMS645FHIRBoneDensityProstateCancerAndrogenDeprivationTherapy": 49,
    "CMS68FHIRDocumentationofCurrentMedications": 19,
    "CMS69FHIRPCSBMIScreenAndFollowUp": 62,
    "CMS74FHIRPrimaryCariesPreventionasOfferedbyDentists": 20,
    "CMS75FHIRChildrenWhoHaveDentalDecayOrCavities": 20,
    "CMS771FHIRUrinarySymptomScoreChangeBenignProstaticHyperplasia": 31,
    "OncologyPainIntensityQuantifiedFHIR": 10,
}


@pytest.fixture(scope="module")
def content(ecqm_dir: Path) -> Content:
    return load_content(ecqm_dir / "measures", ecqm_dir / "libraries", ecqm_dir / "valuesets.ndjson.gz")


@pytest.fixture(scope="module")
def engine(content: Content) -> Engine:
    return Engine(content, missing_valuesets="empty")


def _results(prepared: Prepared, resources: list[dict[str, Any]]) -> Any:
    (result,) = prepared.evaluate(Record(resources))
    return [
        (
            group.counts,
            [[(one.value, one.unit) for one in observed] for observed in group.observations],
            [[(one.values, one.counts) for one in strata] for strata in group.strata],
        )
        for group in result.groups
    ]


@pytest.mark.parametrize("measure", CLINICIANS)
def test_the_cases_of_a_measure_give_the_same_populations_after_qrda_1(
    measure: str, engine: Engine, content: Content
) -> None:
    prepared: dict[str, Prepared] = {}
    named: dict[str, Any] = {}
    counted: Counter[str] = Counter()
    for case in cases(measure):
        told = case["expected"][0]["period"]
        period = f"{told['start'][:10]}/{told['end'][:10]}"
        if period not in prepared:
            prepared[period] = engine.prepare(measure, period=period)
            definition = prepared[period].measures[0]
            named = {
                "measures": (measure_reference(definition, content, int(period[:4])),),
                "value_sets": value_sets_of(definition, content),
            }
        written = write_document(case["resources"], settings(period=tuple(period.split("/")), **named))
        document = read_document(written.data)
        restored = [document.patient, *document.resources]
        counted["cases"] += 1
        counted["valid"] += not findings(written.data)
        counted["same record"] += comparable(restored) == comparable(case["resources"])
        counted["same populations"] += _results(prepared[period], restored) == _results(
            prepared[period], case["resources"]
        )
        counted["all mapped"] += not document.not_mapped
    print(f"\n{measure:62} {counted['cases']:4} cases, {counted['same populations']:4} equal")
    number = CLINICIANS[measure]
    assert counted == {
        "cases": number,
        "valid": number,
        "same record": number,
        "same populations": number,
        "all mapped": number,
    }


def test_codes_carry_the_value_sets_that_retrieves_name(content: Content, engine: Engine) -> None:
    measure = "CMS122FHIRDiabetesAssessGreaterThan9Percent"
    definition = engine.prepare(measure, period="2026").measures[0]
    sets = value_sets_of(definition, content)
    case = next(one for one in cases(measure) if one["id"].startswith("fccb9758"))
    data = write_document(case["resources"], settings(value_sets=sets)).data
    assert b'code="99386"' in data
    assert b'sdtc:valueSet="2.16.840.1.113883.3.464.1003.101.12.1023"' in data
    assert not findings(data)


@pytest.mark.parametrize(
    "measure", ["CMS22FHIRPCSBPScreeningFollowUp", "CMS142FHIRDRCommunicationWithPhysicianManagingDiabetes"]
)
def test_the_templates_alone_are_valid_and_tell_what_they_lose(measure: str, ecqm_dir: Path) -> None:
    for case in cases(measure):
        written = write_document(case["resources"], settings(elements=False))
        assert not findings(written.data)
        document = read_document(written.data)
        assert not document.not_mapped
        kinds = {one["resourceType"] for one in document.resources}
        lost = {one.reference.partition("/")[0] for one in written.entries if one.datatype is None}
        assert not kinds & lost
        assert kinds | lost | {"Patient"} == {one["resourceType"] for one in case["resources"]}


@pytest.mark.parametrize("measure", ["CMS108FHIRVTEProphylaxis", "CMS506FHIRSafeUseofOpioids"])
def test_cases_of_hospital_measures_follow_cms_guide(measure: str, ecqm_dir: Path) -> None:
    hospital = CmsHospital("800890", "HQR_IQR", "0015HBC1D1EFG1H")
    for case in cases(measure):
        written = write_document(case["resources"], settings(cms=hospital))
        rules = {one.rule for one in findings(written.data)}
        # A patient of whom only a payer is known, or what no QDM datatype asserts (a cancelled encounter),
        # has no entry of the kind that CMS wants.
        empty = {None, "Patient", "Patient Characteristic, Payer"}
        told = {one.datatype for one in written.entries} - empty
        assert rules == (set() if told else {"a-CMS_0051-error"})
        assert b"2.16.840.1.113883.10.20.24.1.3" in written.data
