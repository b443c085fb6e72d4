"""Who the patient is: Patient and Coverage, as complete as real ones are."""

from __future__ import annotations

from datetime import date

from measurewise.synthetic import vocabulary as v
from measurewise.synthetic.chance import Chance
from measurewise.synthetic.chart import QICORE, US_CORE, Chart, Json
from measurewise.synthetic.stories import BloodPressure, Diabetes, Hospital, Stories

RACE_AND_ETHNICITY = "urn:oid:2.16.840.1.113883.6.238"
RACES = (
    (60, v.coding(RACE_AND_ETHNICITY, "2106-3", "White")),
    (18, v.coding(RACE_AND_ETHNICITY, "2054-5", "Black or African American")),
    (10, v.coding(RACE_AND_ETHNICITY, "2028-9", "Asian")),
    (4, v.coding(RACE_AND_ETHNICITY, "1002-5", "American Indian or Alaska Native")),
    (3, v.coding(RACE_AND_ETHNICITY, "2076-8", "Native Hawaiian or Other Pacific Islander")),
)
ETHNICITIES = (
    (80, v.coding(RACE_AND_ETHNICITY, "2186-5", "Not Hispanic or Latino")),
    (20, v.coding(RACE_AND_ETHNICITY, "2135-2", "Hispanic or Latino")),
)
UNKNOWN = v.coding(f"{v.HL7}/v3-NullFlavor", "UNK", "unknown")
FAMILIES = ("Abara", "Berger", "Castillo", "Dubois", "Eriksen", "Fischer", "Gupta", "Haddad", "Ito", "Jansen")
GIVEN = {
    "female": ("Ada", "Beatriz", "Chidi", "Dana", "Elif", "Farah", "Grace", "Hana"),
    "male": ("Amir", "Boris", "Carlos", "Dmitri", "Emeka", "Felix", "Gabriel", "Hiro"),
    "other": ("Alex", "Robin", "Sam"),
}
DATA_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def age_at_end_of_year(chance: Chance, told: Stories) -> int:
    """An age that the stories allow, in years on the last day of the measurement year."""
    if told.diabetes is Diabetes.TOO_YOUNG:
        return chance.whole(8, 16)
    if told.diabetes is Diabetes.TOO_OLD:
        return chance.whole(76, 92)
    if told.diabetes is Diabetes.PREGNANT:
        return chance.whole(21, 42)
    if told.diabetes is not Diabetes.NONE:
        return chance.weighted(((10, 75), (30, chance.whole(20, 44)), (60, chance.whole(45, 74))))
    if told.blood_pressure is not BloodPressure.NORMAL or told.hospital is not Hospital.NONE:
        return chance.whole(20, 95)
    return chance.whole(0, 95)


def introduce(chart: Chart, told: Stories) -> Json:
    """Write the Patient, and return it: a death that the stories bring is told in it later."""
    chance = chart.chance
    gender = "female" if told.diabetes is Diabetes.PREGNANT else _gender(chance)
    names = GIVEN.get(gender, GIVEN["other"])
    age = age_at_end_of_year(chance, told)
    born = date(chart.year - age, chance.whole(1, 12), chance.whole(1, 28))
    body: Json = {
        "extension": [*_race(chance), *_ethnicity(chance)],
        "identifier": [{"system": f"{v.CANONICAL}/identifiers/patient", "value": chart.patient}],
        "name": [{"use": "official", "family": chance.one(FAMILIES), "given": [chance.one(names)]}],
        "gender": gender,
        "birthDate": born.isoformat(),
    }
    if gender in {"female", "male"} and chance.happens(0.8):
        code = "F" if gender == "female" else "M"
        body["extension"].append({"url": f"{US_CORE}birthsex", "valueCode": code})
    if told == Stories(Diabetes.NONE, BloodPressure.NORMAL, Hospital.NONE):
        _lose_some(chance, body)
    if not body["extension"]:
        del body["extension"]
    patient = f"{chart.patient}"
    chart.add("Patient", f"{QICORE}patient", body)
    written = chart.resources[-1]
    written["id"] = patient
    if chance.happens(0.9):
        _cover(chart)
    return written


def _lose_some(chance: Chance, body: Json) -> None:
    """Take away what some records lack: the day of birth, the birth date, the gender."""
    lost = chance.whole(1, 6)
    if lost == 1:
        body["birthDate"] = body["birthDate"][:7]
    elif lost == 2:
        body["birthDate"] = body["birthDate"][:4]
    elif lost == 3:
        del body["birthDate"]
        body["_birthDate"] = {"extension": [{"url": DATA_ABSENT, "valueCode": "unknown"}]}
    elif lost == 4:
        del body["gender"]


def _gender(chance: Chance) -> str:
    return chance.weighted(((51, "female"), (46, "male"), (2, "other"), (1, "unknown")))


def _race(chance: Chance) -> list[Json]:
    if chance.happens(0.1):
        return []
    if chance.happens(0.05):
        categories = [UNKNOWN]
    else:
        categories = [chance.weighted(RACES)]
        other = chance.weighted(RACES)
        if chance.happens(0.06) and other not in categories:
            categories.append(other)
    parts: list[Json] = [{"url": "ombCategory", "valueCoding": dict(category)} for category in categories]
    parts.append({"url": "text", "valueString": ", ".join(category["display"] for category in categories)})
    return [{"url": f"{US_CORE}race", "extension": parts}]


def _ethnicity(chance: Chance) -> list[Json]:
    if chance.happens(0.1):
        return []
    category = chance.weighted(ETHNICITIES)
    parts: list[Json] = [
        {"url": "ombCategory", "valueCoding": dict(category)},
        {"url": "text", "valueString": category["display"]},
    ]
    return [{"url": f"{US_CORE}ethnicity", "extension": parts}]


def _cover(chart: Chart) -> None:
    since = chart.year - chart.chance.whole(0, 6)
    period: Json = {"start": f"{since}-01-01"}
    if chart.chance.happens(0.2):
        period["end"] = f"{chart.year}-{chart.chance.whole(3, 12):02d}-28"
    chart.add(
        "Coverage",
        f"{QICORE}coverage",
        {
            "status": chart.chance.weighted(((95, "active"), (5, "cancelled"))),
            "type": v.concept(chart.chance.weighted(v.PAYERS)),
            "beneficiary": chart.subject(),
            "period": period,
            "payor": [{"display": "Payer"}],
        },
    )
