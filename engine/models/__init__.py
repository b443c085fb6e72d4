"""Model info: the types of System, FHIR, QI-Core and US Core as compact tables."""
