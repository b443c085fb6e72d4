"""ELM as sparse as translators can make it: no result types, no signatures, no locators."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from measurewise.engine.record.profiles import Matching
from measurewise.engine.runner.deck import Deck, DeckSettings, run_deck

MEASURES = (
    "CMS122FHIRDiabetesAssessGreaterThan9Percent",
    "CMS165FHIRControllingHighBloodPressure",
    "CMS108FHIRVTEProphylaxis",
    "CMS506FHIRSafeUseofOpioids",
    "CMS832HHAKIFHIR",
)
OPTIONAL = {"resultTypeName", "resultTypeSpecifier", "signature", "localId", "locator", "annotation"}


def bared(node: Any) -> Any:
    if isinstance(node, dict):
        return {k: bared(v) for k, v in node.items() if k not in OPTIONAL}
    return [bared(v) for v in node] if isinstance(node, list) else node


@pytest.fixture(scope="module")
def bare_deck(ecqm_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Deck:
    folder = tmp_path_factory.mktemp("deck")
    (folder / "libraries").mkdir()
    for path in sorted((ecqm_dir / "libraries").glob("*.json.gz")):
        resource = json.loads(gzip.decompress(path.read_bytes()))
        for attachment in resource["content"]:
            if attachment["contentType"] == "application/elm+json":
                elm = bared(json.loads(base64.b64decode(attachment["data"])))
                attachment["data"] = base64.b64encode(json.dumps(elm).encode()).decode()
        (folder / "libraries" / path.name).write_bytes(gzip.compress(json.dumps(resource).encode(), 1))
    shutil.copytree(ecqm_dir / "measures", folder / "measures")
    shutil.copytree(ecqm_dir / "cases", folder / "cases")
    shutil.copy(ecqm_dir / "valuesets.ndjson.gz", folder)
    return Deck(folder)


@pytest.mark.deck
@pytest.mark.parametrize("measure", MEASURES)
def test_types_are_inferred_where_the_elm_states_none(bare_deck: Deck, measure: str) -> None:
    settings = DeckSettings(Matching.AUTO, "empty", "notice", False, None)
    (tally,) = run_deck(bare_deck, [measure], {}, settings)
    assert tally.cases > 0
    assert (tally.passed, tally.failures) == (tally.cases, [])
