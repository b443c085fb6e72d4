"""Patients from any FHIR R4 server, and results back to it (``docs/fhir-server-adapter.md``)."""
