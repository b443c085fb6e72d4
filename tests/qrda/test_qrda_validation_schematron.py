"""Translated schematrons tell what lxml's own ISO Schematron tells, and what CMS's files are known for."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cms_pairs import cms_pairs
from lxml import etree, isoschematron
from shared_inputs import SHARED, needs

from measurewise.qrda.category3.reading import path_of, read_xml
from measurewise.qrda.validation import RuleFilesError, schematron, validate
from measurewise.qrda.validation.schematron_translation import translate

QRDA = SHARED / "qrda"
needs_rules = needs("qrda")
CATEGORY_3 = [
    QRDA / "category3" / "schematron" / f"PY{year}" / "EP_CAT_III.sch" for year in (2023, 2024, 2025)
]
CATEGORY_1 = [
    QRDA / "category1" / "schematron" / "HL7-STU-5.3" / "HL7-QRDA-I.sch",
    QRDA / "category1" / "schematron" / "CMS-2026" / "CMS-QRDA-I.sch",
]
SAMPLE_1 = QRDA / "category1" / "samples" / "2026-CMS-QRDA-I-v1.0-Hybrid-CCDE-Sample-File.xml"
SVRL = {"svrl": "http://purl.oclc.org/dsdl/svrl"}


@cache
def _pairs() -> dict[str, bytes]:
    return cms_pairs()


def _manifest() -> list[dict[str, Any]]:
    entries = json.loads(_pairs()["manifest.json"])
    return [one for one in entries if one["performanceYear"] != 2022 and one["schematron_errors"] is not None]


@cache
def _iso(path: Path) -> etree.XSLT:
    """lxml's own way from a schematron to a transform, with voc.xml named absolutely."""
    text = path.read_text("utf-8").replace("'voc.xml'", f"'{(path.parent / 'voc.xml').as_uri()}'")
    made = isoschematron.Schematron(etree.fromstring(text.encode()), store_xslt=True, store_report=True)
    return etree.XSLT(made.validator_xslt)


def _told_by_iso(path: Path, root: etree._Element) -> Counter[tuple[str | None, str]]:
    report = _iso(path)(root.getroottree())
    return Counter(
        (failed.get("id"), path_of(root.getroottree().xpath(failed.get("location"))[0]))
        for failed in report.xpath("//svrl:failed-assert", namespaces=SVRL)
    )


def _told(path: Path, root: etree._Element) -> Counter[tuple[str | None, str]]:
    broken = list(schematron.compiled(path, warnings=True).broken(root))
    return Counter((one.assertion.id, path_of(one.at)) for one in broken)


def _spoilt(root: etree._Element, chance: random.Random) -> None:
    """Take elements and attributes away, and put others in their place, here and there."""
    for element in list(root.iter("{*}*"))[1:]:
        drawn = chance.random()
        if drawn < 0.02 and element.getparent() is not None:
            element.getparent().remove(element)
        elif drawn < 0.06 and element.attrib:
            name = chance.choice(sorted(element.attrib))
            del element.attrib[name]
        elif drawn < 0.10 and element.attrib:
            element.set(chance.choice(sorted(element.attrib)), chance.choice(["", "x", "1", "2020-12-01"]))
        elif drawn < 0.11 and element.getparent() is not None:
            element.addnext(etree.fromstring(etree.tostring(element)))


@needs_rules
@pytest.mark.parametrize("path", CATEGORY_3, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("seed", range(5))
def test_spoilt_reports_are_told_the_same_as_by_iso_schematron(path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # nothing secret
    small = sorted(
        (name for name, data in _pairs().items() if name.endswith(".xml") and 20_000 < len(data) < 60_000),
    )
    root = read_xml(_pairs()[chance.choice(small)])
    _spoilt(root, chance)
    told = _told(path, root)
    assert told
    assert told == _told_by_iso(path, root)


@needs_rules
@pytest.mark.parametrize("path", CATEGORY_1, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("seed", range(2))
def test_spoilt_patients_are_told_the_same_as_by_iso_schematron(path: Path, seed: int) -> None:
    root = read_xml(SAMPLE_1.read_bytes())
    _spoilt(root, random.Random(seed))  # noqa: S311  # nothing secret
    told = _told(path, root)
    assert len(told) > 100
    assert told == _told_by_iso(path, root)


@needs_rules
def test_the_errors_known_of_cms_files_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    """The manifest says of 129 files how often each assertion of the year's schematron fails."""
    entries = _manifest()
    agreeing = 0
    for entry in entries:
        path = QRDA / "category3" / "schematron" / f"PY{entry['performanceYear']}" / "EP_CAT_III.sch"
        broken = schematron.compiled(path, warnings=False).broken(read_xml(_pairs()[entry["file"]]))
        agreeing += Counter(one.assertion.id for one in broken) == Counter(entry["schematron_errors"])
    with capsys.disabled():
        known = sum(sum(entry["schematron_errors"].values()) for entry in entries)
        print(
            f"\nSchematron: same failed assertions on {agreeing} of {len(entries)} CMS files "
            f"({known} failures)"
        )
    assert (agreeing, len(entries)) == (129, 129)


@needs_rules
def test_validation_takes_no_longer_than_lxmls_transform_alone(capsys: pytest.CaptureFixture[str]) -> None:
    sample = QRDA / "category3" / "samples" / "2025MIPSAPPGroupSampleQRDA-III-v1.0.xml"
    data = sample.read_bytes()
    tree = etree.fromstring(data).getroottree()

    def ours() -> None:
        validate(data, kind="qrda3", schematron_folder=QRDA, xsd_folder=QRDA)

    ours()
    transform = _iso(CATEGORY_3[2])
    theirs, own = _least(lambda: transform(tree)), _least(ours)
    with capsys.disabled():
        print(f"\nSchema, schematron and places: {own / theirs:.2f} of the time of lxml's transform")
    assert own <= 1.2 * theirs


def _least(work: Callable[[], object]) -> float:
    """Processor seconds, the least of three."""
    times = []
    for _ in range(3):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


SMALL = """<schema xmlns="http://purl.oclc.org/dsdl/schematron"><ns prefix="c" uri="urn:hl7-org:v3"/>
<phase id="warnings"><active pattern="w"/></phase>
<let name="wanted" value="'here'"/>
<pattern id="e">
 <let name="n" value="count(//c:b)"/>
 <rule context="c:b[@first]">
  <let name="m" value="$n + 1"/>
  <assert id="first" test="$m = 1">never</assert>
 </rule>
 <rule context="c:b">
  <assert id="second" test=". = $wanted or . = '$n'">A <emph>b</emph> is here.</assert>
 </rule>
</pattern>
<pattern id="x">
 <let name="n" value="'other'"/>
 <rule context="c:b/@at | c:c/text() | c:*[c:e]"><assert id="any" test="$n != 'other'">no</assert></rule>
</pattern>
<pattern id="w"><rule context="/c:a"><assert id="soft" test="false()">should</assert></rule></pattern>
</schema>"""
DOCUMENT = """<a xmlns="urn:hl7-org:v3"><!-- x --><b first="1">here</b><b at="2">here</b><b>$n</b><b>there</b>
<d><e/><c>text</c></d></a>"""


def test_rules_take_the_first_context_that_fits_and_patterns_keep_their_own_variables(tmp_path: Path) -> None:
    path = tmp_path / "small.sch"
    path.write_text(SMALL)
    root = read_xml(DOCUMENT.encode())
    broken = list(schematron.compiled(path, warnings=True).broken(root))
    names = [(one.assertion.id, etree.QName(one.at).localname, one.assertion.warning) for one in broken]
    assert names == [
        ("first", "b", False),
        ("second", "b", False),
        ("any", "b", False),
        ("any", "d", False),
        ("any", "c", False),
        ("soft", "a", True),
    ]
    assert broken[1].at.text == "there"
    assert broken[1].assertion.text == "A b is here."
    assert [one.assertion.id for one in schematron.compiled(path, warnings=False).broken(root)][-1] == "any"


@pytest.mark.parametrize("name", ["include", "extends", "param"])
def test_what_is_not_translated_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "other.sch"
    path.write_text(SMALL.replace("<pattern", f"<{name}/><pattern", 1))
    with pytest.raises(RuleFilesError, match=f"sch:{name}"):
        schematron.compiled(path, warnings=False)


def test_a_schematron_reads_no_file_but_those_beside_it(tmp_path: Path) -> None:
    translation = translate(etree.fromstring(SMALL.encode()), warnings=False)
    assert translation.assertions
    path = tmp_path / "reaching.sch"
    path.write_text(SMALL.replace("$m = 1", "document('http://192.0.2.1/x.xml')"))
    with pytest.raises(etree.XSLTApplyError):
        list(schematron.compiled(path, warnings=False).broken(read_xml(DOCUMENT.encode())))
