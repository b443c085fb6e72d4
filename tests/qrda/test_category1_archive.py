"""Zips and folders of documents: opened one by one, with limits."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from measurewise.engine.errors import NotFoundError
from measurewise.qrda.category1.archive import documents
from measurewise.qrda.category1.reading import read_document
from measurewise.qrda.category3.reading import SIZE_LIMIT, UnreadableXmlError


def _zip(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(name.replace("_", "."), data)
    return path


def test_a_folder_gives_its_files_and_what_is_in_its_zips(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.xml").write_bytes(b"<a/>")
    (tmp_path / "notes.txt").write_bytes(b"-")
    _zip(tmp_path / "b.zip", b_xml=b"<b/>", c_txt=b"-", d_xml=b"<d/>")
    found = [(Path(one.name).name, one.data, one.error) for one in documents(tmp_path)]
    assert found == [("a.xml", b"<a/>", None), ("b.zip!b.xml", b"<b/>", None), ("b.zip!d.xml", b"<d/>", None)]


def test_a_bomb_is_unpacked_to_the_limit_of_documents_and_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path / "z.zip", bomb_xml=b" " * (SIZE_LIMIT + 5_000_000), good_xml=b"<a/>")
    bomb, good = documents(path)
    assert len(bomb.data) == SIZE_LIMIT + 1
    with pytest.raises(UnreadableXmlError, match="more than the"):
        read_document(bomb.data)
    assert good.data == b"<a/>"


def test_an_archive_that_swells_beyond_measure_is_read_no_further(tmp_path: Path) -> None:
    white = b" " * 30_000_000
    found = list(documents(_zip(tmp_path / "z.zip", **{f"m{number}_xml": white for number in range(8)})))
    assert len(found) == 7
    assert found[-1].error is not None
    assert "far more" in found[-1].error.what
    assert sum(len(one.data) for one in found) <= 200 * 1024 * 1024


def test_archives_that_cannot_be_opened_say_why_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    _zip(tmp_path / "empty.zip", a_txt=b"-")
    _zip(tmp_path / "good.zip", a_xml=b"<a/>")
    broken, empty, good = documents(tmp_path)
    assert broken.error is not None
    assert "cannot be read" in broken.error.what
    assert empty.error is not None
    assert "no .xml file" in empty.error.what
    assert good.data == b"<a/>"


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.zip"):
        with pytest.raises(NotFoundError):
            list(documents(path))
