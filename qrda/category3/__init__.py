"""QRDA Category III: aggregate reports, HL7 STU with the CMS implementation guide for eligible clinicians."""
