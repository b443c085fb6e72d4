"""Patients from any FHIR R4 server."""
