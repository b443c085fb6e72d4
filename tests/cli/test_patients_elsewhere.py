"""``--patients`` takes packed files and addresses: what comes out is the same as from the plain file."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import fsspec
import pytest
import zstandard
from conftest import Run


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def expected(run: Run, patients: Path) -> object:
    found = run("evaluate", "--patients", patients, "--period", 2026, "--json").json
    assert found["patients"] == 40
    return found["measures"]


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a web server, and the folder that it serves."""
    folder = tmp_path / "web"
    folder.mkdir()
    server = HTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    thread.join()
    server.server_close()


def packed(data: bytes, suffix: str) -> bytes:
    return {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress, "": bytes}[suffix](data)


@pytest.mark.parametrize("suffix", [".zst", ".gz"])
def test_a_packed_file_gives_the_same(
    run: Run, patients: Path, expected: object, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"patients.ndjson{suffix}"
    file.write_bytes(packed(patients.read_bytes(), suffix))
    found = run("evaluate", "--patients", file, "--period", 2026, "--jobs", 2, "--json")
    assert (found.status, found.json["measures"]) == (0, expected)


def test_a_folder_of_packed_files_gives_the_same(
    run: Run, patients: Path, expected: object, tmp_path: Path
) -> None:
    lines = patients.read_bytes().splitlines(keepends=True)
    for number, suffix in enumerate((".zst", ".gz", "")):
        data = packed(b"".join(lines[number::3]), suffix)
        (tmp_path / f"{number}.ndjson{suffix}").write_bytes(data)
    found = run("evaluate", "--patients", tmp_path, "--period", 2026, "--json")
    assert found.json["measures"] == expected


@pytest.mark.parametrize("of_a_folder", [True, False])
def test_an_object_store_gives_the_same(
    run: Run, patients: Path, expected: object, of_a_folder: bool
) -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/ward/patients.ndjson.zst", packed(patients.read_bytes(), ".zst"))
    address = "memory://ward" if of_a_folder else "memory://ward/patients.ndjson.zst"
    try:
        found = run("evaluate", "--patients", address, "--period", 2026, "--json")
    finally:
        store.rm("/ward", recursive=True)
    assert (found.status, found.json["measures"]) == (0, expected)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_web_server_gives_the_same(
    run: Run, patients: Path, expected: object, web: tuple[str, Path], suffix: str
) -> None:
    base, folder = web
    (folder / f"patients.ndjson{suffix}").write_bytes(packed(patients.read_bytes(), suffix))
    address = f"{base}/patients.ndjson{suffix}?signature=abc"
    found = run("evaluate", "--patients", address, "--period", 2026, "--json")
    assert (found.status, found.json["measures"]) == (0, expected)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nothing.ndjson?signature=abc", "answered 404"),
        ("folder/?signature=abc", "no file of patients"),
    ],
)
def test_what_a_web_server_does_not_give_is_told_without_the_query(
    run: Run, web: tuple[str, Path], path: str, said: str
) -> None:
    done = run("evaluate", "--patients", f"{web[0]}/{path}", "--period", 2026)
    assert done.status == 2
    assert said in done.err
    assert "signature" not in done.err


def test_errors_name_the_address_and_not_where_it_was_brought_to(
    run: Run, patients: Path, tmp_path: Path
) -> None:
    bulk = b'{"resourceType": "Patient", "id": "a"}\n{"resourceType": \n'
    file = tmp_path / "bulk.ndjson.zst"
    file.write_bytes(packed(bulk, ".zst"))
    done = run("evaluate", "--patients", file, "--period", 2026)
    assert done.status == 2
    assert f"{tmp_path}/bulk.ndjson, line 2" in done.err
    assert "measurewise-files-" not in done.err

    file.write_bytes(packed(patients.read_bytes().splitlines()[0] + b"\nno JSON\n", ".zst"))
    done = run("evaluate", "--patients", file, "--period", 2026)
    assert done.status == 1
    assert f"{tmp_path}/bulk.ndjson, line 2" in done.err


def test_an_address_that_needs_another_library_says_which(run: Run) -> None:
    done = run("evaluate", "--patients", "gs://bucket/patients.ndjson", "--period", 2026)
    assert done.status == 2
    assert "cannot be read here" in done.err
    assert "gcsfs" in done.err
