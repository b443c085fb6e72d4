"""Measurewise: clinical quality measures computed from FHIR records."""

__version__ = "0.1.0"
