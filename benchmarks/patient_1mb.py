"""Large patients for the benchmarks, the same on every machine for one seed and one deck.

    python benchmarks/patient_1mb.py --output out/patients

writes ``patient_1mb.json``, one woman of 65 with ten years of ordinary care: about 830 resources and
1.18 MB. Beside it ``encounters_1.json``, ``encounters_10.json`` and ``encounters_100.json`` hold the same
woman with 1, 10 and 100 encounters a year for ten years and what belongs to them, for measuring how a
measure's time grows with the record.

She has a few lasting problems and office visits in the last year, which bring her into initial populations.
Otherwise three codes in four come from the value sets that the 25 eligible-clinician measures retrieve by,
the rest from those of the other measures in the deck. Value sets that end a measure early (hospice,
palliative care, frailty, dialysis and the like) are left out, so that the logic behind them has to run.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import uuid
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from official_content import DECK, ELIGIBLE_CLINICIAN_MEASURES, Json, bundle, retrieves, value_sets

LAST_YEAR = 2026
YEARS = 10
SEED = 2026

_QICORE = "http://hl7.org/fhir/us/qicore/StructureDefinition/"
_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
_HL7 = "http://terminology.hl7.org/CodeSystem/"
_UCUM = "http://unitsofmeasure.org"
_LOINC = "http://loinc.org"
_EARLY_ENDS = (
    *("hospice", "palliative", "frail", "advanced illness", "long term", "expired"),
    *("pregnan", "deliver", "obstetric"),
    *("dialysis", "esrd", "end stage", "stage 5", "transplant"),
    *("mastectomy", "absence of cervix", "colectomy", "malignant neoplasm of colon"),
)

PROBLEMS = (
    "Diabetes",
    "EssentialHypertension",
    "CoronaryArteryDiseaseNoMI",
    "HeartFailure",
    "ModerateOrSevereLVSD",
    "DiabeticRetinopathy",
    "PrimaryOpenAngleGlaucoma",
    "MajorDepressionIncludingRemission",
)
"""Value sets of her lasting problems, since eight years: on the problem list and as visits' diagnoses."""

VISITS = 6
"""Office visits of the last year, which with age and problems reach the initial populations."""

SHARES = {
    "qicore-encounter": 144,
    "us-core-blood-pressure": 95,
    "us-core-bmi": 40,
    "us-core-heart-rate": 40,
    "qicore-observation-lab": 130,
    "qicore-observation-screening-assessment": 70,
    "qicore-observation-clinical-result": 40,
    "qicore-condition-problems-health-concerns": 37,
    "qicore-condition-encounter-diagnosis": 32,
    "qicore-procedure": 55,
    "qicore-medicationrequest": 68,
    "qicore-immunization": 26,
    "qicore-servicerequest": 25,
}
"""Resources by profile in the patient of 1 MB, beside the frame: the patient, who treats, who pays."""


class Chart:
    """One patient's record as it is written: a source of chance, the codes to draw from, the resources."""

    def __init__(self, deck: Path, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 -- repeatable test data, no secret
        self.codes = codes_by_profile(deck)
        self.by_name = {value_set["name"]: value_set for value_set in value_sets(deck).values()}
        self.resources: list[Json] = []
        self.encounters: list[Json] = []
        self.patient = self._frame()

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def put(self, type_: str, profile: str, told: str, **elements: Any) -> Json:
        """Add a resource with what every resource of a real system carries: version, source, narrative."""
        resource: Json = {"resourceType": type_, "id": self.new_id()}
        day, second = self.chance.randint(1, 28), self.chance.randint(0, 59)
        resource["meta"] = {
            "versionId": str(self.chance.randint(1, 4)),
            "lastUpdated": f"{LAST_YEAR}-12-{day:02}T04:12:{second:02}.000Z",
            "profile": [profile],
        }
        resource["text"] = {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{type_}</b> {_escaped(told)}</p></div>',
        }
        resource["identifier"] = [
            {
                "use": "official",
                "system": "https://ehr.example.org/ids",
                "value": f"{self.chance.getrandbits(40):010x}",
            }
        ]
        resource.update(elements)
        self.resources.append(resource)
        return resource

    def code(self, profile: str) -> Json:
        """A code that retrieves of the profile ask for, three times in four one of the 25 measures."""
        ours, others = self.codes[profile]
        return self.chance.choice(ours if not others or self.chance.random() < 0.75 else others)

    def moment(self, year: int | None = None) -> datetime:
        """A quarter of an hour in office time; of any of the ten years unless told."""
        chosen = year if year is not None else LAST_YEAR - self.chance.randrange(YEARS)
        day = datetime(chosen, 1, 1) + timedelta(days=self.chance.randrange(365))
        return day.replace(hour=self.chance.randint(8, 16), minute=15 * self.chance.randrange(4))

    def subject(self) -> Json:
        return {"reference": f"Patient/{self.patient['id']}", "display": "Rivera, Ana Maria"}

    def encounter(self) -> Json:
        """One of the encounters so far."""
        return self.chance.choice(self.encounters)

    def _frame(self) -> Json:
        patient = self.put(
            "Patient",
            _QICORE + "qicore-patient",
            "Ana Maria Rivera, female, born 14 May 1961",
            extension=[
                _omb("us-core-race", "2106-3", "White"),
                _omb("us-core-ethnicity", "2135-2", "Hispanic or Latino"),
                {"url": _US_CORE + "us-core-sex", "valueCode": "248152002"},
            ],
            active=True,
            name=[{"use": "official", "family": "Rivera", "given": ["Ana", "Maria"]}],
            telecom=[{"system": "phone", "value": "555-0114", "use": "home"}],
            gender="female",
            birthDate="1961-05-14",
            address=[{"line": ["27 Juniper Road"], "city": "Salem", "state": "OR", "postalCode": "97301"}],
        )
        for name in ("Ahmed, Sara", "Lindqvist, Per", "Okafor, Chidi"):
            family, given = name.split(", ")
            self.put(
                "Practitioner",
                _QICORE + "qicore-practitioner",
                name,
                active=True,
                name=[{"family": family, "given": [given], "prefix": ["Dr"]}],
            )
        self.put(
            "Organization",
            _QICORE + "qicore-organization",
            "Salem Family Medicine",
            name="Salem Family Medicine",
        )
        for number, (code, display) in enumerate((("1", "MEDICARE"), ("5", "PRIVATE HEALTH INSURANCE"))):
            self.put(
                "Coverage",
                _QICORE + "qicore-coverage",
                display,
                status="active",
                type=_concept({"system": "https://nahdo.org/sopt", "code": code, "display": display}),
                beneficiary={"reference": f"Patient/{patient['id']}"},
                period={"start": f"{LAST_YEAR - 9 + number}-01-01"},
            )
        return patient


def codes_by_profile(deck: Path) -> dict[str, tuple[list[Json], list[Json]]]:
    """The codes that retrieves of a profile ask for: of the 25 measures, and of the others alone."""
    published = value_sets(deck)
    names = sorted(path.name.removesuffix(".json.gz") for path in (deck / "measures").glob("*.json.gz"))
    urls: dict[tuple[str, bool], set[str]] = defaultdict(set)
    for name in names:
        for retrieve in retrieves(deck, name):
            urls[retrieve.profile, name in ELIGIBLE_CLINICIAN_MEASURES].add(retrieve.value_set)
    found: dict[str, tuple[list[Json], list[Json]]] = {}
    for profile in {profile for profile, _ in urls}:
        ours = urls[profile, True]
        others = urls[profile, False] - ours
        found[profile] = (_members(published, ours), _members(published, others))
    return {profile: (ours or others, others) for profile, (ours, others) in found.items()}


def _members(published: dict[str, Json], urls: set[str]) -> list[Json]:
    """One entry a code, value sets in turn, so that a small value set weighs as much as one of thousands."""
    members = []
    for url in sorted(urls & published.keys()):
        title = (published[url].get("title") or published[url]["name"]).lower()
        if not any(word in title for word in _EARLY_ENDS):
            contains = published[url]["expansion"].get("contains", [])
            members += [contains[i * len(contains) // 12] for i in range(12) if contains]
    return [
        {key: member[key] for key in ("system", "code", "display") if key in member} for member in members
    ]


# --- kinds of resource ------------------------------------------------------------------------------------


def _write(chart: Chart, profile: str, year: int | None) -> None:
    """One resource of a profile."""
    if profile == "qicore-encounter":
        _encounter(chart, year)
    elif profile.startswith("us-core"):
        _vital_sign(chart, profile)
    elif "observation" in profile:
        _observation(chart, profile)
    elif "condition" in profile:
        _condition(chart, profile)
    else:
        {
            "qicore-procedure": _procedure,
            "qicore-medicationrequest": _prescription,
            "qicore-immunization": _immunization,
            "qicore-servicerequest": _order,
        }[profile](chart, profile)


def _story(chart: Chart) -> None:
    """The visits and problems that bring her into measures."""
    for _ in range(VISITS):
        _encounter(chart, LAST_YEAR, _first(chart, "OfficeVisit"))
    for name in PROBLEMS:
        for profile in ("qicore-condition-problems-health-concerns", "qicore-condition-encounter-diagnosis"):
            _condition(chart, profile, _first(chart, name))


def _first(chart: Chart, value_set: str) -> Json:
    member = chart.by_name[value_set]["expansion"]["contains"][0]
    return {key: member[key] for key in ("system", "code", "display")}


def _encounter(chart: Chart, year: int | None, code: Json | None = None) -> None:
    code = code or chart.code("qicore-encounter")
    start = chart.moment(year)
    encounter = chart.put(
        "Encounter",
        _QICORE + "qicore-encounter",
        f"{code.get('display', code['code'])}, {start:%d %B %Y}",
        status="finished",
        **{"class": {"system": _HL7 + "v3-ActCode", "code": "AMB", "display": "ambulatory"}},
        type=[_concept(code)],
        subject=chart.subject(),
        participant=[{"individual": {"reference": "Practitioner/" + _id_of(chart, "Practitioner")}}],
        period={"start": _stamp(start), "end": _stamp(start + timedelta(minutes=20))},
        serviceProvider={"reference": "Organization/" + _id_of(chart, "Organization")},
    )
    chart.encounters.append(encounter)


_VITAL_SIGNS = {
    "us-core-blood-pressure": ("85354-9", "Blood pressure panel with all children optional"),
    "us-core-bmi": ("39156-5", "Body mass index (BMI) [Ratio]"),
    "us-core-heart-rate": ("8867-4", "Heart rate"),
}


def _vital_sign(chart: Chart, profile: str) -> None:
    code, display = _VITAL_SIGNS[profile]
    values: Json
    if profile == "us-core-blood-pressure":
        values = {
            "component": [
                _component("8480-6", "Systolic blood pressure", chart.chance.randint(108, 164)),
                _component("8462-4", "Diastolic blood pressure", chart.chance.randint(62, 98)),
            ]
        }
    elif profile == "us-core-bmi":
        values = {"valueQuantity": _quantity(chart.chance.randint(210, 340) / 10, "kg/m2")}
    else:
        values = {"valueQuantity": _quantity(chart.chance.randint(55, 98), "/min")}
    _put_observation(
        chart, _US_CORE + profile, {"system": _LOINC, "code": code, "display": display}, "vital-signs", values
    )


def _observation(chart: Chart, profile: str) -> None:
    code = chart.code(profile)
    values: Json
    category = "laboratory" if profile.endswith("lab") else "survey"
    if profile.endswith("lab"):
        glycated = "A1c" in code.get("display", "")
        amount = chart.chance.randint(52, 104) / 10 if glycated else chart.chance.randint(40, 260)
        values = {"valueQuantity": _quantity(amount, "%" if glycated else "mg/dL")}
    elif chart.chance.random() < 0.5:
        values = {"valueInteger": chart.chance.randint(0, 27)}
    else:
        negative = {
            "system": "http://snomed.info/sct",
            "code": "260385009",
            "display": "Negative (qualifier value)",
        }
        values = {"valueCodeableConcept": _concept(negative)}
    _put_observation(chart, _QICORE + profile, code, category, values)


def _put_observation(chart: Chart, profile: str, code: Json, category: str, values: Json) -> None:
    encounter = chart.encounter()
    chart.put(
        "Observation",
        profile,
        f"{code.get('display', code['code'])}, {encounter['period']['start'][:10]}",
        status="final",
        category=[_concept({"system": _HL7 + "observation-category", "code": category})],
        code=_concept(code),
        subject=chart.subject(),
        encounter=_reference(encounter),
        effectiveDateTime=encounter["period"]["start"],
        performer=[{"reference": "Practitioner/" + _id_of(chart, "Practitioner")}],
        **values,
    )


def _condition(chart: Chart, profile: str, lasting: Json | None = None) -> None:
    code, encounter = lasting or chart.code(profile), chart.encounter()
    onset = f"{LAST_YEAR - 8}-02-06T09:00:00.000-08:00" if lasting else encounter["period"]["start"]
    category = "encounter-diagnosis" if profile.endswith("diagnosis") else "problem-list-item"
    over = not lasting and chart.chance.random() < 0.4
    chart.put(
        "Condition",
        _QICORE + profile,
        f"{code.get('display', code['code'])}, since {onset[:10]}",
        clinicalStatus=_concept(
            {"system": _HL7 + "condition-clinical", "code": "resolved" if over else "active"}
        ),
        verificationStatus=_concept({"system": _HL7 + "condition-ver-status", "code": "confirmed"}),
        category=[_concept({"system": _HL7 + "condition-category", "code": category})],
        code=_concept(code),
        subject=chart.subject(),
        encounter=_reference(encounter),
        onsetDateTime=onset,
        recordedDate=onset,
        **({"abatementDateTime": _stamp(_moment_of(onset) + timedelta(days=90))} if over else {}),
    )


def _procedure(chart: Chart, profile: str) -> None:
    code, encounter = chart.code(profile), chart.encounter()
    chart.put(
        "Procedure",
        _QICORE + profile,
        f"{code.get('display', code['code'])}, {encounter['period']['start'][:10]}",
        status="completed",
        code=_concept(code),
        subject=chart.subject(),
        encounter=_reference(encounter),
        performedPeriod=dict(encounter["period"]),
    )


def _prescription(chart: Chart, profile: str) -> None:
    code, encounter = chart.code(profile), chart.encounter()
    start = encounter["period"]["start"][:10]
    dispensing = {
        "start": start,
        "end": f"{_moment_of(encounter['period']['start']) + timedelta(days=90):%Y-%m-%d}",
    }
    chart.put(
        "MedicationRequest",
        _QICORE + profile,
        f"{code.get('display', code['code'])}, ordered {start}",
        status=chart.chance.choice(["active", "completed", "completed"]),
        intent="order",
        category=[_concept({"system": _HL7 + "medicationrequest-category", "code": "community"})],
        medicationCodeableConcept=_concept(code),
        subject=chart.subject(),
        encounter=_reference(encounter),
        authoredOn=encounter["period"]["end"],
        requester={"reference": "Practitioner/" + _id_of(chart, "Practitioner")},
        dosageInstruction=[
            {
                "text": "One tablet once a day",
                "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
                "doseAndRate": [{"doseQuantity": _quantity(1, "{tbl}")}],
            }
        ],
        dispenseRequest={
            "validityPeriod": dispensing,
            "numberOfRepeatsAllowed": 3,
            "quantity": _quantity(90, "{tbl}"),
            "expectedSupplyDuration": _quantity(90, "d"),
        },
    )


def _immunization(chart: Chart, profile: str) -> None:
    code, encounter = chart.code(profile), chart.encounter()
    chart.put(
        "Immunization",
        _QICORE + profile,
        code.get("display", code["code"]),
        status="completed",
        vaccineCode=_concept(code),
        patient=chart.subject(),
        encounter=_reference(encounter),
        occurrenceDateTime=encounter["period"]["start"],
        primarySource=True,
    )


def _order(chart: Chart, profile: str) -> None:
    code, encounter = chart.code(profile), chart.encounter()
    chart.put(
        "ServiceRequest",
        _QICORE + profile,
        code.get("display", code["code"]),
        status=chart.chance.choice(["active", "completed"]),
        intent="order",
        code=_concept(code),
        subject=chart.subject(),
        encounter=_reference(encounter),
        authoredOn=encounter["period"]["end"],
    )


# --- parts ------------------------------------------------------------------------------------------------


def _concept(code: Json) -> Json:
    return {"coding": [code], "text": code["display"]} if "display" in code else {"coding": [code]}


def _quantity(value: float, unit: str) -> Json:
    return {"value": value, "unit": unit, "system": _UCUM, "code": unit}


def _component(code: str, display: str, value: int) -> Json:
    concept = _concept({"system": _LOINC, "code": code, "display": display})
    return {"code": concept, "valueQuantity": _quantity(value, "mm[Hg]")}


def _omb(name: str, code: str, display: str) -> Json:
    coding = {"system": "urn:oid:2.16.840.1.113883.6.238", "code": code, "display": display}
    parts = [{"url": "ombCategory", "valueCoding": coding}, {"url": "text", "valueString": display}]
    return {"url": _US_CORE + name, "extension": parts}


def _reference(resource: Json) -> Json:
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def _id_of(chart: Chart, type_: str) -> str:
    return str(chart.chance.choice([r["id"] for r in chart.resources[:8] if r["resourceType"] == type_]))


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000-08:00"


def _moment_of(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp[:19])


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# --- patients ---------------------------------------------------------------------------------------------


def patient(deck: Path = DECK, seed: int = SEED) -> Json:
    """The patient of about 830 resources and 1.18 MB, as a Bundle."""
    chart = Chart(deck, seed)
    _story(chart)
    for profile, count in SHARES.items():
        for number in range(count):
            _write(chart, profile, LAST_YEAR if number < 12 else None)
    return bundle(chart.resources)


def grown(encounters_a_year: int, deck: Path = DECK, seed: int = SEED) -> Json:
    """The same woman with so many more encounters in each of ten years, and 4.5 other resources for each."""
    chart = Chart(deck, seed)
    _story(chart)
    for year in range(LAST_YEAR - YEARS + 1, LAST_YEAR + 1):
        for _ in range(encounters_a_year):
            _encounter(chart, year)
    others = {profile: count for profile, count in SHARES.items() if profile != "qicore-encounter"}
    chosen = chart.chance.choices(list(others), list(others.values()), k=45 * encounters_a_year)
    for profile in chosen:
        _write(chart, profile, None)
    return bundle(chart.resources)


def main() -> int:
    arguments = argparse.ArgumentParser(description="Write the benchmarks' large patients.")
    arguments.add_argument("--deck", type=Path, default=DECK)
    arguments.add_argument("--output", type=Path, default=Path("out/patients"))
    arguments.add_argument("--seed", type=int, default=SEED)
    given = arguments.parse_args()
    if not given.deck.is_dir():
        print(f"{given.deck} is not there. Name the official content's folder with --deck.", file=sys.stderr)
        return 2
    given.output.mkdir(parents=True, exist_ok=True)
    written = {"patient_1mb": patient(given.deck, given.seed)}
    for encounters_a_year in (1, 10, 100):
        written[f"encounters_{encounters_a_year}"] = grown(encounters_a_year, given.deck, given.seed)
    for name, content in written.items():
        path = given.output / f"{name}.json"
        path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
        print(f"{path}: {len(content['entry'])} resources, {path.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
