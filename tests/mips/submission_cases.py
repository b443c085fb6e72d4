"""What breaks a rule of the submissions API, each with the codes and places that are told for it."""

from __future__ import annotations

from typing import Any

from qpp_examples import PI_MEASUREMENTS, RATE, activities, promoting, quality, registry, submission

SET = "/measurementSets/0"
FIRST = f"{SET}/measurements/0"
MVP = "G0053"
APM = {
    "entityType": "apm",
    "entityId": "AR1898",
    "taxpayerIdentificationNumber": None,
    "nationalProviderIdentifier": None,
}


def without(content: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key != name}


def one_rate(measure: str = "236", **changes: Any) -> dict[str, Any]:
    value = {name: value for name, value in {**RATE, **changes}.items() if value is not None}
    return {"measureId": measure, "value": value}


def rate(**changes: Any) -> dict[str, Any]:
    return submission(quality(measurements=[one_rate(**changes)]))


def strata(*names: str, measure: str = "239", **changes: Any) -> dict[str, Any]:
    counts = {name: value for name, value in RATE.items() if name != "isEndToEndReported"}
    value = {
        "isEndToEndReported": True,
        "strata": [{**counts, **changes, "stratum": name} for name in names],
    }
    return {"measureId": measure, "value": value}


def pi(*changed: tuple[str, Any], **changes: Any) -> dict[str, Any]:
    """The complete PI set with values replaced, added, or (None) taken away."""
    values = {one["measureId"]: one["value"] for one in PI_MEASUREMENTS}
    values.update(changed)
    kept = [{"measureId": name, "value": value} for name, value in values.items() if value is not None]
    return submission(promoting(measurements=kept, **changes))


def at(content: dict[str, Any], measure: str) -> str:
    """The pointer to a measure's measurement in the first set."""
    names = [one["measureId"] for one in content["measurementSets"][0]["measurements"]]
    return f"{SET}/measurements/{names.index(measure)}"


CASES: list[tuple[str, dict[str, Any], list[tuple[str, str]]]] = [
    ("no year", submission(performanceYear=None), [("SV-missing", "/performanceYear")]),
    ("year as text", submission(performanceYear="2025"), [("SV-type", "/performanceYear")]),
    ("unknown year", submission(performanceYear=2019), [("SV-year", "/performanceYear")]),
    ("no entity type", submission(entityType=None), [("SV-missing", "/entityType")]),
    ("strange entity", submission(entityType="practice"), [("SV-entity-type", "/entityType")]),
    (
        "no TIN",
        submission(taxpayerIdentificationNumber=None),
        [("SV-missing", "/taxpayerIdentificationNumber")],
    ),
    (
        "TIN with hyphen",
        submission(taxpayerIdentificationNumber="12-3456789"),
        [("SV-tin", "/taxpayerIdentificationNumber")],
    ),
    ("no NPI", submission(nationalProviderIdentifier=None), [("SV-missing", "/nationalProviderIdentifier")]),
    ("short NPI", submission(nationalProviderIdentifier="123"), [("SV-npi", "/nationalProviderIdentifier")]),
    (
        "mistyped NPI",
        submission(nationalProviderIdentifier="1234567894"),
        [("SV-npi-check-digit", "/nationalProviderIdentifier")],
    ),
    (
        "group with NPI",
        submission(entityType="group"),
        [("SV-identifier-unused", "/nationalProviderIdentifier")],
    ),
    ("individual with entity id", submission(entityId="A1"), [("SV-identifier-unused", "/entityId")]),
    (
        "APM entity without id",
        submission(entityType="apm", taxpayerIdentificationNumber=None, nationalProviderIdentifier=None),
        [("SV-missing", "/entityId")],
    ),
    (
        "virtual group with TIN",
        submission(entityType="virtualGroup", entityId="VG1", nationalProviderIdentifier=None),
        [("SV-identifier-unused", "/taxpayerIdentificationNumber")],
    ),
    (
        "subgroup id of another form",
        submission(
            quality(programName=MVP, measurements=[one_rate("130")]),
            entityType="subgroup",
            entityId="1",
            taxpayerIdentificationNumber=None,
            nationalProviderIdentifier=None,
        ),
        [("SV-entity-id", "/entityId")],
    ),
    ("no sets", submission(measurementSets=[]), [("SV-no-sets", "/measurementSets")]),
    ("sets absent", submission(measurementSets=None), [("SV-no-sets", "/measurementSets")]),
    ("sets no list", submission(measurementSets={}), [("SV-type", "/measurementSets")]),
    ("a set no object", submission(measurementSets=[1]), [("SV-type", "/measurementSets/0")]),
    ("no category", submission(without(quality(), "category")), [("SV-missing", f"{SET}/category")]),
    ("cost category", submission(quality(category="cost")), [("SV-category", f"{SET}/category")]),
    (
        "no method",
        submission(without(quality(), "submissionMethod")),
        [("SV-missing", f"{SET}/submissionMethod")],
    ),
    (
        "claims",
        submission(quality(submissionMethod="claims")),
        [("SV-method", f"{SET}/submissionMethod")],
    ),
    (
        "pcf after its end",
        submission(
            quality(programName="pcf", measurements=[one_rate()]),
            entityType="apm",
            entityId="AR1898",
            taxpayerIdentificationNumber=None,
            nationalProviderIdentifier=None,
        ),
        [("SV-programme", f"{SET}/programName")],
    ),
    (
        "APP Plus before its time",
        submission(
            quality(
                programName="appPlus",
                performanceStart="2024-01-01",
                performanceEnd="2024-12-31",
                measurements=[one_rate()],
            ),
            performanceYear=2024,
        ),
        [("SV-programme", f"{SET}/programName")],
    ),
    (
        "virtual group in APP",
        submission(
            quality(programName="app1", measurements=[one_rate()]),
            entityType="virtualGroup",
            entityId="VG1",
            taxpayerIdentificationNumber=None,
            nationalProviderIdentifier=None,
        ),
        [("SV-programme-entity", f"{SET}/programName")],
    ),
    (
        "activities for pcf",
        submission(
            activities(programName="PCF", performanceStart="2024-01-01", performanceEnd="2024-12-31"),
            performanceYear=2024,
            entityType="apm",
            entityId="AR1898",
            taxpayerIdentificationNumber=None,
            nationalProviderIdentifier=None,
        ),
        [("SV-programme-category", f"{SET}/programName")],
    ),
    ("the same set twice", submission(quality(), quality()), [("SV-duplicate-set", "/measurementSets/1")]),
    (
        "the same set, its programme once unnamed",
        submission(quality(), without(quality(), "programName")),
        [("SV-duplicate-set", "/measurementSets/1")],
    ),
    (
        "the same measure twice",
        submission(quality(measurements=[one_rate(), one_rate()])),
        [("SV-duplicate-measure", f"{SET}/measurements/1/measureId")],
    ),
    (
        "no start",
        submission(without(quality(), "performanceStart")),
        [("SV-missing", f"{SET}/performanceStart")],
    ),
    (
        "a day that is none",
        submission(quality(performanceEnd="2025-02-30")),
        [("SV-date", f"{SET}/performanceEnd")],
    ),
    (
        "a day in another form",
        submission(quality(performanceEnd="20251231")),
        [("SV-date", f"{SET}/performanceEnd")],
    ),
    (
        "end before start",
        submission(activities(performanceStart="2025-06-01", performanceEnd="2025-05-31")),
        [("SV-period-order", f"{SET}/performanceEnd")],
    ),
    (
        "quality that ends the day before it starts",
        submission(quality(performanceStart="2025-06-01", performanceEnd="2025-05-31")),
        [("SV-period-order", f"{SET}/performanceEnd")],
    ),
    (
        "a day of activities",
        submission(activities(performanceEnd="2025-01-01")),
        [("SV-period-short", f"{SET}/performanceEnd")],
    ),
    (
        "a day by its week",
        submission(quality(performanceEnd="2025-W05-5")),
        [("SV-date", f"{SET}/performanceEnd")],
    ),
    (
        "virtual group in an MVP",
        submission(
            quality(programName=MVP, measurements=[one_rate("130")]),
            entityType="virtualGroup",
            entityId="VG1",
            taxpayerIdentificationNumber=None,
            nationalProviderIdentifier=None,
        ),
        [("SV-programme-entity", f"{SET}/programName")],
    ),
    (
        "period of two years",
        submission(activities(performanceStart="2024-12-01")),
        [("SV-period-year", f"{SET}/performanceStart")],
    ),
    (
        "179 days of PI",
        submission(promoting(performanceStart="2025-07-06")),
        [("SV-period-short", f"{SET}/performanceEnd")],
    ),
    (
        "89 days of activities",
        submission(activities(performanceEnd="2025-03-30")),
        [("SV-period-short", f"{SET}/performanceEnd")],
    ),
    (
        "half a year of quality",
        submission(quality(performanceStart="2025-07-01")),
        [("SV-period-partial", f"{SET}/performanceStart")],
    ),
    (
        "PI without certification",
        submission(without(promoting(), "cehrtId")),
        [("SV-cehrt-missing", f"{SET}/cehrtId")],
    ),
    (
        "eCQMs without certification",
        submission(without(quality(), "cehrtId")),
        [("SV-cehrt-expected", f"{SET}/cehrtId")],
    ),
    (
        "hospital certification",
        submission(promoting(cehrtId="0015H1235689784")),
        [("SV-cehrt-format", f"{SET}/cehrtId")],
    ),
    ("empty set", submission(quality(measurements=[])), [("SV-empty-set", f"{SET}/measurements")]),
    (
        "no measure id",
        submission(quality(measurements=[{"value": RATE}])),
        [("SV-missing", f"{FIRST}/measureId")],
    ),
    (
        "no value",
        submission(quality(measurements=[{"measureId": "236"}])),
        [("SV-missing", f"{FIRST}/value")],
    ),
    (
        "a CMS number",
        submission(quality(measurements=[one_rate("CMS165")])),
        [("SV-measure-unknown", f"{FIRST}/measureId")],
    ),
    (
        "an activity among quality",
        submission(quality(measurements=[{"measureId": "IA_PM_2", "value": {"numerator": 1}}])),
        [("SV-measure-category", f"{FIRST}/measureId")],
    ),
    (
        "an eCQM-only measure by registry",
        submission(registry(strata("84Days", "180Days", measure="009", eligiblePopulationExclusion=0))),
        [("SV-measure-method", f"{FIRST}/measureId")],
    ),
    (
        "CAHPS",
        submission(registry({"measureId": "321", "value": {"score": 9}})),
        [("SV-measure-elsewhere", f"{FIRST}/measureId")],
    ),
    (
        "a measure of MVPs alone",
        submission(quality(measurements=[one_rate("128")])),
        [("SV-measure-programme", f"{FIRST}/measureId")],
    ),
    (
        "a value of another kind",
        submission(activities(measurements=[{"measureId": "IA_PM_2", "value": {"numerator": 1}}])),
        [("SV-value-kind", f"{FIRST}/value")],
    ),
    (
        "a yes for a rate",
        submission(quality(measurements=[{"measureId": "236", "value": True}])),
        [("SV-value-kind", f"{FIRST}/value")],
    ),
    (
        "one rate for several",
        submission(quality(measurements=[one_rate("239")])),
        [("SV-value-kind", f"{FIRST}/value")],
    ),
    (
        "not end to end told",
        rate(isEndToEndReported=None),
        [("SV-missing", f"{FIRST}/value/isEndToEndReported")],
    ),
    ("no numerator", rate(performanceMet=None), [("SV-missing", f"{FIRST}/value/performanceMet")]),
    ("half a patient", rate(performanceMet=60.5), [("SV-type", f"{FIRST}/value/performanceMet")]),
    ("a negative count", rate(performanceNotMet=-1), [("SV-negative", f"{FIRST}/value/performanceNotMet")]),
    (
        "more met than eligible",
        rate(performanceMet=101),
        [("SV-above-eligible", f"{FIRST}/value/performanceMet")],
    ),
    (
        "counts beyond the eligible",
        rate(performanceMet=70),
        [("SV-sum-above-eligible", f"{FIRST}/value/eligiblePopulation")],
    ),
    ("incomplete data", rate(eligiblePopulation=134), [("SV-completeness", f"{FIRST}/value")]),
    (
        "incomplete data of several rates",
        submission(
            quality(
                measurements=[strata("percentiles", "nutrition", "physicalActivity", eligiblePopulation=134)]
            )
        ),
        [("SV-completeness", f"{FIRST}/value")],
    ),
    (
        "no eligible population",
        rate(eligiblePopulation=None),
        [("SV-missing", f"{FIRST}/value/eligiblePopulation")],
    ),
    (
        "an eligible population below 0",
        rate(eligiblePopulation=-1),
        [("SV-negative", f"{FIRST}/value/eligiblePopulation")],
    ),
    (
        "strata that are null",
        submission(
            quality(
                measurements=[{"measureId": "239", "value": {"isEndToEndReported": True, "strata": None}}]
            )
        ),
        [("SV-missing", f"{FIRST}/value/strata")],
    ),
    (
        "exclusions of a CQM",
        submission(registry(one_rate())),
        [("SV-cqm-exclusion", f"{FIRST}/value/eligiblePopulationExclusion")],
    ),
    (
        "a QCDR measure without its rate",
        submission(registry(one_rate("ACR12"))),
        [("SV-rate-missing", f"{FIRST}/value/performanceRate")],
    ),
    (
        "a rate above 100",
        submission(registry(one_rate("ACR12", performanceRate=100.5))),
        [("SV-rate-range", f"{FIRST}/value/performanceRate")],
    ),
    (
        "a stratum too few",
        submission(quality(measurements=[strata("percentiles", "nutrition")])),
        [("SV-stratum-missing", f"{FIRST}/value/strata")],
    ),
    (
        "a stratum of another name",
        submission(quality(measurements=[strata("percentiles", "nutrition", "physicalActivity", "sleep")])),
        [("SV-stratum-unknown", f"{FIRST}/value/strata/3/stratum")],
    ),
    (
        "a stratum twice",
        submission(
            quality(measurements=[strata("percentiles", "nutrition", "physicalActivity", "nutrition")])
        ),
        [("SV-duplicate-stratum", f"{FIRST}/value/strata/3/stratum")],
    ),
    (
        "three strata of 238 by registry",
        submission(
            registry(
                strata(
                    "overall",
                    "appropriateDiagnosis",
                    "totalRate",
                    measure="238",
                    eligiblePopulationExclusion=0,
                )
            )
        ),
        [("SV-stratum-count", f"{FIRST}/value/strata")],
    ),
    (
        "counts of a stratum",
        submission(
            quality(measurements=[strata("percentiles", "nutrition", "physicalActivity", performanceMet=-1)])
        ),
        [("SV-negative", f"{FIRST}/value/strata/{number}/performanceMet") for number in range(3)],
    ),
    (
        "numerator above denominator",
        pi(("PI_EP_1", {"numerator": 9, "denominator": 8})),
        [("SV-proportion", f"{FIRST}/value/numerator")],
    ),
    (
        "a measure with its exclusion",
        pi(("PI_LVPP_1", True)),
        [("SV-pi-exclusion", FIRST)],
    ),
    (
        "a denied measure with its exclusion",
        pi(("PI_PHCDRR_3", False)),
        [("SV-pi-superfluous", f"{SET}/measurements/11")],
    ),
    (
        "two ways of exchange",
        pi(("PI_HIE_1", {"numerator": 1, "denominator": 2})),
        [("SV-pi-substitute", f"{SET}/measurements/2")],
    ),
    (
        "no security risk analysis",
        pi(("PI_PPHI_1", None)),
        [("SV-pi-required", f"{SET}/measurements")],
    ),
    (
        "no exchange",
        pi(("PI_HIE_5", None)),
        [("SV-pi-required", f"{SET}/measurements")],
    ),
    (
        "half an exchange",
        pi(("PI_HIE_5", None), ("PI_HIE_1", {"numerator": 1, "denominator": 2})),
        [("SV-pi-required", f"{SET}/measurements")],
    ),
    (
        "no patient with access",
        pi(("PI_PEA_1", {"numerator": 0, "denominator": 9})),
        [("SV-pi-not-performed", f"{SET}/measurements/3/value")],
    ),
    (
        "information blocking",
        pi(("PI_INFBLO_1", False)),
        [("SV-pi-not-performed", f"{SET}/measurements/9/value")],
    ),
    (
        "engagement without its level",
        pi(("PI_PHCDRR_1_PROD", None)),
        [("SV-pi-engagement", f"{SET}/measurements/4")],
    ),
]
