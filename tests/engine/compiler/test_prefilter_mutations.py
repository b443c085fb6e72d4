"""Records changed at random: the prefilter never keeps out who is in an initial population."""

from __future__ import annotations

import copy
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from official_measures import OfficialMeasure, cases_of, official_engine, period_of

MEASURES = (
    "CMS122FHIRDiabetesAssessGreaterThan9Percent",
    "CMS125FHIRBreastCancerScreening",
    "CMS143FHIRPOAGOpticNerveEvaluation",
    "CMS149FHIRDementiaCognitiveAssessment",
    "CMS159FHIRDepressionRemissionatTwelveMonths",
    "CMS506FHIRSafeUseofOpioids",
    "CMS50FHIRCRLReceiptofSpecialistReport",
    "CMS645FHIRBoneDensityProstateCancerAndrogenDeprivationTherapy",
    "CMS72FHIRSTKAntithromboticDay2",
    "CMS816FHIRHHHypo",
    "CMS832HHAKIFHIR",
    "CMS1056CTClinicalFHIR",
)
"""One of each way in which measures select their patients: diagnoses, orders, episodes, procedures, drugs."""

ZONES = (0, 0, 0, -300, 840, -840)
OFFSETS = ("Z", "+00:00", "-12:00", "+14:00", "-05:00", "")
DATE = re.compile(r"\d{4}(-\d{2}(-\d{2}(T.*)?)?)?")
NONSENSE: tuple[Any, ...] = ("no date", "", "2026-13-45", None, 7, [], {}, "finished", True)


@pytest.fixture(scope="module")
def official(ecqm_dir: Path) -> dict[str, tuple[OfficialMeasure, list[dict[str, Any]]]]:
    engine = official_engine(ecqm_dir)
    found = {}
    for name in MEASURES:
        measure = OfficialMeasure(engine, name)
        inside = [c for c in cases_of(ecqm_dir, name) if measure.judged(c["resources"], period_of(c))[0]]
        assert inside
        found[name] = (measure, inside[:20])
    return found


@settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    name=st.sampled_from(MEASURES),
    number=st.integers(0, 19),
    changes=st.integers(1, 5),
    zone=st.sampled_from(ZONES),
    chance=st.randoms(use_true_random=True),
)
def test_who_is_in_is_let_through_whatever_became_of_the_record(
    official, name, number, changes, zone, chance
):
    measure, inside = official[name]
    case = inside[number % len(inside)]
    resources = copy.deepcopy(case["resources"])
    for _ in range(changes):
        note(change(resources, chance))
    try:
        is_in, may_be = measure.judged(resources, period_of(case), zone)
    except Exception as error:
        note(f"cannot be evaluated: {error!r}")
        return
    assert may_be or not is_in


def change(resources: list[dict[str, Any]], chance: random.Random) -> str:
    """Change something about a record, and say what."""
    kinds = [
        drop_resource,
        drop_element,
        spoil,
        shift,
        shift,
        shift,
        blur,
        blur,
        rezone,
        recode,
        restate,
        rebirth,
    ]
    return chance.choice(kinds)(resources, chance)


def drop_resource(resources: list[dict[str, Any]], chance: random.Random) -> str:
    others = [r for r in resources if r["resourceType"] != "Patient"]
    if not others:
        return "nothing to drop"
    victim = chance.choice(others)
    resources.remove(victim)
    return f"without {victim['resourceType']}/{victim.get('id')}"


def drop_element(resources: list[dict[str, Any]], chance: random.Random) -> str:
    holder, key = chance.choice(places(resources))
    if isinstance(holder, list):
        holder.pop(key)
    elif key != "resourceType":
        del holder[key]
    return f"without {key}"


def spoil(resources: list[dict[str, Any]], chance: random.Random) -> str:
    holder, key = chance.choice(places(resources))
    if key != "resourceType":
        holder[key] = chance.choice(NONSENSE)
    return f"{key} spoilt: {holder[key]!r}"


def shift(resources: list[dict[str, Any]], chance: random.Random) -> str:
    """A date some years, months or days off, mostly to where the period begins or ends."""
    spot = a_date(resources, chance)
    if spot is None:
        return "no date"
    holder, key = spot
    day = chance.choice(
        [
            "2025-12-31",
            "2026-01-01",
            "2025-12-30",
            "2026-01-02",
            "2026-12-31",
            "2027-01-01",
            "2026-06-15",
            "2020-02-29",
        ]
        + [f"{chance.randint(2023, 2028)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"]
    )
    holder[key] = day + holder[key][10:]
    return f"{key} on {holder[key]}"


def blur(resources: list[dict[str, Any]], chance: random.Random) -> str:
    spot = a_date(resources, chance)
    if spot is None:
        return "no date"
    holder, key = spot
    holder[key] = holder[key][: chance.choice([4, 7, 10])]
    return f"{key} only {holder[key]}"


def rezone(resources: list[dict[str, Any]], chance: random.Random) -> str:
    spot = a_date(resources, chance)
    if spot is None or "T" not in spot[0][spot[1]]:
        return "no time"
    holder, key = spot
    clock = chance.choice(["T00:00:00", "T23:59:59", "T12:00:00.000", "T05:30:00"])
    holder[key] = holder[key][:10] + clock + chance.choice(OFFSETS)
    return f"{key} at {holder[key]}"


def recode(resources: list[dict[str, Any]], chance: random.Random) -> str:
    """A coding in the place of another."""
    codings = [(h, k) for h, k in places(resources) if isinstance(h, list) and "code" in as_dict(h[k])]
    if not codings:
        return "no coding"
    holder, key = chance.choice(codings)
    other_holder, other = chance.choice(codings)
    holder[key] = copy.deepcopy(other_holder[other])
    if chance.random() < 0.3:
        holder[key].pop("system", None)
    return f"coded {holder[key]!r}"


def restate(resources: list[dict[str, Any]], chance: random.Random) -> str:
    stated = [(h, k) for h, k in places(resources) if k in ("status", "intent")]
    if not stated:
        return "no status"
    holder, key = chance.choice(stated)
    holder[key] = chance.choice(["finished", "completed", "active", "order", "in-progress", "FINISHED"])
    return f"{key} {holder[key]}"


def rebirth(resources: list[dict[str, Any]], chance: random.Random) -> str:
    """A birthday at or around the bounds of an age."""
    (patient,) = [r for r in resources if r["resourceType"] == "Patient"]
    years = chance.choice([12, 15, 17, 18, 19, 42, 43, 64, 65, 66, 74, 75, 76, 85, 86])
    day = chance.choice(["-01-01", "-01-02", "-12-31", "-12-30", "-06", "", "-02-28"])
    patient["birthDate"] = f"{2026 - years}{day}"
    return f"born {patient['birthDate']}"


def a_date(resources: list[dict[str, Any]], chance: random.Random) -> tuple[Any, Any] | None:
    dates = [
        (h, k)
        for h, k in places(resources)
        if isinstance(h[k], str) and DATE.fullmatch(h[k]) and len(h[k]) > 3
    ]
    return chance.choice(dates) if dates else None


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON tree, as its holder and key."""
    found: list[tuple[Any, Any]] = []
    pending = list(value) if isinstance(value, list) else [value]
    while pending:
        holder = pending.pop()
        keys: Any = holder if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            if key in ("meta", "text") and isinstance(holder, dict):
                continue
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                pending.append(holder[key])
    return found
