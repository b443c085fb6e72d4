"""Composite measures from content to report: over a dozen patients whose component results are written down.

=======  =========================  ====================================  ====================
patient  DiabetesGlycemicControl    HighBloodPressureFollowUp (visits)    HospitalFollowUpInterval
=======  =========================  ====================================  ====================
2        met                        excepted
3        excepted                   excluded                              2 days
4        met                        initial population only
6                                                                         11 days
8                                   failed
10       failed                     initial population only               excluded
11                                  met (2 visits, 1 with high pressure)
19       met                        failed
23       failed                     met
25       met                        met
50       excluded                   met
66       excepted                   failed
=======  =========================  ====================================  ====================

The first test holds the table to what the component measures give; the rest is counted from it by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from measurewise import cql_libraries, valuesets
from measurewise.engine import (
    ContentError,
    Engine,
    NotFoundError,
    PatientResult,
    Prepared,
    ProgramCache,
    Record,
    SummaryAccumulator,
    load_content,
    read_record,
    subject_list_report,
    summary_report,
)
from measurewise.engine.measure.reports.edge import to_json, validate
from measurewise.synthetic import bundle_json, synthetic_patient

CQFM = "http://hl7.org/fhir/us/cqfmeasures/StructureDefinition/cqfm-"
SHIPPED = "https://measurewise.example/Measure/"
DIABETES = f"{SHIPPED}DiabetesGlycemicControl"
PRESSURE = f"{SHIPPED}HighBloodPressureFollowUp"
HOSPITAL = f"{SHIPPED}HospitalFollowUpInterval"
NUMBERS = (2, 3, 4, 6, 8, 10, 11, 19, 23, 25, 50, 66)

Json = dict[str, Any]
Prepare = Callable[..., Prepared]


def component(canonical: str, weight: str | None = None, group: str | None = None) -> Json:
    extensions: list[Json] = []
    if weight is not None:
        extensions.append({"url": CQFM + "weight", "valueDecimal": float(weight)})
    if group is not None:
        extensions.append({"url": CQFM + "groupId", "valueString": group})
    artifact: Json = {"type": "composed-of", "resource": canonical}
    return {**artifact, "extension": extensions} if extensions else artifact


def coded(code: str) -> Json:
    return {"coding": [{"code": code}]}


def composite(method: str, *components: Json, name: str = "Composite", **more: Any) -> Json:
    return {
        "resourceType": "Measure",
        "id": name,
        "url": f"http://example.org/Measure/{name}",
        "version": "2.0.0",
        "name": name,
        "status": "draft",
        "scoring": coded("composite"),
        "compositeScoring": coded(method),
        "improvementNotation": coded("increase"),
        "relatedArtifact": list(components or (component(DIABETES), component(f"{PRESSURE}|1.0.0"))),
        **more,
    }


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [read_record(bundle_json(synthetic_patient(number - 1, seed=1))) for number in NUMBERS]


@pytest.fixture
def content(tmp_path: Path) -> Callable[..., list[Path]]:
    def written(*measures: Json) -> list[Path]:
        folder = tmp_path / "composites"
        folder.mkdir(exist_ok=True)
        for measure in measures:
            (folder / f"{measure['id']}.json").write_text(json.dumps(measure))
        return [cql_libraries.FOLDER, valuesets.FOLDER, folder]

    return written


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ProgramCache:
    return ProgramCache(tmp_path_factory.mktemp("programs"))


@pytest.fixture
def prepare(content: Callable[..., list[Path]], cache: ProgramCache) -> Prepare:
    def prepared(*measures: Json, **options: Any) -> Prepared:
        engine = Engine(load_content(*content(*measures)), cache=cache)
        return engine.prepare(measures[0]["name"], period="2026", **options)

    return prepared


def summed(prepared: Prepared, records: list[Record]) -> SummaryAccumulator:
    return SummaryAccumulator(prepared.measures[0]).add_all(
        prepared.evaluate(record)[0] for record in records
    )


def counts(result: PatientResult) -> tuple[int, ...]:
    return result.groups[0].counts


def test_the_component_measures_give_the_table(records: list[Record]) -> None:
    engine = Engine(load_content(cql_libraries.FOLDER, valuesets.FOLDER))
    prepared = engine.prepare(DIABETES, PRESSURE, HOSPITAL, period="2026")
    diabetes, pressure, hospital = zip(*[prepared.evaluate(record) for record in records], strict=True)
    out, met, failed = (0, 0, 0, 0, 0), (1, 1, 0, 1, 0), (1, 1, 0, 0, 0)
    excluded, excepted, initial = (1, 1, 1, 0, 0), (1, 1, 0, 0, 1), (1, 0, 0, 0, 0)
    assert [counts(result) for result in diabetes] == [
        met, excepted, met, out, out, failed, out, met, failed, met, excluded, excepted
    ]  # fmt: skip
    assert [counts(result) for result in pressure] == [
        excepted, excluded, initial, out, failed, initial, (2, 1, 0, 1, 0), failed, met, met, met, failed
    ]  # fmt: skip
    observed = [[o.value for o in result.groups[0].observations[0]] for result in hospital]
    assert observed == [[], [2], [], [11], [], [], [], [], [], [], [], []]


def test_all_or_nothing(prepare: Prepare, records: list[Record]) -> None:
    prepared = prepare(composite("all-or-nothing"))
    assert [m.name for m in prepared.measures] == ["Composite"]
    assert prepared.remarks() == []
    results = [prepared.evaluate(record)[0] for record in records]
    assert [counts(result) for result in results] == [
        (1, 1, 0, 1, 0, 0),  # met one and was excepted from the other: nothing failed
        (1, 1, 1, 0, 0, 0),
        (1, 1, 0, 1, 0, 0),
        (0, 0, 0, 0, 0, 0),
        (1, 1, 0, 0, 0, 0),
        (1, 1, 0, 0, 0, 0),
        (1, 1, 0, 1, 0, 0),
        (1, 1, 0, 0, 0, 0),
        (1, 1, 0, 0, 0, 0),
        (1, 1, 0, 1, 0, 0),
        (1, 1, 1, 0, 0, 0),
        (1, 1, 0, 0, 0, 1),  # failed one, and is excepted for the other
    ]
    summary = summed(prepared, records)
    assert summary.groups[0].counts == [11, 11, 2, 4, 0, 1]
    assert summary.groups[0].patients == 11
    assert summary.scores() == (Fraction(4, 11 - 2 - 1),)


def test_opportunity(prepare: Prepare, records: list[Record]) -> None:
    summary = summed(prepare(composite("opportunity")), records)
    # Diabetes: 9 in the denominator, 1 excluded, 4 met, 2 excepted. Pressure: 11 in the initial population,
    # 9 in the denominator, 1 excluded, 4 met, 1 excepted.
    assert summary.groups[0].counts == [9 + 11, 9 + 9, 1 + 1, 4 + 4, 0, 2 + 1]
    assert summary.scores() == (Fraction(8, 18 - 2 - 3),)


def test_linear(prepare: Prepare, records: list[Record]) -> None:
    prepared = prepare(composite("linear"))
    results = [prepared.evaluate(record)[0] for record in records]
    half = Fraction(1, 2)
    assert [[o.value for o in result.groups[0].observations[0]] for result in results] == [
        [1], [None], [1], [], [0], [0], [1], [half], [half], [1], [1], [0]
    ]  # fmt: skip
    summary = summed(prepared, records)
    assert summary.groups[0].counts == [11, 11, 0]
    assert summary.scores() == (Fraction(6, 10),)


def test_weighted(prepare: Prepare, records: list[Record]) -> None:
    prepared = prepare(composite("weighted", component(DIABETES, "0.75"), component(PRESSURE, "0.25")))
    summary = summed(prepared, records)
    diabetes, pressure = Fraction(4, 9 - 1 - 2), Fraction(4, 9 - 1 - 1)
    assert summary.scores() == (diabetes * Fraction(3, 4) + pressure * Fraction(1, 4),) == (Fraction(9, 14),)
    assert summary.groups[0].counts == []
    assert summary.groups[0].patients == 11
    assert [part.counts for part in summary.groups[0].components] == [[9, 9, 1, 4, 2], [12, 9, 1, 4, 1]]
    # One patient is a population of one: met one component, failed the other.
    report = prepared.report(prepared.evaluate(records[NUMBERS.index(19)])[0])
    assert report["group"][0]["measureScore"] == {"value": Decimal("0.75")}


def test_a_weighted_composite_may_have_a_continuous_variable_component(
    prepare: Prepare, records: list[Record]
) -> None:
    parts = (component(DIABETES, "0.5"), component(HOSPITAL, "0.5"))
    summary = summed(prepare(composite("weighted", *parts)), records)
    assert summary.scores() == ((Fraction(2, 3) + Fraction(13, 2)) / 2,)


def test_weights_that_nobody_states_are_one_each(prepare: Prepare, records: list[Record]) -> None:
    prepared = prepare(composite("weighted"))
    assert summed(prepared, records).scores() == ((Fraction(2, 3) + Fraction(4, 7)) / 2,)
    (remark,) = prepared.remarks()
    assert "no component states a weight; each counts once" in remark


METHODS = {
    "all-or-nothing": composite("all-or-nothing"),
    "opportunity": composite("opportunity"),
    "linear": composite("linear"),
    "weighted": composite("weighted", component(DIABETES, "0.2"), component(PRESSURE, "0.8")),
}


@pytest.mark.parametrize("method", METHODS)
def test_shares_that_are_merged_give_what_the_whole_gives(
    prepare: Prepare, records: list[Record], method: str
) -> None:
    prepared = prepare(METHODS[method], supplemental_data=True)
    whole = summed(prepared, records)
    assert whole.patients == len(records)
    for size in (1, 5):
        total = SummaryAccumulator(prepared.measures[0])
        for start in reversed(range(0, len(records), size)):
            total.merge(summed(prepared, records[start : start + size]))
        assert total == whole
        assert total.scores() == whole.scores()


@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_report_is_valid_and_says_the_same(
    prepare: Prepare, records: list[Record], method: str
) -> None:
    prepared = prepare(METHODS[method], supplemental_data=True, evaluated_resources=True)
    measure = prepared.measures[0]
    reporting = prepared.reporting(date="2027-01-01T00:00:00Z")
    results = [prepared.evaluate(record)[0] for record in records]
    summary = summary_report(SummaryAccumulator(measure).add_all(results), reporting)
    subjects = subject_list_report(measure, [result.compact() for result in results], reporting)
    for report in (summary, subjects, *map(prepared.report, results)):
        validate(report)
        assert report["measure"] == "http://example.org/Measure/Composite|2.0.0"
        assert report["improvementNotation"]["coding"][0]["code"] == "increase"
    assert summary["group"][0]["measureScore"] == subjects["group"][0]["measureScore"]
    if method == "all-or-nothing":
        lists = {item["id"]: item["entry"] for item in subjects["contained"] if "entry" in item}
        (numerator,) = [
            population
            for population in subjects["group"][0]["population"]
            if population["code"]["coding"][0]["code"] == "numerator"
        ]
        listed = lists[numerator["subjectResults"]["reference"][1:]]
        assert [entry["item"]["display"] for entry in listed] == [
            f"Patient/synthetic-1-{number:06}" for number in (2, 4, 11, 25)
        ]


def test_a_composite_has_the_supplemental_data_of_its_components_once(
    prepare: Prepare, records: list[Record]
) -> None:
    prepared = prepare(composite("linear"), supplemental_data=True)
    names = [item.criteria.name for item in prepared.measures[0].supplemental_data]
    assert names == ["SDE Sex", "SDE Race", "SDE Ethnicity", "SDE Payer"]
    alone = Engine(load_content(cql_libraries.FOLDER, valuesets.FOLDER)).prepare(
        DIABETES, period="2026", supplemental_data=True
    )
    for record in records:
        mine, theirs = prepared.evaluate(record)[0], alone.evaluate(record)[0]
        assert mine.supplemental_data == theirs.supplemental_data


def test_a_composite_is_evaluated_beside_its_components_in_one_program(
    prepare: Prepare, content: Callable[..., list[Path]], records: list[Record]
) -> None:
    engine = Engine(load_content(*content(composite("opportunity"))))
    whole = engine.prepare("Composite", DIABETES, "Composite", period="2026")
    assert [measure.name for measure in whole.measures] == [
        "Composite", "DiabetesGlycemicControl", "Composite"
    ]  # fmt: skip
    first, diabetes, again = whole.evaluate(records[0])
    assert counts(diabetes) == (1, 1, 0, 1, 0)
    assert first == again == prepare(composite("opportunity")).evaluate(records[0])[0]
    libraries = [name for name, _ in engine.compiled("Composite").tables.libraries]
    assert {"DiabetesGlycemicControl", "HighBloodPressureFollowUp"} <= set(libraries)
    assert len(libraries) == len(set(libraries))
    assert "HospitalFollowUpInterval" not in libraries


def test_a_cached_program_gives_the_same_composite(
    content: Callable[..., list[Path]], records: list[Record], tmp_path: Path
) -> None:
    loaded = load_content(*content(composite("all-or-nothing")))
    cache = ProgramCache(tmp_path / "programs")
    first = Engine(loaded, cache=cache).prepare("Composite", period="2026")
    second = Engine(loaded, cache=cache).prepare("Composite", period="2026")
    assert len(list(cache.folder.iterdir())) == 1
    assert first.measures == second.measures
    assert [first.evaluate(r) for r in records] == [second.evaluate(r) for r in records]


AGE = {"criteria": {"language": "text/cql-identifier", "expression": "Stratification Age Group"}}


@pytest.mark.parametrize("method", METHODS)
def test_a_composite_with_a_library_of_its_own_may_be_stratified(
    prepare: Prepare, records: list[Record], method: str
) -> None:
    library = "https://measurewise.example/Library/DiabetesGlycemicControl"
    stratified = {**METHODS[method], "library": [library], "group": [{"id": "all", "stratifier": [AGE]}]}
    summary = summed(prepare(stratified), records)
    whole = summed(prepare(METHODS[method]), records)
    (by_age,) = summary.groups[0].strata
    assert len(by_age) > 1
    assert [sum(column) for column in zip(*[s.counts for s in by_age.values()], strict=True)] == list(
        whole.groups[0].counts
    )
    assert summary.scores() == whole.scores()
    if method == "weighted":
        (group,) = summary.measure.groups
        for stratum in by_age.values():
            diabetes, pressure = [
                part.score(part_of)
                for part, part_of in zip(stratum.components, group.composite.groups, strict=True)
            ]  # type: ignore[union-attr]
            if diabetes is not None and pressure is not None:
                assert stratum.score(group) == diabetes * Fraction(1, 5) + pressure * Fraction(4, 5)
    halves = SummaryAccumulator(summary.measure)
    for half in (records[6:], records[:6]):
        halves.merge(summed(prepare(stratified), half))
    assert halves == summary


def test_components_may_be_groups_of_one_measure_and_even_of_the_composite_itself(
    prepare: Prepare, records: list[Record]
) -> None:
    shipped = json.loads((cql_libraries.FOLDER / "DiabetesGlycemicControl" / "measure.json").read_bytes())
    group = shipped["group"][0]
    mine = "http://example.org/Measure/Both"
    both = {
        **shipped,
        "id": "Both",
        "name": "Both",
        "url": mine,
        "group": [
            {**group, "id": "one"},
            {**group, "id": "two", "population": [dict(p, id=f"{p['id']}-2") for p in group["population"]]},
            {
                "id": "composite",
                "extension": [
                    {"url": CQFM + "scoring", "valueCodeableConcept": coded("composite")},
                    {"url": CQFM + "compositeScoring", "valueCodeableConcept": coded("opportunity")},
                    *[
                        {"url": CQFM + "component", "valueRelatedArtifact": component(mine, group=name)}
                        for name in ("one", "two")
                    ],
                ],
            },
        ],
    }
    summary = summed(prepare(both), records)
    one, two, of_both = summary.groups
    assert one.counts == two.counts == [9, 9, 1, 4, 2]
    assert of_both.counts == [18, 18, 2, 8, 0, 4]


@pytest.mark.parametrize(
    ("measures", "error", "told"),
    [
        (
            [composite("linear", component(DIABETES), component(f"{SHIPPED}Nothing"))],
            NotFoundError,
            f"measure Composite 2.0.0 is composed of {SHIPPED}Nothing, but there is no such measure.",
        ),
        (
            [composite("linear", component(DIABETES), component(f"{PRESSURE}|9.0.0"))],
            NotFoundError,
            f"is composed of {PRESSURE}|9.0.0, but there is version 1.0.0.",
        ),
        (
            [
                composite("linear", component(DIABETES), component("http://example.org/Measure/Other")),
                composite(
                    "linear",
                    component(DIABETES),
                    component("http://example.org/Measure/Composite"),
                    name="Other",
                ),
            ],
            ContentError,
            "composed of each other in a circle: Composite 2.0.0 -> Other 2.0.0 -> Composite 2.0.0.",
        ),
        (
            [composite("linear", component(DIABETES), component("http://example.org/Measure/Composite"))],
            ContentError,
            "in a circle: Composite 2.0.0 -> Composite 2.0.0.",
        ),
        (
            [
                composite("linear", component(DIABETES), component("http://example.org/Measure/Other")),
                composite("linear", name="Other"),
            ],
            ContentError,
            "a component is a composite itself.",
        ),
        (
            [composite("weighted", component(DIABETES, "0.5"), component(PRESSURE))],
            ContentError,
            f"the composite is weighted, and 1 of its 2 components have no weight: {PRESSURE}.",
        ),
        (
            [composite("weighted", component(DIABETES, "0"), component(PRESSURE, "0"))],
            ContentError,
            "give no average.",
        ),
        (
            [composite("weighted", component(DIABETES, "-0.5"), component(PRESSURE, "1.5"))],
            ContentError,
            "give no average.",
        ),
        (
            [composite("opportunity", component(DIABETES), component(HOSPITAL))],
            ContentError,
            "a continuous-variable component has no numerator to combine.",
        ),
        (
            [composite("opportunity", component(DIABETES), component(PRESSURE, group="group-9"))],
            ContentError,
            "has no group 'group-9'.",
        ),
        (
            [composite("linear", group=[{"stratifier": [AGE]}])],
            ContentError,
            "the composite has stratifiers, and the Measure names no library that defines them.",
        ),
        (
            [composite("linear", supplementalData=[AGE])],
            ContentError,
            "the Measure has supplemental data, and names no library that defines them.",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_composed_is_refused(
    prepare: Prepare, measures: list[Json], error: type[ContentError], told: str
) -> None:
    with pytest.raises(error) as caught:
        prepare(*measures)
    assert told in str(caught.value)
    assert "Composite" in str(caught.value)


def test_individual_reports_of_a_composite_are_json(prepare: Prepare, records: list[Record]) -> None:
    prepared = prepare(METHODS["weighted"])
    report = json.loads(to_json(prepared.report(prepared.evaluate(records[3])[0])))
    assert report["group"][0]["measureScore"]["extension"][0]["valueCode"] == "not-applicable"
