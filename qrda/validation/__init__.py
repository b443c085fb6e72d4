"""QRDA documents held to the CDA schema and to the schematrons of HL7 and CMS."""

from measurewise.qrda.validation.finding import ValidationFinding
from measurewise.qrda.validation.rule_files import RuleFilesError
from measurewise.qrda.validation.validator import validate, validate_category1

__all__ = ["RuleFilesError", "ValidationFinding", "validate", "validate_category1"]
