"""The prefilter over the official measures: whoever is in an initial population is let through."""

from __future__ import annotations

import pytest
from official_measures import OfficialMeasure, cases_of, official_engine, period_of

from measurewise.engine.runner.period import Period

OTHER_PERIODS = [Period("2025-01-01", "2025-12-31"), Period("2026-07-01", "2027-06-30")]


@pytest.mark.deck
def test_nobody_of_an_initial_population_is_kept_out(ecqm_dir, record_property):
    engine = official_engine(ecqm_dir)
    inside = outside = kept_out = cases = 0
    wrong = []
    for measure in engine.content.measures:
        official = OfficialMeasure(engine, measure.name)
        for case in cases_of(ecqm_dir, measure.name):
            cases += 1
            for period in [period_of(case), *OTHER_PERIODS]:
                is_in, may_be = official.judged(case["resources"], period)
                if is_in and not may_be:
                    wrong.append((measure.name, case["id"], period))
                inside += is_in
                outside += not is_in
                kept_out += not is_in and not may_be
    tally = f"{inside:,} inside, all let through; {outside:,} outside, {kept_out:,} of them kept out"
    print(tally)
    record_property("prefilter", tally)
    assert wrong == []
    assert cases == 2156
    assert inside > 1900
    assert kept_out > outside // 2
