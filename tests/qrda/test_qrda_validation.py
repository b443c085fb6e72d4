"""Documents held to the CDA schema and to the schematrons of HL7 and CMS."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from measurewise.qrda.validation import validate, validate_category1

SHARED = Path(__file__).parents[3] / "shared" / "qrda"
pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason="schematrons and schema are not there: expected in ../shared/qrda"
)
FOLDERS = {"schematron_folder": SHARED, "xsd_folder": SHARED}


def _sample() -> bytes:
    return (SHARED / "category3" / "samples" / "2025MIPSAPPGroupSampleQRDA-III-v1.0.xml").read_bytes()


def test_the_official_sample_differs_from_the_last_guide_in_its_document_template_only() -> None:
    (found,) = validate(_sample(), kind="qrda3", **FOLDERS)
    assert (found.stage, found.rule, found.source) == ("schematron", "a-CMS_1-error", "CMS 2025 QRDA III")


def test_the_official_hospital_sample_of_category_1_is_in_order() -> None:
    sample = SHARED / "category1" / "samples" / "2026-CMS-QRDA-I-v1.0-Sample-File.xml"
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
