"""What is kept: resources with their versions, jobs, results and the audit trail, by organisation."""
