"""``measurewise evaluate --server`` against a real server, and every command of docs/try-a-sandbox.md."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from hapi_process import Hapi
from hapi_records import encode, load, synthetic_records

PAGE = Path(__file__).parents[2] / "docs" / "try-a-sandbox.md"
FEW = 12


@pytest.fixture(scope="module")
def few(hapi: Hapi, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some synthetic patients, in the server and in a file, and a Group of them."""
    records = list(synthetic_records(FEW))
    asyncio.run(load(hapi.base_url, records))
    file = tmp_path_factory.mktemp("few") / "few.ndjson"
    file.write_bytes(b"".join(encode({"resources": record}) + b"\n" for record in records))
    group = {
        "resourceType": "Group",
        "id": "a-group",
        "type": "person",
        "actual": True,
        "member": [{"entity": {"reference": f"Patient/{record[0]['id']}"}} for record in records],
    }
    httpx.put(f"{hapi.base_url}/Group/a-group", json=group, trust_env=False).raise_for_status()
    return file


def evaluated(*options: str) -> dict[str, Any]:
    command = [sys.executable, "-c", "from measurewise.cli import main; main()", "evaluate"]
    done = subprocess.run(
        [*command, "--period", "2026", "--json", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("way", ["searches", "everything", "bulk"])
def test_the_command_gives_what_files_give(way: str, hapi: Hapi, few: Path) -> None:
    expected = evaluated("--patients", str(few))
    found = evaluated("--server", hapi.base_url, "--way", way, "--group", "a-group")
    assert found["patients"] == expected["patients"] == FEW
    assert found["measures"] == expected["measures"]


def test_every_command_of_the_page_for_sandboxes_runs(hapi: Hapi, few: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks[0].startswith("make test")
    script = "\n".join(blocks[1:])
    assert script.count("measurewise evaluate") == 6
    # the address is that of the tests' server, which asks for no token
    script = re.sub(r"^export FHIR=.*$", f"export FHIR={hapi.base_url}", script, flags=re.MULTILINE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert done.stdout.count("\n200") + done.stdout.count("\n201") == 5, "five transactions were taken"
    assert done.stdout.count("HighBloodPressureFollowUp") == 6
