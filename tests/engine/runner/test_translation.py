"""Which libraries run from ELM and which from CQL, and what is said of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from measurewise import cql_libraries, valuesets
from measurewise.engine import ContentError, Engine, ProgramCache, load_content, read_record
from measurewise.engine.compiler.planner import ProfileMatching
from measurewise.engine.compiler.program import compile_program
from measurewise.engine.cql.errors import CqlError
from measurewise.engine.record.record import Record
from measurewise.engine.runner.translation import LibraryTrees
from measurewise.engine.runtime.datetime_parsing import parse_datetime
from measurewise.synthetic import bundle_json, synthetic_patient

MEASURE = "DiabetesGlycemicControl"
OTHER_MODEL = """<modelInfo xmlns="urn:hl7-org:elm-modelinfo:r1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  name="Farm" version="1.0" url="https://measurewise.example/farm">
  <requiredModelInfo name="System" version="1.0.0"/>
  <typeInfo xsi:type="ClassInfo" namespace="Farm" name="Cow" identifier="Cow" label="Cow" retrievable="true">
    <element name="name" elementType="System.String"/>
  </typeInfo>
</modelInfo>
"""


class AllProfiles(ProfileMatching):
    """Every resource has every profile."""

    def predicate(self, template: str, resource_type: str) -> None:
        return None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped libraries, to be changed."""
    return shutil.copytree(
        cql_libraries.FOLDER, tmp_path / "libraries", ignore=shutil.ignore_patterns("*.py*")
    )


def without_elm(folder: Path, name: str) -> None:
    (folder / name / f"{name}.elm.json").unlink()


def makers(folder: Path, kind: str, **settings: object) -> tuple[dict[str | None, str], list[str]]:
    """Who made the tree of each library of the measure, and the notices."""
    content = load_content(folder)
    notices: list = []
    trees = LibraryTrees(content, kind, **settings)
    closure = trees.closure(content.measure(MEASURE), notices)
    made = {r.tree.identifier.id: r.tree.annotation[0]["translatorVersion"] for r in closure}
    return made, [notice.kind for notice in notices]


def test_cql_compiles_every_library_and_says_nothing(folder):
    made, notices = makers(folder, "cql")
    assert set(made) >= {MEASURE, "FHIRHelpers", "HospiceCare"}
    assert set(made.values()) == {"measurewise"}
    assert notices == []


def test_auto_and_elm_use_elm_that_belongs_to_its_cql(folder):
    for kind in ("auto", "elm"):
        made, notices = makers(folder, kind)
        assert "measurewise" not in made.values()
        assert notices == []


def test_elm_without_proof_gives_way_to_the_cql_in_auto_alone(folder):
    path = folder / "HospiceCare" / "HospiceCare.elm.json"
    tree = json.loads(path.read_bytes())
    tree["library"]["annotation"] = [
        {"type": "CqlToElmInfo", "translatorVersion": "9", "translatorOptions": ""}
    ]
    path.write_text(json.dumps(tree))
    made, notices = makers(folder, "auto")
    assert {name for name, maker in made.items() if maker == "measurewise"} == {"HospiceCare"}
    assert notices == ["unproven-elm"]
    made, notices = makers(folder, "elm")
    assert made["HospiceCare"] == "9"
    assert notices == []


@pytest.mark.parametrize("kind", ["auto", "elm"])
def test_a_library_without_elm_is_compiled_with_a_notice(folder, kind):
    without_elm(folder, "HospiceCare")
    made, notices = makers(folder, kind)
    assert {name for name, maker in made.items() if maker == "measurewise"} == {"HospiceCare"}
    assert notices == ["no-elm"]


def test_a_library_without_cql_runs_from_its_elm_with_a_notice(folder):
    (folder / "FHIRHelpers" / "FHIRHelpers.cql").unlink()
    made, notices = makers(folder, "cql")
    assert {name for name, maker in made.items() if maker != "measurewise"} == {"FHIRHelpers"}
    assert notices == ["no-cql"]


def test_stale_elm_gives_way_or_stops_as_asked(folder):
    text = folder / MEASURE / f"{MEASURE}.cql"
    text.write_text(text.read_text() + "\ndefine Added:\n  1\n")
    made, notices = makers(folder, "auto")
    assert (made[MEASURE], notices) == ("measurewise", ["stale-elm"])
    made, notices = makers(folder, "auto", stale="notice")
    assert (made[MEASURE] != "measurewise", notices) == (True, ["stale-elm"])
    with pytest.raises(ContentError, match="is older than its CQL"):
        makers(folder, "elm")


def test_both_ways_give_the_same_results(folder):
    content = load_content(folder, valuesets.FOLDER)
    ways = [Engine(content, engine=kind).prepare(period="2026") for kind in ("elm", "cql")]
    for number in range(12):
        record = read_record(bundle_json(synthetic_patient(number)))
        from_elm, from_cql = (way.evaluate(record) for way in ways)
        assert from_cql == from_elm


def test_programs_of_either_way_are_kept_apart(folder, tmp_path):
    content = load_content(folder, valuesets.FOLDER)
    cache = ProgramCache(tmp_path / "programs")
    sources = {}
    for _ in range(2):
        for kind in ("elm", "cql", "auto"):
            engine = Engine(content, engine=kind, cache=cache)
            source = engine.compiled(MEASURE).source
            assert sources.setdefault(kind, source) == source
    assert len(list(cache.folder.iterdir())) == 3


def test_an_error_in_an_included_text_names_its_place(folder):
    path = folder / "HospiceCare" / "HospiceCare.cql"
    path.write_text(path.read_text() + "\ndefine Wrong:\n  1 + true\n")
    with pytest.raises(ContentError, match=r"HospiceCare.*\d+:\d+"):
        makers(folder, "cql")


def test_a_syntax_error_in_the_measures_own_text_names_library_line_and_column(folder):
    path = folder / MEASURE / f"{MEASURE}.cql"
    path.write_text(path.read_text() + "\ndefine Wrong:\n  1 +\n")
    with pytest.raises(CqlError) as caught:
        makers(folder, "cql")
    line = path.read_text().count("\n")
    assert caught.value.where.startswith(f"library {MEASURE} 1.0.0:{line}:")


def test_a_further_model_info_can_be_used(folder, tmp_path):
    model = tmp_path / "farm.xml"
    model.write_text(OTHER_MODEL)
    text = folder / MEASURE / f"{MEASURE}.cql"
    using = "using QICore version '6.0.0'"
    assert using in text.read_text()
    text.write_text(
        text.read_text().replace(using, f"{using}\nusing Farm version '1.0'")
        + "\ndefine Herd:\n  [Cow] C return C.name\n"
    )
    without_elm(folder, MEASURE)
    with pytest.raises(ContentError, match="Farm"):
        makers(folder, "auto")
    content = load_content(folder, valuesets.FOLDER)
    trees = LibraryTrees(content, model_infos=(model,))
    closure = trees.closure(content.measure(MEASURE), [])
    program = compile_program(
        [library.tree for library in closure], {(MEASURE, "1.0.0"): ["Herd"]}, model=trees.model
    )
    run = program.bind(
        {}, content.value_set_index(), AllProfiles(), now=parse_datetime("2026-01-01T00:00:00Z", 0)
    )
    record = Record([{"resourceType": "Patient", "id": "a"}, {"resourceType": "Cow", "name": "Berta"}])
    assert run.patient(record).value(MEASURE, "Herd") == ["Berta"]
    assert Engine(content, model_infos=(model,)).compiled(MEASURE).source
