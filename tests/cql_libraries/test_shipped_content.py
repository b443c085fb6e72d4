"""The measures, libraries and value sets that ship hold together and need nothing from elsewhere."""

import base64
import json
import re
from collections import Counter
from functools import cache
from typing import Any

import pytest
from fhir.resources.R4B.library import Library
from fhir.resources.R4B.measure import Measure
from fhir.resources.R4B.valueset import ValueSet

from measurewise.cql_libraries import FOLDER, library_resources, measure_resources
from measurewise.engine.elm.reader import read_library
from measurewise.engine.models.table import read_table
from measurewise.valuesets import value_set_resources

CANONICAL = "https://measurewise.example"
OPEN_SYSTEMS = {
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://loinc.org",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "http://www.nlm.nih.gov/research/umls/rxnorm",
}

Json = dict[str, Any]


@cache
def libraries() -> dict[str, Json]:
    return {resource["name"]: resource for resource in library_resources()}


@cache
def value_sets() -> dict[str, Json]:
    return {resource["url"]: resource for resource in value_set_resources()}


def attachment(name: str, content_type: str) -> bytes:
    (content,) = (c for c in libraries()[name]["content"] if c["contentType"] == content_type)
    return base64.b64decode(content["data"])


def cql(name: str) -> str:
    return attachment(name, "text/cql").decode()


@cache
def elm(name: str) -> Json:
    body: Json = json.loads(attachment(name, "application/elm+json"))["library"]
    return body


def definitions(name: str, section: str) -> list[Json]:
    found: list[Json] = elm(name).get(section, {}).get("def", [])
    return found


LIBRARIES = sorted(libraries())
MEASURES = list(measure_resources())
VALUE_SETS = list(value_set_resources())
by_name = pytest.mark.parametrize("name", LIBRARIES)
by_measure = pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: str(measure["name"]))
by_value_set = pytest.mark.parametrize("value_set", VALUE_SETS, ids=lambda value_set: str(value_set["id"]))


def test_three_measures_ship_one_of_them_on_a_continuous_variable() -> None:
    scorings = [measure["scoring"]["coding"][0]["code"] for measure in MEASURES]
    assert Counter(scorings) == {"proportion": 2, "continuous-variable": 1}


def test_every_resource_is_valid_fhir() -> None:
    for measure in MEASURES:
        Measure.model_validate(measure)
    for library in libraries().values():
        Library.model_validate(library)
    for value_set in VALUE_SETS:
        ValueSet.model_validate(value_set)


def test_every_url_is_the_projects_own_and_used_once() -> None:
    resources = [*MEASURES, *libraries().values(), *VALUE_SETS]
    urls = Counter(resource["url"] for resource in resources)
    assert set(urls.values()) == {1}
    for resource in resources:
        assert resource["url"] == f"{CANONICAL}/{resource['resourceType']}/{resource['id']}"


@by_name
def test_a_library_lies_in_the_folder_of_its_name(name: str) -> None:
    assert {path.name for path in (FOLDER / name).iterdir()} - {"measure.json"} == {
        f"{name}.cql",
        f"{name}.elm.json",
        "library.json",
    }


@by_name
def test_the_cql_names_the_library_and_version_of_its_resource_and_its_elm(name: str) -> None:
    version = libraries()[name]["version"]
    assert f"library {name} version '{version}'" in cql(name)
    assert elm(name)["identifier"] == {"id": name, "version": version}
    assert read_library(attachment(name, "application/elm+json")).identifier.id == name


def told(node: Any) -> str:
    """The CQL text that the annotation of an ELM node holds."""
    if isinstance(node, list):
        return "".join(map(told, node))
    if isinstance(node, dict):
        return told(node.get("value", node.get("s", [])))
    return str(node)


@by_name
def test_the_elm_is_the_translation_of_this_very_cql(name: str) -> None:
    source = re.sub(r"\s+", " ", cql(name))
    statements = [d for d in definitions(name, "statements") if "annotation" in d and d.get("locator")]
    assert statements
    for definition in statements:
        (narrative,) = (a["s"] for a in definition["annotation"] if a["type"] == "Annotation")
        assert re.sub(r"\s+", " ", told(narrative)).strip() in source, definition["name"]
    in_source = re.findall(r"^define (?:fluent )?(?:function )?(\"[^\"]+\"|\w+)", cql(name), re.MULTILINE)
    assert Counter(d["name"] for d in statements) == Counter(found.strip('"') for found in in_source)


@by_name
def test_translation_gave_no_error(name: str) -> None:
    assert [a for a in elm(name)["annotation"] if a.get("errorSeverity") == "error"] == []
    (info,) = (a for a in elm(name)["annotation"] if a["type"] == "CqlToElmInfo")
    assert info["signatureLevel"] == "Overloads"
    assert set(info["translatorOptions"].split(",")) == {
        "EnableAnnotations",
        "EnableLocators",
        "EnableResultTypes",
        "DisableListDemotion",
        "DisableListPromotion",
    }


@by_name
def test_every_library_and_value_set_that_is_named_ships(name: str) -> None:
    for include in definitions(name, "includes"):
        assert libraries()[include["path"]]["version"] == include["version"]
    for value_set in definitions(name, "valueSets"):
        assert value_sets()[value_set["id"]]["title"] == value_set["name"]


@by_name
def test_the_resource_names_what_the_library_depends_on(name: str) -> None:
    named = {artifact["resource"] for artifact in libraries()[name]["relatedArtifact"]}
    includes = {f"{CANONICAL}/Library/{d['path']}|{d['version']}" for d in definitions(name, "includes")}
    assert includes | {d["id"] for d in definitions(name, "valueSets")} < named


def test_every_shipped_value_set_is_used() -> None:
    used = {d["id"] for name in LIBRARIES for d in definitions(name, "valueSets")}
    assert used == set(value_sets())


@by_measure
def test_every_criterion_of_a_measure_is_defined_by_its_library(measure: Json) -> None:
    (canonical,) = measure["library"]
    url, _, version = canonical.partition("|")
    (library,) = (library for library in libraries().values() if library["url"] == url)
    assert library["version"] == version
    defined = {definition["name"] for definition in definitions(library["name"], "statements")}
    (group,) = measure["group"]
    asked = [*group["population"], *group["stratifier"], *measure["supplementalData"]]
    assert {item["criteria"]["expression"] for item in asked} <= defined


@by_measure
def test_populations_have_the_type_of_the_basis(measure: Json) -> None:
    (group,) = measure["group"]
    (basis,) = (e["valueCode"] for e in group["extension"] if e["url"].endswith("/cqfm-populationBasis"))
    for population in group["population"]:
        (definition,) = (
            d
            for d in definitions(measure["name"], "statements")
            if d["name"] == population["criteria"]["expression"]
        )
        if population["code"]["coding"][0]["code"] == "measure-observation":
            (operand,) = definition["operand"]
            assert operand["operandTypeSpecifier"]["name"] == f"{{http://hl7.org/fhir}}{basis}"
        elif basis == "boolean":
            assert definition["resultTypeName"] == "{urn:hl7-org:elm-types:r1}Boolean"
        else:
            element = definition["resultTypeSpecifier"]["elementType"]
            assert element["name"] == f"{{http://hl7.org/fhir}}{basis}"


@by_value_set
def test_the_expansion_is_what_the_compose_enumerates(value_set: Json) -> None:
    composed = [
        (include["system"], concept["code"], concept["display"])
        for include in value_set["compose"]["include"]
        for concept in include["concept"]
    ]
    expanded = [(c["system"], c["code"], c["display"]) for c in value_set["expansion"]["contains"]]
    assert composed == expanded
    assert value_set["expansion"]["total"] == len(set(expanded)) == len(expanded)


@by_value_set
def test_codes_come_from_systems_that_may_be_shipped(value_set: Json) -> None:
    systems = {include["system"] for include in value_set["compose"]["include"]}
    assert {s for s in systems if not s.startswith("http://terminology.hl7.org/")} <= OPEN_SYSTEMS


@pytest.mark.parametrize(
    ("url", "code", "member"),
    [
        ("diabetes-mellitus", "E11.9", True),
        ("diabetes-mellitus", "E09.9", False),
        ("diabetes-mellitus", "O24.410", False),
        ("hemoglobin-a1c", "4548-4", True),
        ("hemoglobin-a1c", "59261-8", False),
    ],
)
def test_what_a_value_set_means_to_hold(url: str, code: str, member: bool) -> None:
    codes = {c["code"] for c in value_sets()[f"{CANONICAL}/ValueSet/{url}"]["expansion"]["contains"]}
    assert (code in codes) is member


def signatures() -> set[tuple[str, str]]:
    found = set()
    for definition in definitions("FHIRHelpers", "statements"):
        for operand in definition.get("operand", [])[:1]:
            name = operand["operandTypeSpecifier"].get("name", "")
            found.add((definition["name"], name.removeprefix("{http://hl7.org/fhir}")))
    return found


def test_fhir_helpers_has_every_conversion_that_the_fhir_model_names() -> None:
    named = {
        (function.removeprefix("FHIRHelpers."), source.removeprefix("FHIR."))
        for function, source, _ in read_table("FHIR", "4.0.1")["conversions"]
    }
    assert len(named) > 250
    assert named <= signatures()


def test_fhir_helpers_has_every_conversion_that_qi_core_names() -> None:
    named = set(re.findall(r"FHIRHelpers\.(\w+)", json.dumps(read_table("QICore", "6.0.0"))))
    assert named
    assert named <= {name for name, _ in signatures()}
