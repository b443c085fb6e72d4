"""What is kept: FHIR resources with their versions, content, jobs, results and the audit trail, by organisation."""
