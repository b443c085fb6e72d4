"""Reading files, folders and archives."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile

import pytest

from measurewise.engine.content import load_content
from measurewise.engine.errors import ContentError, NotFoundError

VALUE_SET = {"resourceType": "ValueSet", "url": "http://x/vs", "version": "1", "status": "active"}
MEASURE = {"resourceType": "Measure", "name": "M", "version": "1", "library": ["http://x/Library/A"]}


def test_one_resource_a_file_a_line_or_an_entry(tmp_path, library_of, elm_of, cql_of):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "m.json").write_text(json.dumps(MEASURE))
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(json.dumps(library_of("A", elm=elm_of("A"))).encode()))
    lines = [VALUE_SET, {"resourceType": "CodeSystem", "url": "http://x/cs"}, {"resourceType": "Patient"}]
    (tmp_path / "t.ndjson").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"resource": library_of("B", cql=cql_of("B"))}, {"request": {}}],
    }
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(bundle).encode())
    (tmp_path / "notes.txt").write_text("{")
    (tmp_path / ".hidden.json").write_text("{")
    content = load_content(tmp_path)
    assert [m.name for m in content.measures] == ["M"]
    assert sorted(map(str, content.libraries)) == ["A 1.0.0", "B 1.0.0"]
    assert len(content.value_sets) == 1
    assert len(content.code_systems) == 1
    assert content.notices == ()


def test_bare_cql_and_elm_of_one_file_name_are_one_library(tmp_path, elm_of, cql_of):
    (tmp_path / "A.cql").write_text(cql_of("A"))
    (tmp_path / "A.json").write_text(json.dumps(elm_of("A")))
    (tmp_path / "B.cql").write_text(cql_of("B", "2"))
    (tmp_path / "C.json").write_text(json.dumps(elm_of("C")["library"]))
    a, b, c = sorted(load_content(tmp_path).libraries, key=str)
    assert a.cql is not None
    assert a.tree() is not None
    assert (str(b), b.tree()) == ("B 2", None)
    assert (str(c), c.cql) == ("C 1.0.0", None)


def test_cql_and_elm_in_different_folders_are_one_library_too(tmp_path, elm_of, cql_of):
    for folder, name, text in [("cql", "A.cql", cql_of("A")), ("elm", "A.json", json.dumps(elm_of("A")))]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    (library,) = load_content(tmp_path).libraries
    assert library.cql is not None
    assert library.elm_json is not None


def test_archives_are_read_without_unpacking_them_to_disk(tmp_path, cql_of):
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("measure.json", json.dumps(MEASURE))
        archive.writestr("../../outside.cql", cql_of("A"))
        archive.writestr("readme.html", "<html>")
    with tarfile.open(tmp_path / "v.tgz", "w:gz") as archive:
        data = json.dumps(VALUE_SET).encode()
        member = tarfile.TarInfo("package/vs.json")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    content = load_content(tmp_path)
    assert [m.name for m in content.measures] == ["M"]
    assert [str(library) for library in content.libraries] == ["A 1.0.0"]
    assert len(content.value_sets) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.zip", "v.tgz"]


def test_json_that_ends_early_is_refused_with_file_and_line(tmp_path):
    text = json.dumps(MEASURE, indent=1)
    (tmp_path / "m.json").write_text(text[: text.index('"library"') + 3])
    with pytest.raises(ContentError) as caught:
        load_content(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'm.json'}, line 5, column 5: the JSON ends early. Copy or download the file again."
    )


def test_json_that_is_broken_is_refused_with_file_and_line(tmp_path):
    (tmp_path / "m.json").write_text('{\n "resourceType": "Measure",\n "name": oops\n}')
    with pytest.raises(ContentError, match=r"m\.json, line 3, column 10: the JSON cannot be read"):
        load_content(tmp_path)
    (tmp_path / "m.json").unlink()
    (tmp_path / "v.ndjson").write_text(json.dumps(VALUE_SET) + '\n{"resourceType": "Val')
    with pytest.raises(ContentError, match=r"v\.ndjson, line 2, column 22: the JSON ends early"):
        load_content(tmp_path)


def test_an_attribute_of_the_wrong_type_is_refused_with_the_entry(tmp_path):
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Library", "name": 5}}]}
    (tmp_path / "b.json").write_text(json.dumps(bundle))
    with pytest.raises(ContentError, match=r"b\.json, entry 1: .*\$\.name"):
        load_content(tmp_path)


def test_compressed_data_that_end_early_or_are_none_are_refused(tmp_path):
    packed = gzip.compress(json.dumps(MEASURE).encode())
    (tmp_path / "m.json.gz").write_bytes(packed[:-12])
    with pytest.raises(ContentError, match=r"m\.json\.gz: the compressed data end early"):
        load_content(tmp_path)
    (tmp_path / "m.json.gz").write_bytes(b"{}")
    with pytest.raises(ContentError, match=r"m\.json\.gz: the file cannot be unpacked"):
        load_content(tmp_path)
    (tmp_path / "m.json.gz").rename(tmp_path / "m.zip")
    with pytest.raises(ContentError, match=r"m\.zip: the archive cannot be unpacked"):
        load_content(tmp_path)
    (tmp_path / "m.zip").rename(tmp_path / "m.tgz")
    with pytest.raises(ContentError, match=r"m\.tgz: the archive cannot be unpacked"):
        load_content(tmp_path)


def test_gzip_in_several_members_is_read_whole(tmp_path):
    lines = [json.dumps({**VALUE_SET, "url": f"http://x/{n}"}).encode() + b"\n" for n in range(3)]
    (tmp_path / "v.ndjson.gz").write_bytes(b"".join(map(gzip.compress, lines)))
    assert len(load_content(tmp_path).value_sets) == 3


def test_a_path_with_nothing_to_use_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="there is no such file or folder"):
        load_content(tmp_path / "absent")
    (tmp_path / "p.json").write_text('{"resourceType": "Patient"}')
    with pytest.raises(ContentError, match="no measure, library, value set or code system"):
        load_content(tmp_path)
    (tmp_path / "p.docx").write_text("")
    with pytest.raises(ContentError, match="this kind of file"):
        load_content(tmp_path / "p.docx")
    (tmp_path / "x.cql").write_text("define One: 1")
    with pytest.raises(ContentError, match=r"x\.cql: this CQL declares no library"):
        load_content(tmp_path / "x.cql")


def test_library_data_that_are_not_base64_are_refused():
    from measurewise.engine.content import Content

    resource = {
        "resourceType": "Library",
        "name": "A",
        "content": [{"contentType": "text/cql", "data": "abcde"}],
    }
    with pytest.raises(ContentError, match="not base64"):
        Content.of([resource])
    resource["content"] = [{"contentType": "application/elm+xml", "data": "PA=="}]
    with pytest.raises(ContentError, match="ELM as XML only"):
        Content.of([resource])
