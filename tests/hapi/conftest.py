"""One HAPI FHIR server for the session, with synthetic patients and official cases in it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from agreement import Counts, Measures
from hapi_process import CannotStart, Hapi, build, hapi_server, missing_tools
from hapi_records import encode, load, official_records, synthetic_records

from measurewise.fhir_server_adapter.sources import FilePatients

SYNTHETIC = int(os.environ.get("MEASUREWISE_HAPI_PATIENTS", "2000"))


@pytest.fixture(scope="session")
def class_path() -> str:
    """The class path of a server. Skips where there is no Java or Maven; under CI that is a failure."""
    reason = missing_tools()
    if reason:
        _without(reason)
    try:
        return build()
    except CannotStart as error:
        _without(str(error))


@pytest.fixture(scope="session")
def hapi(request: pytest.FixtureRequest) -> Iterator[Hapi]:
    """A running server, empty.

    While working on the tests: MEASUREWISE_HAPI_URL and MEASUREWISE_HAPI_PID name one that is loaded already.
    """
    given = os.environ.get("MEASUREWISE_HAPI_URL")
    if given:
        yield Hapi(given, int(os.environ["MEASUREWISE_HAPI_PID"]), Path(os.devnull))
        return
    with hapi_server(request.getfixturevalue("class_path")) as server:
        yield server


@pytest.fixture(scope="session")
def loaded(hapi: Hapi, ecqm_dir: Path) -> Hapi:
    """The server with all patients in it."""
    if os.environ.get("MEASUREWISE_HAPI_URL"):
        return hapi
    asyncio.run(load(hapi.base_url, official_records(ecqm_dir)))
    asyncio.run(load(hapi.base_url, synthetic_records(SYNTHETIC)))
    hapi.analyze()
    return hapi


def _without(reason: str) -> NoReturn:
    if os.environ.get("CI") or os.environ.get("MEASUREWISE_HAPI") == "required":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def measures(ecqm_dir: Path) -> Measures:
    """Five measures."""
    return Measures(ecqm_dir)


@pytest.fixture(scope="session")
def expected(ecqm_dir: Path, measures: Measures, tmp_path_factory: pytest.TempPathFactory) -> Counts:
    """What each patient comes to by way (d), files."""
    file = tmp_path_factory.mktemp("files") / "patients.ndjson"
    with file.open("wb") as lines:
        for record in (*official_records(ecqm_dir), *synthetic_records(SYNTHETIC)):
            lines.write(encode({"resources": record}) + b"\n")
    return asyncio.run(measures.counted(FilePatients(file)))
