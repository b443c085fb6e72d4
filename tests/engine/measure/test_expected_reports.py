from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from given_measures import (
    PROPORTION,
    GivenDefinitions,
    coded,
    criteria,
    encounter,
    group,
    measure,
    observation,
    population,
)

from measurewise.engine.measure.expected import differences
from measurewise.engine.measure.populations import evaluate_patient
from measurewise.engine.measure.reading import read_measure
from measurewise.engine.measure.results import PatientResult

A, B = encounter("a"), encounter("b")
NAMES = [item["criteria"]["expression"].replace(" ", "_") for item in PROPORTION]
PLAIN = read_measure(
    measure(group("proportion", *PROPORTION, stratifier=[{"id": "s", "criteria": criteria("Old")}]))
)
RATIO = read_measure(
    measure(
        group(
            "ratio",
            population("initial-population"),
            population("denominator"),
            population("numerator"),
            observation("O_1_1", "Days", "denominator", "sum"),
            observation("O_1_2", "Falls", "numerator", "count"),
            basis="Encounter",
        )
    )
)


def stated(code: str, count: int, id: str | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {"code": coded("", code), "count": count}
    return item if id is None else {"id": id, **item}


def report(*populations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MeasureReport",
        "group": [{"id": "group-1", "population": [*populations], **more}],
    }


def plain(*flags: bool, old: bool = True) -> PatientResult:
    given = GivenDefinitions(**dict(zip(NAMES, flags, strict=True)), Old=old)
    return evaluate_patient(PLAIN, given, "Patient/1")


MET = plain(True, True, False, True, False, False)
CODES = [item["id"] for item in PROPORTION]


def test_equal_counts_have_no_difference() -> None:
    expected = report(*[stated(c, n, c) for c, n in zip(CODES, (1, 1, 0, 1, 0, 0), strict=True)])
    assert differences(expected, PLAIN, MET) == []


def test_each_wrong_count_is_one_difference() -> None:
    expected = report(*[stated(c, n, c) for c, n in zip(CODES, (1, 1, 1, 0, 0, 0), strict=True)])
    found = differences(expected, PLAIN, MET)
    assert [str(difference) for difference in found] == [
        "group-1/denominator-exclusion: expected 1, got 0",
        "group-1/numerator: expected 0, got 1",
    ]


def test_foreign_ids_go_by_code_and_order() -> None:
    expected = report(*[stated(c, n, f"uuid-{c}") for c, n in zip(CODES, (1, 1, 0, 1, 0, 0), strict=True)])
    expected["group"][0]["id"] = "67b50f87"
    assert differences(expected, PLAIN, MET) == []
    expected["group"][0]["population"][3]["count"] = 0
    assert [d.where for d in differences(expected, PLAIN, MET)] == ["group-1/numerator"]


def test_what_one_side_does_not_have_is_a_difference() -> None:
    expected = report(stated("initial-population", 1), stated("measure-population", 1))
    expected["group"].append({"id": "other"})
    found = differences(expected, PLAIN, MET)
    assert [(d.aspect, d.where) for d in found] == [
        ("population", "group-1/measure-population"),
        ("population", "group-1/denominator"),
        ("population", "group-1/numerator"),
        ("group", "other"),
    ]
    assert differences({"group": []}, PLAIN, MET)[0].aspect == "group"


def observed(days: dict[str, Any]) -> PatientResult:
    given = GivenDefinitions(
        Initial_Population=[A, B],
        Denominator=[A, B],
        Numerator=[],
        Days=lambda e: days[e["id"]],
        Falls=lambda e: 1,
    )
    return evaluate_patient(RATIO, given, "Patient/1")


COUNTS = (
    stated("initial-population", 2, "initial-population"),
    stated("denominator", 2, "denominator"),
    stated("numerator", 0, "numerator"),
)


def test_observations_are_compared_as_a_bag_zero_included() -> None:
    expected = report(
        *COUNTS, stated("measure-observation", 0, "O_1_1_1"), stated("measure-observation", 7, "O_1_1_2")
    )
    assert differences(expected, RATIO, observed({"a": 7, "b": 0})) == []
    (found,) = differences(expected, RATIO, observed({"a": 7, "b": 1}))
    assert (found.aspect, found.where) == ("observation", "group-1/O_1_1")
    assert (
        str(found) == "group-1/O_1_1: expected [Decimal('0'), Decimal('7')], got [Decimal('7'), Decimal('1')]"
    )


def test_an_observation_too_many_too_few_or_null_is_a_difference() -> None:
    one = report(*COUNTS, stated("measure-observation", 7, "O_1_1_1"))
    assert len(differences(one, RATIO, observed({"a": 7, "b": 0}))) == 1
    assert len(differences(one, RATIO, observed({"a": 7, "b": None}))) == 1
    assert len(differences(report(*COUNTS), RATIO, observed({"a": 7, "b": 0}))) == 1


def stratum(text: str, *counts: int) -> dict[str, Any]:
    return {
        "value": {"text": text},
        "population": [stated(c, n, c) for c, n in zip(CODES, counts, strict=False)],
    }


def stratified(*strata: dict[str, Any], counts: tuple[int, ...] = (1, 1, 0, 1, 0, 0)) -> dict[str, Any]:
    return report(
        *[stated(c, n, c) for c, n in zip(CODES, counts, strict=True)],
        stratifier=[{"id": "s", "stratum": list(strata)}],
    )


def test_a_false_stratum_may_be_the_complement_or_the_standards_reading() -> None:
    true = stratum("true", 1, 1, 0, 1, 0, 0)
    assert differences(stratified(true, stratum("false", 0, 0, 1, 0, 1, 1)), PLAIN, MET) == []
    assert differences(stratified(true, stratum("false", 0, 0, 0, 0, 0, 0)), PLAIN, MET) == []
    wrong = differences(stratified(true, stratum("false", 1, 0, 0, 0, 0, 0)), PLAIN, MET)
    assert {d.aspect for d in wrong} == {"stratifier"}


def test_the_true_stratum_is_compared_to_the_last_count() -> None:
    young = plain(True, True, False, True, False, False, old=False)
    true = stratified(stratum("true", 1, 1, 0, 1, 0, 0))
    assert [d.where for d in differences(true, PLAIN, young)] == [
        "group-1/s/true/initial-population",
        "group-1/s/true/denominator",
        "group-1/s/true/numerator",
    ]
    assert differences(stratified(stratum("Strata-1", 1, 1, 0, 1, 0, 0)), PLAIN, MET) == []


def test_a_stratum_without_members_counts_nobody() -> None:
    nobody = plain(False, False, False, False, False, False)
    expected = stratified(
        stratum("true", 0, 0, 0, 0, 0, 0), stratum("false", 1, 1, 1, 1, 1, 1), counts=(0,) * 6
    )
    assert differences(expected, PLAIN, nobody) == []


def _cases(ecqm_dir: Path, name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(ecqm_dir / "cases" / f"{name}.ndjson.gz") as lines:
        for line in lines:
            yield json.loads(line)


def test_every_population_of_the_official_expectations_is_recognised(ecqm_dir: Path) -> None:
    """A result that has nobody anywhere differs exactly where a case expects somebody."""
    reports = 0
    for path in sorted((ecqm_dir / "measures").glob("*.json.gz")):
        definition = read_measure(json.loads(gzip.decompress(path.read_bytes())))
        empty: dict[str, Any] = {}
        for item in definition.groups:
            for part in item.populations:
                if part.code == "initial-population" and part.criteria:
                    empty[part.criteria.name] = None
        given = GivenDefinitions()
        given.values = empty
        nobody = evaluate_patient(definition, given, "Patient/1")
        for case in _cases(ecqm_dir, path.name.removesuffix(".json.gz")):
            for expected in case["expected"]:
                reports += 1
                without_strata = copy.deepcopy(expected)
                somebody = 0
                seen: set[str] = set()
                for item in without_strata["group"]:
                    item.pop("stratifier", None)
                    for part in item["population"]:
                        code = part["code"]["coding"][0]["code"]
                        if "observation" in code:
                            seen.add(item["id"] + part["id"].rpartition("_")[0])
                        else:
                            somebody += part["count"] > 0
                found = differences(without_strata, definition, nobody)
                assert len(found) == somebody + len(seen)
    assert reports == 2176
