"""Work in processes that are ended when they hang, crash or want too much memory; documents from archives."""

from __future__ import annotations

import os
import signal
import time
import zipfile
from pathlib import Path

import pytest

from measurewise.engine.errors import MeasurewiseError
from measurewise.qrda.category3.reading import SIZE_LIMIT, UnreadableXmlError, read_xml
from measurewise.qrda.validation.judging import Converting, Validating, given_up
from measurewise.qrda.validation.rule_files import SCHEMA_FOLDER, SCHEMATRON_FOLDER, RuleFilesError
from measurewise.qrda.validation.sources import ENTRY_LIMIT, Source, sources
from measurewise.qrda.validation.workers import Ended, Workers

HANGING = """<schema xmlns="http://purl.oclc.org/dsdl/schematron">
<!--
CMS 2025 QRDA Category III
-->
<pattern id="p"><rule context="a">
<assert id="slow" test="count(//a[count(//a[count(//a) > 1]) > 1]) = 0">x</assert>
</rule></pattern></schema>"""


def _work(order: str) -> object:
    if order == "hang":
        time.sleep(60)
    if order == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "hoard":
        return len(bytearray(4 * 1024**3))
    if order == "refuse":
        raise MeasurewiseError("no.", where="here")
    return order.upper()


def test_results_come_in_order_and_processes_are_replaced() -> None:
    orders = ["a", "hang", "b", "crash", "c", "hoard", "d", *"efghijk"]
    with Workers(_work, count=2, time_limit=1) as workers:
        results = list(workers.each(orders))
    assert results == [
        "A",
        Ended("time"),
        "B",
        Ended("crash"),
        "C",
        Ended("memory"),
        "D",
        *"EFGHIJK",
    ]


def test_what_a_process_refuses_is_raised_and_the_processes_end() -> None:
    with Workers(_work, count=2, time_limit=5) as workers:
        with pytest.raises(MeasurewiseError, match="here: no"):
            list(workers.each(["a", "refuse", "b"]))
        assert workers.process_ids == []


def test_a_transform_that_hangs_is_ended_and_told(tmp_path: Path) -> None:
    (tmp_path / "hanging.sch").write_text(HANGING)
    (tmp_path / "CDA_SDTC.xsd").write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="a"/></xs:schema>'
    )
    document = tmp_path / "large.xml"
    document.write_text("<a>" + "<a/>" * 50_000 + "</a>")
    (source,) = sources(document)
    asked = Validating(schematron_folder=tmp_path, schema_folder=tmp_path, year=2025)
    started = time.monotonic()
    with Workers(asked, time_limit=2) as workers:
        answer = workers.one(source)
    assert time.monotonic() - started < 20
    assert answer == Ended("time")
    told = given_up(source, answer)
    assert (told["status"], told["findings"][0]["stage"]) == ("ERR", "time")
    assert "longer" in told["findings"][0]["message"]


def test_a_zip_bomb_is_read_up_to_the_limit_only(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.xml", "w") as stream:
        for _ in range(200):
            stream.write(b" " * 1024 * 1024)
    assert bomb.stat().st_size < 1024 * 1024
    (source,) = sources(bomb)
    assert source.name.endswith("bomb.zip!a.xml")
    data = source.read()
    assert len(data) == SIZE_LIMIT + 1
    with pytest.raises(UnreadableXmlError, match="more than"):
        read_xml(data)
    answer = Converting()(source)
    assert (answer["status"], answer["codes"]) == ("ERR", (2,))


def test_an_archive_gives_its_xml_files_and_nothing_else(tmp_path: Path) -> None:
    packed = tmp_path / "reports.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../b.xml", "<b/>")
        archive.writestr("in/a.XML", "<a/>")
        archive.writestr("notes.txt", "no")
        archive.writestr("inner.zip", "PK")
    found = sources(packed)
    assert [one.entry for one in found] == ["../b.xml", "in/a.XML"]
    assert [one.read() for one in found] == [b"<b/>", b"<a/>"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reports.zip"]


@pytest.mark.parametrize(
    ("entries", "said"),
    [([], "no .xml file"), ([f"{number}.xml" for number in range(ENTRY_LIMIT + 1)], "more than")],
)
def test_an_archive_of_nothing_or_too_much_is_refused(entries: list[str], said: str, tmp_path: Path) -> None:
    packed = tmp_path / "reports.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in entries:
            archive.writestr(name, "")
    with pytest.raises(MeasurewiseError, match=said):
        sources(packed)


def test_a_broken_archive_is_refused_and_a_file_that_cannot_be_read_has_an_answer(tmp_path: Path) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(MeasurewiseError, match="cannot be read"):
        sources(broken)
    answer = Converting()(Source(tmp_path / "gone.xml", None, 0))
    assert (answer["status"], answer["codes"]) == ("ERR", (2,))


def test_checks_without_rules_are_left_out_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCHEMATRON_FOLDER, raising=False)
    monkeypatch.delenv(SCHEMA_FOLDER, raising=False)
    path = tmp_path / "a.xml"
    path.write_text("<a/>")
    answer = Validating()(Source(path, None, 4))
    assert [one["stage"] for one in answer["notChecked"]] == ["schema", "schematron"]
    assert all("https://" in one["mend"] for one in answer["notChecked"])
    assert (answer["status"], answer["codes"]) == ("ERR", (5,))
    with pytest.raises(RuleFilesError, match="no QRDA schematron"):
        Validating(schematron_folder=tmp_path)(Source(path, None, 4))
    monkeypatch.setenv(SCHEMA_FOLDER, str(tmp_path))
    with pytest.raises(RuleFilesError, match="CDA_SDTC"):
        Validating(schema_folder=tmp_path)(Source(path, None, 4))
