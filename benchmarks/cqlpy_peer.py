"""What cqlpy 0.3.1 does with CMS122: each fact behind docs/decisions/0001-own-cql-engine.md, shown anew.

    python benchmarks/cqlpy_peer.py [--deck ../shared/ecqm] [--json]

cqlpy is installed into a virtual environment of its own, thrown away afterwards (``--python`` names the
interpreter of an environment that has it already). Only its documented interface is used: ``Context``, a
``ValuesetProvider`` of ours that hands out the official value sets, ``cqlpy.types``, ``cqlpy.operators``.
Every line states a fact and what was seen; exit status 1 says that some fact no longer holds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from pkgutil import iter_modules
from statistics import median
from typing import Any, NamedTuple

from official_content import DECK, Json, bundle, cases, retrieves, value_sets
from patient_1mb import patient

MEASURE = "CMS122FHIRDiabetesAssessGreaterThan9Percent"
REQUIREMENTS = ("cqlpy==0.3.1", "python-dateutil")
"""cqlpy imports dateutil but does not declare it."""

_CODED_ELEMENT = {"Encounter": "type", "MedicationRequest": "medication", "Immunization": "vaccineCode"}
_PREFIX = "http://cts.nlm.nih.gov/fhir/ValueSet/"


class Fact(NamedTuple):
    """A statement about cqlpy, whether it held, and what was seen."""

    statement: str
    holds: bool
    seen: str


class OfficialValueSets:
    """cqlpy's ``ValuesetProvider`` over the deck; it asks by the last part of the URL and reads composes."""

    def __init__(self, deck: Path) -> None:
        self.published = value_sets(deck)
        self.composed: dict[str, Json] = {}

    def get_valueset(self, name: str, scope: str | None) -> Json:
        if name not in self.composed:
            value_set = self.published[_PREFIX + name]
            systems: dict[str, list[Json]] = {}
            for member in value_set["expansion"]["contains"]:
                systems.setdefault(member["system"], []).append({"code": member["code"]})
            include = [{"system": system, "concept": concepts} for system, concepts in systems.items()]
            self.composed[name] = {**value_set, "compose": {"include": include}}
        return self.composed[name]


def facts(deck: Path) -> Iterator[Fact]:
    """Each fact, tried."""
    provider = OfficialValueSets(deck)
    yield _no_reader()
    yield _unseen_choices(deck)
    yield _null_is_not_unknown()
    yield _system_ignored(provider)
    yield _zones_dropped()
    yield _expansions_unread(provider)


def _no_reader() -> Fact:
    modules = [module.name for module in iter_modules(import_module("cqlpy").__path__)]
    names = {
        name
        for module in ("cqlpy", *(f"cqlpy.{name}" for name in modules if not name.startswith("_")))
        for name in dir(import_module(module))
        if not name.startswith("_")
    }
    readers = sorted(
        name for name in names if any(word in name.lower() for word in ("elm", "library", "translat"))
    )
    seen = f"{len(names)} public names in cqlpy and its modules; for reading a library: {readers or 'none'}"
    return Fact("has no reader for CQL libraries or ELM, so CMS122 cannot be given to it", not readers, seen)


def _unseen_choices(deck: Path) -> Fact:
    from cqlpy import Context

    total, unseen = 0, 0
    for case in cases(deck, MEASURE):
        written = {r["id"]: r for r in case["resources"] if r["resourceType"] == "Observation"}
        context = Context(_NoValueSets(), bundle=bundle(case["resources"]))
        for observation in context["Observation"] if written else []:
            original = written[str(observation["id"])]
            for element, choices in (("effectivePeriod", "effective"), ("valueQuantity", "value")):
                if element in original:
                    total += 1
                    unseen += _is_null(observation[element]) and _is_null(observation[choices])
    seen = (
        f"{unseen} of {total} effectivePeriod and valueQuantity elements in the official cases read as null"
    )
    return Fact("does not see effectivePeriod and valueQuantity", total > 0 and unseen == total, seen)


class _NoValueSets:
    def get_valueset(self, name: str, scope: str | None) -> Json:
        return {"compose": {"include": []}}


def _is_null(value: Any) -> bool:
    return type(value).__name__ == "Null"


def _null_is_not_unknown() -> Fact:
    from cqlpy import operators, types

    answer = operators.equal(types.Null(), types.Integer(1))
    return Fact(
        "answers null = 1 with False (CQL: null)",
        str(answer) == "False",
        f"equal(Null(), Integer(1)) is {answer!r}",
    )


def _system_ignored(provider: OfficialValueSets) -> Fact:
    from cqlpy import Context, operators, types

    url = next(u for u, v in provider.published.items() if v["name"] == "HbA1cLaboratoryTest")
    member = provider.published[url]["expansion"]["contains"][0]
    stranger = {"system": "http://example.org/local-codes", "code": member["code"]}
    observation = {
        "resourceType": "Observation",
        "id": "1",
        "status": "final",
        "code": {"coding": [stranger]},
    }
    context = Context(provider, bundle=bundle([observation]))
    codes = context[types.Valueset(url)]
    found = len(context["Observation", codes, "code"])
    within = operators.in_valueset(types.Code(**stranger), codes)
    seen = f"code {stranger['code']} of {stranger['system']}: in the value set {within!r}, retrieved {found}"
    return Fact("ignores the code system in value-set membership", str(within) == "True" and found == 1, seen)


def _zones_dropped() -> Fact:
    from cqlpy import operators, types

    one = types.DateTime.parse_fhir_json("2026-01-01T00:30:00+10:00")
    same = types.DateTime.parse_fhir_json("2025-12-31T14:30:00Z")
    equal = operators.equal(one, same)
    seen = f"one instant written at +10:00 and in UTC reads as {one.value} and {same.value}, equal: {equal!r}"
    return Fact("drops time zones", str(equal) == "False", seen)


def _expansions_unread(provider: OfficialValueSets) -> Fact:
    from cqlpy import Context, types

    class Published:
        def get_valueset(self, name: str, scope: str | None) -> Json:
            return provider.published[_PREFIX + name]

    url = next(iter(provider.published))
    try:
        codes = len(Context(Published(), bundle=bundle([]))[types.Valueset(url)].codes)
        seen = f"{codes} codes read from an expansion"
        return Fact("does not read value-set expansions", codes == 0, seen)
    except Exception as error:  # whatever it raises is what was seen
        return Fact("does not read value-set expansions", True, f"an expansion raises {error!r}")


def time_retrieves(deck: Path, repetitions: int = 9) -> Json:
    """Milliseconds for CMS122's value-set retrieves over the 1 MB patient, value sets loaded beforehand.

    One pass parses the patient's JSON, makes a Context, runs every retrieve by value set of CMS122 and its
    libraries, and reads status and time of what was found. It computes no population.
    """
    from cqlpy import Context, types

    text = json.dumps(patient(deck), separators=(",", ":"))
    provider = OfficialValueSets(deck)
    wanted = sorted(retrieves(deck, MEASURE))
    took, parsing, found = [], [], 0
    for _ in range(repetitions):
        start = time.perf_counter()
        content = json.loads(text)
        parsed = time.perf_counter()
        context = Context(provider, bundle=content)
        found = 0
        for retrieve in wanted:
            codes = context[types.Valueset(retrieve.value_set)]
            for resource in context[retrieve.type, codes, _CODED_ELEMENT.get(retrieve.type, "code")]:
                found += 1
                _ = resource["status"], resource["period"], resource["effective"], resource["onset"]
        took.append((time.perf_counter() - start) * 1000)
        parsing.append((parsed - start) * 1000)
    return {
        "bytes": len(text),
        "resources": len(content["entry"]),
        "retrieves": len(wanted),
        "found": found,
        "ms": round(median(took), 1),
        "json_ms": round(median(parsing), 1),
    }


def report(deck: Path, as_json: bool) -> int:
    """Print every fact and the time; 0 when all facts hold."""
    found = list(facts(deck))
    timing = time_retrieves(deck)
    if as_json:
        answer = {
            "version": metadata.version("cqlpy"),
            "facts": [fact._asdict() for fact in found],
            "timing": timing,
        }
        print(json.dumps(answer, indent=2))
    else:
        print(f"cqlpy {metadata.version('cqlpy')} on CMS122")
        for fact in found:
            print(f"  {'holds  ' if fact.holds else 'CHANGED'}  {fact.statement}\n           {fact.seen}")
        print(
            f"  time     {timing['ms']} ms for the {timing['retrieves']} retrieves of CMS122 alone,"
            f" over a patient of {timing['bytes'] / 1e6:.2f} MB and {timing['resources']} resources"
            f" ({timing['found']} found), {timing['json_ms']} ms of it parsing JSON"
        )
    return 0 if all(fact.holds for fact in found) else 1


def main() -> int:
    arguments = argparse.ArgumentParser(description="Show what cqlpy 0.3.1 does with CMS122.")
    arguments.add_argument("--deck", type=Path, default=DECK)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--python", type=Path, help="interpreter of an environment that has cqlpy")
    arguments.add_argument("--here", action="store_true", help="this interpreter has cqlpy")
    given = arguments.parse_args()
    if not given.deck.is_dir():
        print(f"{given.deck} is not there. Name the official content's folder with --deck.", file=sys.stderr)
        return 2
    if given.here:
        return report(given.deck, given.json)
    again = [__file__, "--here", "--deck", str(given.deck), *(["--json"] if given.json else [])]
    if given.python:
        return subprocess.run([given.python, *again], check=False).returncode
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        return subprocess.run([python, *again], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
