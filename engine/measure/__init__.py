"""FHIR Measure semantics: groups, populations, scoring, reports."""
