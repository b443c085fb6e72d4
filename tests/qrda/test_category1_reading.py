"""QRDA I of other systems as FHIR: the official samples, and what documents may do wrong."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from category1_documents import PRESSURE, document
from category1_records import findings, settings
from lxml import etree
from shared_inputs import shared

from measurewise.qrda.category1.document import write_document
from measurewise.qrda.category1.reading import NotQrda1Error, read_document
from measurewise.qrda.category3.reading import UnreadableXmlError

SAMPLES = "category1/samples/2026-CMS-QRDA-I-v1.0"
NAMES = re.compile(r"\*\[local-name\(\) = '(\w+)' and namespace-uri\(\) = '[\w:.-]+'\]")
QICORE = "http://hl7.org/fhir/us/qicore/StructureDefinition/"


def test_the_hospital_sample_is_imported_with_an_itemized_list_of_the_rest() -> None:
    data = (shared("qrda") / f"{SAMPLES}-Sample-File.xml").read_bytes()
    read = read_document(data, "sample")
    assert Counter(one["resourceType"] for one in read.resources) == {
        "ServiceRequest": 14,
        "Observation": 7,
        "MedicationRequest": 5,
        "Condition": 3,
        "DeviceRequest": 3,
        "MedicationAdministration": 3,
        "Procedure": 3,
        "AdverseEvent": 1,
        "AllergyIntolerance": 1,
        "Communication": 1,
        "Coverage": 1,
        "Encounter": 1,
        "FamilyMemberHistory": 1,
        "Goal": 1,
        "Immunization": 1,
        "MedicationDispense": 1,
        "MedicationStatement": 1,
    }
    entries = re.compile(r".*/section/(entry\[\d+\].*)")
    items = {}
    for one in read.not_mapped:
        found = entries.match(NAMES.sub(r"\1", one.path))
        assert found
        items[found[1]] = one.reason
    datatype = "no FHIR element for it in this datatype"
    unknown = "no QDM datatype with FHIR counterpart is known for the templates 2.16.840.1.113883.10.20.24.3."
    assert items == {
        "entry[1]/observation/participant": datatype,
        "entry[4]/observation/entryRelationship": datatype,
        "entry[9]/observation/entryRelationship": datatype,
        "entry[9]/observation/inFulfillmentOf1": datatype,
        "entry[10]/act/inFulfillmentOf1": datatype,
        "entry[17]/observation/participant": datatype,
        "entry[22]": f"{unknown}51",
        "entry[23]/observation/entryRelationship": "no FHIR element for the cause of death",
        "entry[25]": f"{unknown}103",
        "entry[27]/act/entryRelationship": datatype,
        "entry[34]/substanceAdministration/effectiveTime[2]": datatype,
        "entry[35]/substanceAdministration/effectiveTime[2]": datatype,
        "entry[37]/act/entryRelationship/supply/repeatNumber": datatype,
        "entry[37]/act/entryRelationship/supply/entryRelationship": datatype,
        "entry[39]/observation/value": datatype,
        "entry[40]/observation/entryRelationship": datatype,
        "entry[41]/observation/value": datatype,
        "entry[43]/procedure/entryRelationship[1]": datatype,
        "entry[45]/substanceAdministration/effectiveTime[2]": datatype,
        "entry[51]": f"{unknown}154",
        "entry[52]": f"{unknown}170",
    }
    root = etree.fromstring(data)
    assert all(len(root.xpath(one.path)) == 1 for one in read.not_mapped)


def test_the_sample_reads_as_a_person_would_read_it() -> None:
    read = read_document((shared("qrda") / f"{SAMPLES}-Sample-File.xml").read_bytes(), "sample")
    assert read.period == ("2026-01-01", "2026-03-31")
    assert read.measures == ("31f02a2d-aed4-4f19-ac57-6fec60db6232", "e0e4534b-2f7e-4b1d-8431-8fda6932166f")
    assert read.patient["gender"] == "female"
    assert read.patient["birthDate"] == "1985-02-12"
    assert read.patient["deceasedDateTime"] == "2026-02-01T23:05:00"
    by_type: dict[str, list[dict[str, object]]] = {}
    for one in read.resources:
        by_type.setdefault(str(one["resourceType"]), []).append(one)
    not_done = next(one for one in by_type["Procedure"] if one["status"] == "not-done")
    assert not_done["code"] == {
        "text": "None of value set: Comfort Measures",
        "extension": [
            {
                "url": f"{QICORE}qicore-notDoneValueSet",
                "valueCanonical": "http://cts.nlm.nih.gov/fhir/ValueSet/1.3.6.1.4.1.33895.1.3.0.45",
            }
        ],
    }
    assert not_done["statusReason"]["coding"][0]["code"] == "105480006"  # type: ignore[index]
    (encounter,) = by_type["Encounter"]
    assert encounter["period"] == {"start": "2026-02-01T10:30:00", "end": "2026-02-04T15:30:00"}
    reference = encounter["diagnosis"][0]["condition"]["reference"]  # type: ignore[index]
    assert any(f"Condition/{one['id']}" == reference for one in by_type["Condition"])
    assert {len(str(one["id"])) <= 64 for one in read.resources} == {True}


def test_the_hybrid_sample_is_imported_whole() -> None:
    read = read_document((shared("qrda") / f"{SAMPLES}-Hybrid-CCDE-Sample-File.xml").read_bytes(), "hybrid")
    assert read.not_mapped == ()
    assert Counter(one["resourceType"] for one in read.resources) == {
        "Observation": 14,
        "Encounter": 1,
        "Condition": 1,
        "Coverage": 1,
    }


def test_the_samples_written_again_are_valid_and_read_the_same() -> None:
    for name in ("Sample-File", "Hybrid-CCDE-Sample-File"):
        read = read_document((shared("qrda") / f"{SAMPLES}-{name}.xml").read_bytes())
        written = write_document([read.patient, *read.resources], settings())
        assert findings(written.data) == []
        again = read_document(written.data)
        assert again.patient == read.patient
        assert list(again.resources) == list(read.resources)


def test_two_physical_exams_of_one_time_make_a_blood_pressure() -> None:
    read = read_document(
        document(
            PRESSURE.format(id="1.2.1", code="8480-6", time="20260301080000", value="131"),
            PRESSURE.format(id="1.2.2", code="8462-4", time="20260301080000", value="79.5"),
            PRESSURE.format(id="1.2.3", code="8462-4", time="20260302", value="80"),
        )
    )
    systolic, diastolic, _, panel = read.resources
    assert panel["meta"]["profile"] == [
        "http://hl7.org/fhir/us/core/StructureDefinition/us-core-blood-pressure"
    ]
    assert [str(one["valueQuantity"]["value"]) for one in panel["component"]] == ["131", "79.5"]
    assert panel["effectiveDateTime"] == "2026-03-01T08:00:00"
    assert [one["reference"] for one in panel["hasMember"]] == [
        f"Observation/{one['id']}" for one in (systolic, diastolic)
    ]


def test_a_blood_pressure_is_written_for_readers_of_qdm_too_and_read_once() -> None:
    mmhg = {"unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
    pressure = {
        "resourceType": "Observation",
        "id": "bp",
        "status": "final",
        "category": [concept("vital-signs")],
        "code": concept("85354-9"),
        "effectiveDateTime": "2026-03-01",
        "component": [
            {"code": concept(code), "valueQuantity": {"value": value, **mmhg}}
            for code, value in (("8480-6", 131), ("8462-4", 79))
        ],
    }
    data = write_document(
        [{"resourceType": "Patient", "id": "p", "birthDate": "1960"}, pressure], settings()
    ).data
    assert findings(data) == []
    exams = etree.fromstring(data).findall("{*}component//{*}entry/{*}observation")
    assert [(one.find("{*}code").get("code"), one.find("{*}value").get("value")) for one in exams] == [
        ("85354-9", None),
        ("8480-6", "131"),
        ("8462-4", "79"),
    ]
    assert read_document(data).resources == (pressure,)


def concept(code: str) -> dict[str, object]:
    return {"coding": [{"system": "http://loinc.org", "code": code}]}


def test_numbers_beyond_measure_are_not_taken() -> None:
    read = read_document(document(PRESSURE.format(id="1.2.1", code="8480-6", time="2026", value="1e999999")))
    assert [one.get("valueQuantity") for one in read.resources] == [None]


def test_entries_that_share_an_id_and_are_not_alike_are_kept_apart() -> None:
    read = read_document(
        document(*[PRESSURE.format(id="1.2.1", code="8480-6", time="2026", value=n) for n in "12"])
    )
    assert len({one["id"] for one in read.resources}) == 2


def test_a_text_of_another_kind_in_a_fhir_element_is_told_not_obeyed() -> None:
    written = write_document([{"resourceType": "Patient", "id": "p", "active": True}], settings()).data
    spoilt = written.replace(b'code="active"', b'code="active[999999].x"')
    assert spoilt != written
    read = read_document(spoilt)
    assert "active" not in read.patient or isinstance(read.patient["active"], list)
    assert [one.reason for one in read.not_mapped] == ["a FHIR element whose path or value does not fit"]


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (
            b'<!DOCTYPE a [<!ENTITY b "c">]><ClinicalDocument>&b;</ClinicalDocument>',
            UnreadableXmlError,
            "document type",
        ),
        (b"<a>" * 200 + b"</a>" * 200, UnreadableXmlError, "levels deep"),
        (b"PK\x03\x04", UnreadableXmlError, "archive"),
        (b"\xff\xfe<a", UnreadableXmlError, "not well-formed"),
        (b"<a/>", NotQrda1Error, "no patient data section"),
        (b'<ClinicalDocument xmlns="urn:hl7-org:v3"/>', NotQrda1Error, "no patient data section"),
    ],
)
def test_what_is_no_qrda_1_or_means_harm_is_refused(data: bytes, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        read_document(data, "given.xml")


@pytest.mark.parametrize(
    "entry",
    [
        "<entry/>",
        "<entry><observation/></entry>",
        '<entry><observation><templateId root="2.16.840.1.113883.10.20.24.3.59"/></observation></entry>',
        '<entry><act><templateId root="2.16.840.1.113883.10.20.24.3.137"/><effectiveTime/></act></entry>',
        '<entry><encounter><templateId root="2.16.840.1.113883.10.20.24.3.23"/><effectiveTime value="x"/>'
        "</encounter></entry>",
    ],
)
def test_entries_that_tell_nothing_are_listed(entry: str) -> None:
    read = read_document(document(entry))
    assert read.resources == ()
    assert len(read.not_mapped) == 1
