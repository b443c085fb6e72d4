"""A patient whose definitions are given, and measures built from a few words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

CQFM = "http://hl7.org/fhir/us/cqfmeasures/StructureDefinition/cqfm-"
POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
SCORING = "http://terminology.hl7.org/CodeSystem/measure-scoring"


class GivenDefinitions:
    """Definitions that were written down by the test; notes which were asked for."""

    def __init__(self, resources: Iterable[dict[str, Any]] = (), **values: Any) -> None:
        self.values = {name.replace("_", " "): value for name, value in values.items()}
        self.asked: list[str] = []
        self.resources = list(resources)

    def value(self, library: str, name: str) -> Any:
        self.asked.append(name)
        return self.values[name]

    def call(self, library: str, name: str, *args: Any) -> Any:
        function: Callable[..., Any] = self.values[name]
        return function(*args)

    def has(self, library: str, name: str) -> bool:
        return name in self.values and not callable(self.values[name])

    def evaluated_resources(self) -> Iterable[dict[str, Any]]:
        return self.resources


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def criteria(name: str) -> dict[str, Any]:
    return {"language": "text/cql-identifier", "expression": name}


def population(code: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    title = " ".join(word.capitalize() for word in code.split("-"))
    return {
        "id": more.pop("id", code),
        "code": coded(POPULATION, code),
        "criteria": criteria(name or title),
        **more,
    }


def observation(id: str, name: str, of: str, method: str, key: str = "valueCode") -> dict[str, Any]:
    return population(
        "measure-observation",
        name,
        id=id,
        extension=[
            {"url": CQFM + "criteriaReference", "valueString": of},
            {"url": CQFM + "aggregateMethod", key: method},
        ],
    )


def group(scoring: str, *populations: dict[str, Any], basis: str = "boolean", **more: Any) -> dict[str, Any]:
    notation = more.pop("notation", "increase")
    return {
        "id": more.pop("id", "group-1"),
        "extension": [
            {"url": CQFM + "scoring", "valueCodeableConcept": coded(SCORING, scoring)},
            {"url": CQFM + "populationBasis", "valueCode": basis},
            {"url": CQFM + "improvementNotation", "valueCodeableConcept": {"coding": [{"code": notation}]}},
        ],
        "population": list(populations),
        **more,
    }


def measure(*groups: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Measure",
        "url": "http://example.org/Measure/Example",
        "version": "1.0.0",
        "name": "Example",
        "status": "active",
        "library": ["http://example.org/Library/Example"],
        "group": list(groups),
        **more,
    }


PROPORTION = (
    population("initial-population"),
    population("denominator"),
    population("denominator-exclusion"),
    population("numerator"),
    population("numerator-exclusion"),
    population("denominator-exception"),
)


def encounter(id: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Encounter", "id": id, **more}
