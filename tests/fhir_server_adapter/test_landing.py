"""Patients from packed files and from files elsewhere: the same patients."""

import asyncio
import json
from pathlib import Path

import fsspec
import pytest
import zstandard

from measurewise.engine.errors import MeasurewiseError, NotFoundError, RecordError
from measurewise.fhir_server_adapter.sources import FilePatients


def line(patient: str) -> bytes:
    return json.dumps({"resources": [{"resourceType": "Patient", "id": patient}]}).encode() + b"\n"


def names(address: Path | str) -> list[str]:
    async def run() -> list[str]:
        return [pulled.patient_id async for pulled in FilePatients(address).patients()]

    return asyncio.run(run())


def packed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def test_zstandard_is_unpacked_frame_after_frame(tmp_path: Path) -> None:
    file = tmp_path / "patients.ndjson.zst"
    file.write_bytes(packed(line("a") + line("b")) + packed(line("c")))
    assert names(file) == ["a", "b", "c"]


def test_a_folder_may_mix_packed_and_plain_files(tmp_path: Path) -> None:
    (tmp_path / "1.ndjson.zst").write_bytes(packed(line("a")))
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "2.ndjson").write_bytes(line("b"))
    (tmp_path / "readme.txt").write_text("nothing to read")
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("kept", [-1, -5, 20])
def test_packed_data_that_end_early_are_an_error(kept: int, tmp_path: Path) -> None:
    whole = packed(b"".join(line(f"p{n}") for n in range(500)))
    (tmp_path / "cut.ndjson.zst").write_bytes(whole[:kept])
    with pytest.raises(RecordError, match="end early"):
        names(tmp_path / "cut.ndjson.zst")


def test_what_is_not_zstandard_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.ndjson.zst").write_bytes(b"not packed at all")
    with pytest.raises(RecordError, match="not Zstandard"):
        names(tmp_path)


def test_patients_come_from_an_object_store() -> None:
    store = fsspec.filesystem("memory")
    store.pipe({"/bucket/ward/1.ndjson": line("a"), "/bucket/ward/2.ndjson.zst": packed(line("b"))})
    try:
        assert names("memory://bucket/ward") == ["a", "b"]
        assert names("memory://bucket/ward/2.ndjson.zst") == ["b"]
        with pytest.raises(NotFoundError):
            names("memory://bucket/nothing")
    finally:
        store.rm("/bucket", recursive=True)


def test_an_address_of_an_unknown_kind_is_an_error_that_says_so() -> None:
    with pytest.raises(MeasurewiseError, match="cannot be read here"):
        names("nosuch://bucket/ward")
