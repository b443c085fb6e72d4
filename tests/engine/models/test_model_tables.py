"""The shipped tables hold everything of the official XML that a translator needs."""

from __future__ import annotations

import gzip
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from shared_inputs import SHARED, needs

from measurewise.engine.models.model import Model, load_model, load_model_info
from measurewise.engine.models.table import FOLDER, read_table, shipped_models

OFFICIAL = SHARED / "modelinfo"
N = "{urn:hl7-org:elm-modelinfo:r1}"

needs_official = needs("modelinfo")

SHIPPED = [(s.name, s.version) for s in shipped_models()]


def official_xml(name: str, version: str) -> bytes:
    for path in OFFICIAL.glob("*.xml.gz"):
        xml = gzip.decompress(path.read_bytes())
        root = ElementTree.fromstring(xml)  # noqa: S314
        if (root.get("name"), root.get("version")) == (name, version):
            return xml
    raise AssertionError(f"no official file for {name} {version}")


def test_the_six_models_of_the_brief_ship() -> None:
    assert SHIPPED == [
        ("FHIR", "4.0.1"),
        ("QICore", "4.1.1"),
        ("QICore", "6.0.0"),
        ("System", "1.0.0"),
        ("USCore", "3.1.1"),
        ("USCore", "6.1.0"),
    ]


@pytest.mark.parametrize(("name", "version"), SHIPPED)
def test_every_table_names_its_source(name: str, version: str) -> None:
    table = read_table(name, version)
    assert table["source"].startswith("https://github.com/cqframework/clinical_quality_language ")
    assert table["licence"] == "Apache-2.0"
    assert len(table["sha256"]) == 64


@needs_official
@pytest.mark.parametrize(("name", "version"), SHIPPED)
def test_no_class_element_search_relationship_or_conversion_of_the_xml_is_lost(
    name: str, version: str
) -> None:
    root = ElementTree.fromstring(official_xml(name, version))  # noqa: S314
    model = load_model(name, version)
    classes = [info for n in model.class_names() if (info := model.type(n)) is not None]
    infos = root.findall(f"{N}typeInfo")
    counted = Counter(
        classes=len(classes),
        elements=sum(len(c.elements) for c in classes),
        targets=sum(e.target is not None for c in classes for e in c.elements.values()),
        based=sum(c.base is not None for c in classes),
        labels=sum(c.label is not None for c in classes),
        identifiers=sum(c.identifier is not None for c in classes),
        class_targets=sum(c.target is not None for c in classes),
        retrievable=sum(c.retrievable for c in classes),
        code_paths=sum(c.primary_code_path is not None for c in classes),
        searches=sum(len(c.searches) for c in classes),
        relationships=sum(len(c.relationships) for c in classes),
        conversions=len(model.conversions),
        contexts=len(model.contexts),
        required=len(model.required),
    )
    expected = Counter(
        classes=len(infos),
        elements=sum(len(i.findall(f"{N}element")) for i in infos),
        targets=sum(e.get("target") is not None for i in infos for e in i.findall(f"{N}element")),
        based=sum(
            i.get("baseType") is not None or i.find(f"{N}baseTypeSpecifier") is not None for i in infos
        ),
        labels=sum(i.get("label") is not None for i in infos),
        identifiers=sum(i.get("identifier") is not None for i in infos),
        class_targets=sum(i.get("target") is not None for i in infos),
        retrievable=sum(i.get("retrievable") == "true" for i in infos),
        code_paths=sum(i.get("primaryCodePath") is not None for i in infos),
        searches=sum(len(i.findall(f"{N}search")) for i in infos),
        relationships=sum(len(i.findall(f"{N}contextRelationship")) for i in infos),
        conversions=len(root.findall(f"{N}conversionInfo")),
        contexts=len(root.findall(f"{N}contextInfo")),
        required=len(root.findall(f"{N}requiredModelInfo")),
    )
    assert counted == expected


@needs_official
@pytest.mark.parametrize(("name", "version"), SHIPPED)
def test_list_choice_and_interval_elements_are_as_many_as_in_the_xml(name: str, version: str) -> None:
    root = ElementTree.fromstring(official_xml(name, version))  # noqa: S314
    xsi = "{http://www.w3.org/2001/XMLSchema-instance}type"
    specifiers = [c for e in root.iter(f"{N}element") for c in e if c.tag.endswith("ypeSpecifier")]
    expected = Counter(c.get(xsi, "").rpartition(":")[2].removesuffix("TypeSpecifier") for c in specifiers)
    model = load_model(name, version)
    found = Counter(
        type(e.type).__name__.removesuffix("Type")
        for n in model.class_names()
        if (c := model.type(n)) is not None
        for e in c.elements.values()
    )
    for kind in ("List", "Choice", "Interval"):
        assert found[kind] == expected[kind], kind


@needs_official
@pytest.mark.parametrize(("name", "version"), SHIPPED)
def test_the_xml_loaded_at_run_time_equals_the_table(name: str, version: str) -> None:
    table, xml = load_model(name, version), load_model_info(official_xml(name, version))
    assert list(table.class_names()) == list(xml.class_names())
    for class_name in table.class_names():
        assert table.type(class_name) == xml.type(class_name)
    attributes = [k for k in vars(table) if not k.startswith("_") and k != "models"]
    assert "conversions" in attributes
    assert "contexts" in attributes
    for attribute in attributes:
        assert getattr(table, attribute) == getattr(xml, attribute), attribute


@needs_official
def test_the_generator_writes_the_committed_tables(tmp_path: Path) -> None:
    from measurewise.engine.models.build import write_tables

    for path in write_tables(OFFICIAL, tmp_path):
        assert path.read_text(encoding="utf-8") == (FOLDER / path.name).read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize(("name", "version"), SHIPPED)
def test_a_model_loads_within_15_ms(name: str, version: str) -> None:
    times = []
    for _ in range(7):
        start = time.perf_counter()
        Model(read_table(name, version))
        times.append(time.perf_counter() - start)
    assert min(times) < 0.015
