"""The reviewed expectations that ship: their form, and what can be proved of them from the cases alone."""

import copy
import gzip
import json
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from measurewise.engine.content.content import load_content
from measurewise.engine.measure.expected import differences
from measurewise.engine.record.record import Record
from measurewise.engine.runner.period import Period
from measurewise.engine.runner.reviewed import read_reviewed
from measurewise.engine.runner.session import Engine

FILE = Path(__file__).parents[2] / "cli" / "reviewed" / "ecqm-content-qicore-2025.json"
ENTRIES = json.loads(FILE.read_bytes())["reviewed"]
INCOMPLETE = [entry for entry in ENTRIES if entry["kind"] == "incomplete case"]
ONE_CLAIM_LEFT = [entry for entry in INCOMPLETE if "principal diagnosis" in entry["reason"]]
CMS130 = [entry for entry in ENTRIES if entry["measure"].startswith("CMS130")]


@pytest.fixture(scope="module")
def case(ecqm_dir):
    """A case of the deck by the measure and id of an entry."""
    decode = msgspec.json.Decoder(float_hook=Decimal).decode
    known = {}

    def find(entry):
        measure = entry["measure"]
        if measure not in known:
            with gzip.open(ecqm_dir / "cases" / f"{measure}.ndjson.gz") as lines:
                known[measure] = {c["id"]: c for c in map(decode, lines)}
        return known[measure][entry["case"]]

    return find


@pytest.fixture(scope="module")
def engine(ecqm_dir):
    content = load_content(ecqm_dir / "measures", ecqm_dir / "libraries", ecqm_dir / "valuesets.ndjson.gz")
    return Engine(content, missing_valuesets="empty")


def named(entry):
    return f"{entry['measure'].partition('FHIR')[0]}-{entry['case'][:8]}"


def test_the_file_is_one_that_the_deck_reads():
    assert len(read_reviewed(FILE)) == len(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=named)
def test_every_review_gives_facts_and_a_clause_to_look_up(entry):
    assert entry["kind"] in json.loads(FILE.read_bytes())["kinds"]
    assert len(entry["reason"]) > 100
    assert "https://" in entry["clause"]


@pytest.mark.parametrize("entry", INCOMPLETE, ids=named)
def test_an_incomplete_case_holds_a_resource_once_that_its_report_names_more_often(entry, case):
    found = case(entry)
    named_by_report = Counter(r["reference"] for r in found["expected"][0]["evaluatedResource"])
    held = Counter(f"{r['resourceType']}/{r['id']}" for r in found["resources"])
    assert max(named_by_report.values()) > 1
    assert [key for key, count in named_by_report.items() if held[key] < count] == [
        key for key, count in named_by_report.items() if count > 1
    ]


@pytest.mark.parametrize("entry", ONE_CLAIM_LEFT, ids=named)
def test_with_one_claim_for_each_inpatient_encounter_the_published_expectation_holds(entry, case, engine):
    found = case(entry)
    (claim,) = [r for r in found["resources"] if r["resourceType"] == "Claim"]
    claimed = {reference["reference"] for item in claim["item"] for reference in item["encounter"]}
    missing = []
    for encounter in found["resources"]:
        reference = f"{encounter['resourceType']}/{encounter['id']}"
        inpatient = encounter["resourceType"] == "Encounter" and encounter["class"]["code"] == "IMP"
        if inpatient and reference not in claimed:
            put_back = copy.deepcopy(claim)
            for item in put_back["item"]:
                item["encounter"] = [{"reference": reference}]
            missing.append(put_back)
    (report,) = found["expected"]
    period = Period(report["period"]["start"], report["period"]["end"])
    prepared = engine.prepare(entry["measure"], period=period)
    (as_held,) = prepared.evaluate(Record(found["resources"]))
    (as_published,) = prepared.evaluate(Record([*found["resources"], *missing]))
    assert differences(report, prepared.measures[0], as_held)
    assert not differences(report, prepared.measures[0], as_published)


@pytest.mark.parametrize("entry", CMS130, ids=named)
def test_a_patient_of_one_age_is_expected_in_two_strata_of_different_ages(entry, case):
    found = case(entry)
    (patient,) = [r for r in found["resources"] if r["resourceType"] == "Patient"]
    age_at_the_end_of_2026 = 2026 - date.fromisoformat(patient["birthDate"]).year
    assert 46 <= age_at_the_end_of_2026 <= 75
    (group,) = found["expected"][0]["group"]
    strata = [
        stratum
        for stratifier in group["stratifier"]
        for stratum in stratifier["stratum"]
        if stratum["value"]["text"] == "true"
    ]
    counted = [
        population["count"]
        for stratum in strata
        for population in stratum["population"]
        if population["code"]["coding"][0]["code"] == "initial-population"
    ]
    assert len(strata) == 2
    assert max(counted[: len(counted) // 2]) == max(counted[len(counted) // 2 :]) == 1
    assert all(difference["aspect"] == "stratifier" for difference in entry["differences"])
