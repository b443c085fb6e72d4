"""Documents held to the CDA schema and to the schematrons of HL7 and CMS."""

from __future__ import annotations

import pytest
from lxml import etree
from shared_inputs import SHARED, needs

from measurewise.qrda.validation import validate, validate_category1
from measurewise.qrda.validation.judging import Validating
from measurewise.qrda.validation.mending import mend_of_assertion
from measurewise.qrda.validation.sources import Source
from measurewise.qrda.validation.workers import Ended, Workers

QRDA = SHARED / "qrda"
pytestmark = needs("qrda")
FOLDERS = {"schematron_folder": QRDA, "xsd_folder": QRDA}


def _sample() -> bytes:
    return (QRDA / "category3" / "samples" / "2025MIPSAPPGroupSampleQRDA-III-v1.0.xml").read_bytes()


def test_the_official_sample_differs_from_the_last_guide_in_its_document_template_only() -> None:
    (found,) = validate(_sample(), kind="qrda3", **FOLDERS)
    assert (found.stage, found.rule, found.source) == ("schematron", "a-CMS_1-error", "CMS 2025 QRDA III")


def test_the_official_hospital_sample_of_category_1_is_in_order() -> None:
    sample = QRDA / "category1" / "samples" / "2026-CMS-QRDA-I-v1.0-Sample-File.xml"
    assert validate_category1(sample.read_bytes(), **FOLDERS) == []


def test_a_finding_names_rule_place_and_mending() -> None:
    data = _sample().replace(b"<realmCode", b"<realmcode", 1)
    found = validate(data, kind="qrda3", **FOLDERS)
    schema = [one for one in found if one.stage == "schema"]
    lines = data.decode().splitlines()
    assert schema
    assert lines[schema[0].line - 1][schema[0].column - 1 :].startswith("<realmcode")
    root = etree.fromstring(data)
    for one in found:
        (element,) = root.xpath(one.path)
        assert element.tag.startswith("{urn:hl7-org:v3}")
        assert one.text
        assert one.mend
        assert one.line
        assert one.column
    realm = next(one for one in found if "realmCode" in one.text and one.stage == "schematron")
    assert realm.mend.startswith("Give this ClinicalDocument exactly one realmCode")
    assert realm.path == "/*[local-name() = 'ClinicalDocument' and namespace-uri() = 'urn:hl7-org:v3']"


@pytest.mark.parametrize(
    ("text", "element", "mend"),
    [
        ("SHALL contain exactly one [1..1] typeId (CONF:1).", "a", "Give this a exactly one typeId."),
        (
            "SHALL contain exactly one [1..1] templateId (CONF:1) such that it SHALL contain exactly one "
            '[1..1] @root="1.2" (CONF:2). SHALL contain exactly one [1..1] @extension="2020" (CONF:3).',
            "templateId",
            'Write this templateId with @root="1.2", @extension="2020".',
        ),
        (
            'This statusCode SHALL contain exactly one [1..1] @code="completed" (CodeSystem: X urn:oid:1.2).',
            "statusCode",
            'Give this statusCode @code="completed".',
        ),
        (
            "SHALL contain at least one [1..*] entry (CONF:1) such that it SHALL contain exactly one "
            "[1..1] Act (identifier: urn:hl7ii:1.2.3:2020-12-01) (CONF:2).",
            "section",
            "Give this section at least one entry with the template 1.2.3 and extension 2020-12-01.",
        ),
        (
            "Data types of CS SHALL have either @code or @nullFlavor but SHALL NOT have both (CONF:1)",
            "realmCode",
            "Give this realmCode one of these and no more: @code or @nullFlavor.",
        ),
    ],
)
def test_a_sentence_says_how_to_mend(text: str, element: str, mend: str) -> None:
    assert mend_of_assertion(text, element) == mend


def test_a_finding_at_an_element_with_a_prefix_of_the_documents_own_has_its_place() -> None:
    strange = b'<x:a xmlns:x="urn:x"><x:b/></x:a><x:a xmlns:x="urn:x"/>'
    data = _sample().replace(b"<realmCode", strange + b"<realmCode", 1)
    (found,) = [one for one in validate(data, kind="qrda3", **FOLDERS) if one.stage == "schema"]
    line = data.decode().splitlines()[found.line - 1]
    assert line[found.column - 1 :].startswith("<x:a")
    (element,) = etree.fromstring(data).xpath(found.path)
    assert element.tag == "{urn:x}a"


def test_validation_of_category_1_is_work_for_processes() -> None:
    sample = QRDA / "category1" / "samples" / "2026-CMS-QRDA-I-v1.0-Sample-File.xml"
    asked = Validating(category="qrda1", schematron_folder=QRDA, schema_folder=QRDA)
    with Workers(asked, count=1) as workers:
        answer = workers.one(Source(sample, None, 0))
    assert not isinstance(answer, Ended)
    assert (answer["status"], answer["findings"], answer["notChecked"]) == ("OK", [], [])
