"""Official model info read from files, as a model that the project does not know would be."""

from __future__ import annotations

import gzip

import pytest
from libraries import Texts
from rendering import render
from shared_inputs import SHARED, needs

from measurewise.engine.models.model import Model, load_model, load_model_info
from measurewise.engine.translator import Translator

FILES = SHARED / "modelinfo"
needs_files = needs("modelinfo")
SHIPPED = Texts({})
FHIR = ("fhir-modelinfo-4.0.1.xml.gz",)
BODY = """
include FHIRHelpers version '1.0.0'
context Patient
define A: [Encounter] E where E.status = 'finished' return E.period
define B: [Procedure] C return C.code
define C: AgeInYears()
"""


@needs_files
@pytest.mark.parametrize(
    ("file", "name", "version"),
    [
        ("qicore-modelinfo-4.1.1.xml.gz", "QICore", "4.1.1"),
        ("qicore-modelinfo-6.0.0.xml.gz", "QICore", "6.0.0"),
        ("uscore-modelinfo-3.1.1.xml.gz", "USCore", "3.1.1"),
        ("uscore-modelinfo-6.1.0.xml.gz", "USCore", "6.1.0"),
        ("fhir-modelinfo-4.0.1.xml.gz", "FHIR", "4.0.1"),
    ],
)
def test_a_model_read_from_its_file_has_the_classes_and_elements_of_the_shipped_one(
    file: str, name: str, version: str
) -> None:
    others = [f for f in FHIR if f != file]
    if file.startswith("qicore-modelinfo-6"):
        others.append("uscore-modelinfo-6.1.0.xml.gz")
    known: list[Model] = []
    for other in others:
        known.append(load_model_info(FILES / other, known))
    read, shipped = load_model_info(FILES / file, known), load_model(name, version)
    assert sorted(read.class_names()) == sorted(shipped.class_names())
    for kind in shipped.class_names():
        info = shipped.type(kind)
        assert info is not None
        assert read.elements(info.type) == shipped.elements(info.type), kind


@needs_files
@pytest.mark.parametrize(
    ("file", "name", "version"),
    [
        ("qicore-modelinfo-4.1.1.xml.gz", "QICore", "4.1.1"),
        ("qicore-modelinfo-6.0.0.xml.gz", "QICore", "6.0.0"),
    ],
)
def test_a_library_over_a_model_from_a_file_translates_as_over_the_shipped_one(
    file: str, name: str, version: str
) -> None:
    # A version that does not ship, so that only the file can answer.
    text = gzip.decompress((FILES / file).read_bytes()).decode("utf-8").replace(version, "9.9.9")
    models: list[Model] = []
    for other in ("fhir-modelinfo-4.0.1.xml.gz", "uscore-modelinfo-6.1.0.xml.gz"):
        models.append(load_model_info(FILES / other, models))
    models.append(load_model_info(text.encode(), models))
    read = Translator(SHIPPED, model_infos=models).translate(f"library A using {name} version '9.9.9' {BODY}")
    assert Translator(SHIPPED).translate(f"library A using {name} version '9.9.9' {BODY}").errors
    shipped = Translator(SHIPPED).translate(f"library A using {name} version '{version}' {BODY}")
    assert read.errors == shipped.errors == ()
    assert [render(s) for s in read.library.statements] == [render(s) for s in shipped.library.statements]


@needs_files
def test_two_models_one_from_a_file_are_used_side_by_side() -> None:
    models = (load_model_info(FILES / "uscore-modelinfo-3.1.1.xml.gz"),)
    text = """library A
using FHIR version '4.0.1'
using USCore version '3.1.1'
include FHIRHelpers version '1.0.0'
context Patient
define A: [FHIR.Encounter]
define B: [USCore."EncounterProfile"]
"""
    translation = Translator(SHIPPED, model_infos=models).translate(text)
    assert translation.errors == ()
    kinds = [translation.symbols.definitions[name].type for name in ("A", "B")]
    assert [kind.element.model for kind in kinds] == ["FHIR", "USCore"]
