"""The FHIR server."""
