"""How long it takes to write one QRDA III report with every eCQM of a year.

    python benchmarks/qrda3_writing.py [--year 2025] [--core 0] [--repetitions 15]

The reports are made up: each measure of the year with all its populations, strata and supplemental data.
Reading MeasureReports from JSON is not in it. A year has somewhat fewer than 50 eCQMs (2025: 47 with 61
rates), so the time of 50 is that of those there are, taken in proportion. Exit status 1 says that the aim
was missed.
"""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from typing import Any

from stopwatch import cpu, machine, pin

from measurewise.qrda.category3.writing.description import Description, Entity, EntityType, Programme
from measurewise.qrda.category3.writing.document import write
from measurewise.qrda.category3.writing.results import POPULATIONS
from measurewise.qrda.category3.writing.supplemental import vocabulary
from measurewise.qrda.category3.writing.year import year_identifiers
from measurewise.qrda.year_data import PopulationGroup

AIM_MS = 300.0
FIFTY = 50
COUNTS = {"IPOP": 1000, "DENOM": 900, "DENEX": 50, "NUMER": 700, "DENEXCEP": 40}
CODES = {qrda: fhir for fhir, qrda in POPULATIONS.items()}


def population(code: str, share: int) -> dict[str, Any]:
    return {"code": {"coding": [{"code": CODES[code]}]}, "count": COUNTS[code] // share}


def group(known: PopulationGroup) -> dict[str, Any]:
    codes = list(known.populations)
    stratifiers: list[dict[str, Any]] = [
        {
            "id": f"stratifier-{place}",
            "stratum": [
                {"value": {"text": text}, "population": [population(code, 2) for code in codes]}
                for text in ("true", "false")
            ],
        }
        for place, _ in enumerate(known.strata)
    ]
    for element in vocabulary().elements:
        strata = [
            {
                "value": {"coding": [{"code": value.code}]},
                "population": [population(code, len(element.values)) for code in codes],
            }
            for value in element.values
        ]
        stratifiers.append({"id": f"sde-{element.name}", "stratum": strata})
    return {"population": [population(code, 1) for code in codes], "stratifier": stratifiers}


def main() -> int:
    """Measure, print a line, and say whether the aim is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--year", type=int, default=2025)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--repetitions", type=int, default=15)
    options = parser.parse_args()
    pinned = pin(options.core)
    measures = year_identifiers(options.year).measures
    reports = [
        {
            "resourceType": "MeasureReport",
            "status": "complete",
            "type": "summary",
            "measure": f"https://madie.cms.gov/Measure/{number}",
            "period": {"start": f"{options.year}-01-01", "end": f"{options.year}-12-31"},
            "group": [group(known) for known in measure.reported_groups],
        }
        for number, measure in measures.items()
    ]
    description = Description(
        options.year,
        Programme.MIPS,
        Entity(EntityType.GROUP, "Good Health Clinic", tin="123456789"),
        cehrt_id="0015CABCDEFGHIJ",
    )
    at = datetime(options.year + 1, 1, 15)
    size = len(write(reports, description, at).xml)
    timing = cpu(lambda: write(reports, description, at), options.repetitions)
    median, least = timing.median / 1000, timing.least / 1000
    fifty = median * FIFTY / len(reports)
    rates = sum(len(report["group"]) for report in reports)
    print(f"{machine()}, {'one core' if pinned else 'not pinned'}")
    print(
        f"{len(reports)} measures, {rates} rates, {size / 1e6:.1f} MB: {median:.0f} ms CPU "
        f"(least {least:.0f}); 50 measures {fifty:.0f} ms, aim {AIM_MS:.0f} ms"
    )
    return 0 if fifty < AIM_MS else 1


if __name__ == "__main__":
    sys.exit(main())
