"""Files that mean harm or are no XML at all get an answer, quickly and without being followed."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from measurewise.qrda.category3.conversion import convert, convert_file
from measurewise.qrda.category3.reading import UnreadableXmlError, read_xml
from measurewise.qrda.validation import validate

BOMB = b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %s "%s">' % (bytes([98 + level]), b"&%s;" % bytes([97 + level]) * 10) for level in range(9)
)


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("report.xml", b"<a>" + b"0" * 1_000_000 + b"</a>")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (BOMB + b"]><r>&j;</r>", "the file"),
        (BOMB + b']><r x="&j;"/>', "the file"),
        (b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>', "document type"),
        (b'<!DOCTYPE r SYSTEM "http://192.0.2.1/r.dtd"><r/>', "document type"),
        (b"<a>" * 150 + b"</a>" * 150, "levels deep"),
        (b"<a>" * 100_000, "not well-formed"),
        (b'<?xml version="1.0" encoding="UTF-8"?><a>\xff\xfe\xe9</a>', "not well-formed"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "encoding no-such"),
        (b'<?xml version="1.0" encoding="UTF-7"?><a>+AGEAYg-</a>', "encoding UTF-7"),
        ('<?xml version="1.0" encoding="UTF-32"?><a/>'.encode("utf-32"), "encoding UTF-32"),
        ('<?xml version="1.0" encoding="IBM037"?><a/>'.encode("cp037"), "not well-formed"),
        ('<?xml version="1.0" encoding="UTF-16"?><a>é</a>'.encode(), "not well-formed"),
        (b"<a>" * 101 + b"</a>" * 101, "levels deep"),
        (b"<r>" + b"<a/>" * 2_000_000 + b"</r>", "elements and attributes"),
        (b"<r>" + b'<a b="" c="" d=""/>' * 500_000 + b"</r>", "elements and attributes"),
        (b"<r>" + b"x" * 20_000_000 + b"</r>", "not well-formed"),
        (b'<r a="' + b"x" * 20_000_000 + b'"/>', "not well-formed"),
        (_zip(), "archive"),
        (gzip.compress(b"<a/>"), "archive"),
        (b"", "not well-formed"),
        (b"not xml", "not well-formed"),
    ],
)
def test_what_cannot_be_read_safely_is_refused_with_a_reason(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableXmlError, match=said):
        read_xml(data)
    answer = convert(data)
    assert (answer.status, answer.codes, answer.qpp) == ("ERR", (2,), None)
    assert said in answer.errors[0].finding.message


def test_a_file_of_200_megabytes_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "large.xml"
    with path.open("wb") as stream:
        stream.truncate(200 * 1024 * 1024)
    answer = convert_file(path)
    assert answer.codes == (2,)
    assert "bytes" in answer.errors[0].finding.message


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "ISO-8859-1", "windows-1252"])
def test_the_encodings_of_ehr_exports_are_read(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><a b="é"/>'
    assert read_xml(text.encode(encoding)).get("b") == "é"


def test_a_hundred_levels_are_read() -> None:
    assert read_xml(b"<a>" * 100 + b"</a>" * 100).tag == "a"


HARMFUL = """
import resource, sys
from measurewise.qrda.category3.conversion import convert
floods = {
    "elements": b"<r>" + b"<a/>" * 1_999_000 + b"</r>",
    "attributes": b"<r>" + b'<a b="" c="" d=""/>' * 499_000 + b"</r>",
    "names": b"<r>" + b"".join(b"<a%d/>" % number for number in range(1_999_000)) + b"</r>",
    "too many": b"<r>" + b"<a/>" * 16_000_000 + b"</r>",
    "entities": b'<!DOCTYPE r [<!ENTITY a "' + b"a" * 100_000 + b'">]><r>' + b"&a;" * 100_000 + b"</r>",
}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
answer = convert(floods[sys.argv[1]])
print(answer.codes, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_hundred_thousand_errors_are_told_in_seconds() -> None:
    count = '<observation><templateId root="2.16.840.1.113883.10.20.27.3.16"/></observation>'
    data = (
        '<ClinicalDocument xmlns="urn:hl7-org:v3"><templateId root="2.16.840.1.113883.10.20.27.1.2" '
        'extension="2024-12-01"/><section><templateId root="2.16.840.1.113883.10.20.27.2.3"/>'
        f'<organizer><templateId root="2.16.840.1.113883.10.20.27.3.17"/>{count * 100_000}'
        "</organizer></section></ClinicalDocument>"
    ).encode()
    started = time.process_time()
    answer = convert(data)
    assert time.process_time() - started < 30
    assert (answer.status, answer.codes) == ("ERR", (24, 32, 52, 82, 95))
    assert len(answer.errors) == 10_000
    assert answer.errors[-1].path.endswith("]")


@pytest.mark.parametrize(
    ("flood", "codes"),
    [
        ("elements", "(5,)"),
        ("attributes", "(5,)"),
        ("names", "(5,)"),
        ("too many", "(2,)"),
        ("entities", "(2,)"),
    ],
)
def test_floods_take_half_a_gigabyte_at_most(flood: str, codes: str) -> None:
    command = [sys.executable, "-c", HARMFUL, flood]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    told, megabytes = done.stdout.rsplit(" ", 1)
    assert told == codes
    assert int(megabytes) < 512


NAMING = """<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:x {}">
<b xmlns="urn:x"/></a>"""
OPEN = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="a"><xs:complexType>
<xs:sequence><xs:any namespace="##other" processContents="strict"/></xs:sequence>
<xs:anyAttribute namespace="##any" processContents="skip"/></xs:complexType></xs:element></xs:schema>"""
OTHER = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:x">
<xs:element name="b"/></xs:schema>"""


def test_a_schema_that_the_document_names_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "CDA_SDTC.xsd").write_text(OPEN)
    (tmp_path / "other.xsd").write_text(OTHER)
    document = NAMING.format((tmp_path / "other.xsd").as_uri()).encode()
    (tmp_path / "own.sch").write_text(
        '<schema xmlns="http://purl.oclc.org/dsdl/schematron"><!--\nCMS 2025 QRDA Category III\n--></schema>'
    )
    (found,) = validate(document, kind="qrda3", schematron_folder=tmp_path, xsd_folder=tmp_path)
    assert (found.stage, found.line, found.column) == ("schema", 2, 1)
