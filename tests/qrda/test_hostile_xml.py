"""Files that mean harm or are no XML at all get an answer, quickly and without being followed."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from measurewise.qrda.category3.conversion import convert, convert_file
from measurewise.qrda.category3.reading import UnreadableXmlError, read_xml

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
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "not well-formed"),
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


def test_utf_16_is_read() -> None:
    assert read_xml('<?xml version="1.0" encoding="UTF-16"?><a b="é"/>'.encode("utf-16")).get("b") == "é"
