"""Submissions that are in order, to be spoilt in one place each."""

from __future__ import annotations

import copy
from typing import Any

NPI = "1234567893"
"""The NPI of CMS's own example of the check digit."""

RATE = {
    "isEndToEndReported": True,
    "performanceMet": 60,
    "performanceNotMet": 25,
    "eligiblePopulationExclusion": 10,
    "eligiblePopulationException": 5,
    "eligiblePopulation": 100,
}
PI_MEASUREMENTS: list[dict[str, Any]] = [
    {"measureId": "PI_EP_1", "value": {"numerator": 5, "denominator": 8}},
    {"measureId": "PI_EP_2", "value": True},
    {"measureId": "PI_HIE_5", "value": True},
    {"measureId": "PI_PEA_1", "value": {"numerator": 3, "denominator": 9}},
    {"measureId": "PI_PHCDRR_1", "value": True},
    {"measureId": "PI_PHCDRR_1_PROD", "value": True},
    {"measureId": "PI_PHCDRR_3_EX_1", "value": True},
    {"measureId": "PI_PPHI_1", "value": True},
    {"measureId": "PI_PPHI_2", "value": True},
    {"measureId": "PI_INFBLO_1", "value": True},
    {"measureId": "PI_ONCDIR_1", "value": True},
]


def quality(**changes: Any) -> dict[str, Any]:
    """eCQMs of one rate and of several."""
    strata = [
        {"stratum": name, **{key: value for key, value in RATE.items() if key != "isEndToEndReported"}}
        for name in ("percentiles", "nutrition", "physicalActivity")
    ]
    return {
        "category": "quality",
        "submissionMethod": "electronicHealthRecord",
        "programName": "mips",
        "cehrtId": "0015C1235689784",
        "performanceStart": "2025-01-01",
        "performanceEnd": "2025-12-31",
        "measurements": [
            {"measureId": "236", "value": dict(RATE)},
            {"measureId": "239", "value": {"isEndToEndReported": True, "strata": strata}},
        ],
        **changes,
    }


def registry(*measurements: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Quality measures by registry."""
    found = quality(submissionMethod="registry", measurements=list(measurements), **changes)
    del found["cehrtId"]
    return found


def promoting(**changes: Any) -> dict[str, Any]:
    """Promoting Interoperability with all that is required."""
    return {
        "category": "pi",
        "submissionMethod": "electronicHealthRecord",
        "programName": "mips",
        "cehrtId": "0015C1235689784",
        "performanceStart": "2025-07-05",
        "performanceEnd": "2025-12-31",
        "measurements": copy.deepcopy(PI_MEASUREMENTS),
        **changes,
    }


def activities(**changes: Any) -> dict[str, Any]:
    """Improvement activities."""
    return {
        "category": "ia",
        "submissionMethod": "registry",
        "performanceStart": "2025-01-01",
        "performanceEnd": "2025-03-31",
        "measurements": [{"measureId": "IA_PM_2", "value": True}],
        **changes,
    }


def submission(*sets: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An individual's submission of 2025; ``changes`` of None take a member away."""
    content = {
        "performanceYear": 2025,
        "entityType": "individual",
        "taxpayerIdentificationNumber": "123456789",
        "nationalProviderIdentifier": NPI,
        "measurementSets": list(sets) if sets else [quality(), promoting(), activities()],
        **changes,
    }
    return {name: value for name, value in content.items() if value is not None}
