"""Value sets and code systems; membership never ignores the system."""
