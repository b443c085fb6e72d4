"""Many patients: one process, all cores."""
