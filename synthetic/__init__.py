"""Synthetic patients: FHIR R4 records that reach every population of the shipped measures."""

from __future__ import annotations

from measurewise.synthetic.population import (
    bundle_json,
    synthesize,
    synthetic_patient,
    write_folder,
    write_ndjson,
)
from measurewise.synthetic.stories import BloodPressure, Diabetes, Hospital, Stories, stories

__all__ = [
    "BloodPressure",
    "Diabetes",
    "Hospital",
    "Stories",
    "bundle_json",
    "stories",
    "synthesize",
    "synthetic_patient",
    "write_folder",
    "write_ndjson",
]
