"""QRDA Category I: one patient's record, written from FHIR R4 and read into it."""
