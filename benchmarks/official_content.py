"""What the benchmarks draw on from a deck laid out like ../shared/ecqm: measures, value sets, retrieves.

Only the standard library is used, so that the peers' scripts run in environments without Measurewise.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

Json = dict[str, Any]

DECK = Path(__file__).resolve().parents[2] / "shared" / "ecqm"
"""Where the official content lies when nothing else is said: beside the repository."""

ELIGIBLE_CLINICIAN_MEASURES = (
    "CMS1056CTClinicalFHIR",
    "CMS117FHIRChildhoodImmunizationStatus",
    "CMS122FHIRDiabetesAssessGreaterThan9Percent",
    "CMS124FHIRCervicalCancerScreening",
    "CMS125FHIRBreastCancerScreening",
    "CMS130FHIRColorectalCancerScreening",
    "CMS133FHIRCataracts2040BCVAwithin90Days",
    "CMS135FHIRHFACEIorARBorARNIforLVSD",
    "CMS142FHIRDRCommunicationWithPhysicianManagingDiabetes",
    "CMS143FHIRPOAGOpticNerveEvaluation",
    "CMS145FHIRCADBetaBlockerTherapyPriorMIorLVSD",
    "CMS149FHIRDementiaCognitiveAssessment",
    "CMS155FHIRWeightAssessandCounselforKids",
    "CMS159FHIRDepressionRemissionatTwelveMonths",
    "CMS165FHIRControllingHighBloodPressure",
    "CMS22FHIRPCSBPScreeningFollowUp",
    "CMS349FHIRHIVScreening",
    "CMS50FHIRCRLReceiptofSpecialistReport",
    "CMS645FHIRBoneDensityProstateCancerAndrogenDeprivationTherapy",
    "CMS68FHIRDocumentationofCurrentMedications",
    "CMS69FHIRPCSBMIScreenAndFollowUp",
    "CMS74FHIRPrimaryCariesPreventionasOfferedbyDentists",
    "CMS75FHIRChildrenWhoHaveDentalDecayOrCavities",
    "CMS771FHIRUrinarySymptomScoreChangeBenignProstaticHyperplasia",
    "OncologyPainIntensityQuantifiedFHIR",
)
"""The measures of the reporting year 2026 that eligible clinicians may report (the last is CMS157)."""


class Retrieve(NamedTuple):
    """What one retrieve of a measure asks for: a resource type, the profile's name, the value set's URL."""

    type: str
    profile: str
    value_set: str


def read(path: Path) -> Json:
    """A gzipped JSON file."""
    with gzip.open(path) as file:
        content: Json = json.load(file)
        return content


def lines(path: Path) -> Iterator[Json]:
    """The objects of a gzipped NDJSON file."""
    with gzip.open(path) as file:
        for line in file:
            yield json.loads(line)


def value_sets(deck: Path) -> dict[str, Json]:
    """Every published value set by URL."""
    return {value_set["url"]: value_set for value_set in lines(deck / "valuesets.ndjson.gz")}


@lru_cache(maxsize=128)
def elm(deck: Path, name: str, version: str) -> Json:
    """The ELM that a library was published with."""
    library = read(deck / "libraries" / f"{name}-{version}.json.gz")
    data = next(c["data"] for c in library["content"] if c["contentType"] == "application/elm+json")
    tree: Json = json.loads(base64.b64decode(data))["library"]
    return tree


def _main(deck: Path, measure: str) -> tuple[str, str]:
    """A measure's library has its name; its version may be written otherwise than the measure's."""
    path = min((deck / "libraries").glob(f"{measure}-*.json.gz"))
    return measure, path.name.removeprefix(f"{measure}-").removesuffix(".json.gz")


def libraries(deck: Path, measure: str) -> list[Json]:
    """The ELM of a measure's library and of all it includes, the main one first."""
    wanted = [_main(deck, measure)]
    found: dict[tuple[str, str], Json] = {}
    while wanted:
        key = wanted.pop(0)
        if key not in found:
            found[key] = elm(deck, *key)
            includes = found[key].get("includes", {}).get("def", [])
            wanted += [(include["path"].rsplit("/", 1)[-1], include["version"]) for include in includes]
    return list(found.values())


def retrieves(deck: Path, measure: str) -> set[Retrieve]:
    """The retrieves by value set of a measure and its libraries."""
    trees = libraries(deck, measure)
    urls = {
        (tree["identifier"]["id"], definition["name"]): definition["id"]
        for tree in trees
        for definition in tree.get("valueSets", {}).get("def", [])
    }
    found = set()
    for tree in trees:
        aliases = {
            include["localIdentifier"]: include["path"].rsplit("/", 1)[-1]
            for include in tree.get("includes", {}).get("def", [])
        }
        for node in _nodes(tree["statements"]):
            codes = node.get("codes") if node.get("type") == "Retrieve" else None
            if codes and codes.get("type") == "ValueSetRef":
                owner = aliases.get(codes.get("libraryName", ""), tree["identifier"]["id"])
                type_ = node["dataType"].rsplit("}", 1)[-1]
                found.add(Retrieve(type_, node["templateId"].rsplit("/", 1)[-1], urls[owner, codes["name"]]))
    return found


def _nodes(node: Any) -> Iterator[Json]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)


def cases(deck: Path, measure: str) -> Iterator[Json]:
    """The official test cases of a measure: ``id``, ``resources``, ``expected``."""
    yield from lines(deck / "cases" / f"{measure}.ndjson.gz")


def bundle(resources: list[Json]) -> Json:
    """A collection Bundle of resources."""
    entries = [
        {"fullUrl": f"https://example.org/fhir/{r['resourceType']}/{r['id']}", "resource": r}
        for r in resources
    ]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}
