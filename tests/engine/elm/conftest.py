from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def official_elm(ecqm_dir: Path) -> dict[str, bytes]:
    """ELM JSON by file name of every official library."""
    found = {}
    for path in sorted((ecqm_dir / "libraries").glob("*.json.gz")):
        resource = json.loads(gzip.decompress(path.read_bytes()))
        for content in resource["content"]:
            if content["contentType"] == "application/elm+json":
                found[path.name] = base64.b64decode(content["data"])
    return found
