"""One patient's resources, indexed by type, code and reference."""
