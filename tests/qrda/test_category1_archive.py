"""Zips and folders of documents: opened one by one, with limits."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from measurewise.engine.errors import NotFoundError
from measurewise.qrda.category1 import archive
from measurewise.qrda.category1.archive import documents


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
    assert found == [("b.zip!b.xml", b"<b/>", None), ("b.zip!d.xml", b"<d/>", None), ("a.xml", b"<a/>", None)]


def test_a_bomb_is_refused_by_its_ratio_and_the_others_go_on(tmp_path: Path) -> None:
    path = _zip(tmp_path / "z.zip", bomb_xml=b"\0" * 30_000_000, good_xml=b"<a/>")
    bomb, good = documents(path)
    assert bomb.data == b""
    assert bomb.error is not None
    assert "a thousand times" in bomb.error.what
    assert good.data == b"<a/>"


def test_what_a_member_announces_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "SIZE_LIMIT", 1000)
    (one,) = documents(_zip(tmp_path / "z.zip", a_xml=bytes(range(256)) * 8))
    assert one.error is not None
    assert "more than the 1,000 bytes" in one.error.what


def test_archives_that_cannot_be_opened_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x03\x04 and no more")
    empty = _zip(tmp_path / "empty.zip", a_txt=b"-")
    said = [one.error.what for path in (broken, empty) for one in documents(path) if one.error]
    assert len(said) == 2
    assert "cannot be opened" in said[0]
    assert "no .xml file" in said[1]
    monkeypatch.setattr(archive, "MEMBER_LIMIT", 1)
    (crowd,) = documents(_zip(tmp_path / "crowd.zip", a_xml=b"<a/>", b_xml=b"<b/>"))
    assert crowd.error is not None
    assert "more than 1 files" in crowd.error.what


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.zip"):
        with pytest.raises(NotFoundError):
            list(documents(path))
