"""What an author of CQL should look at though it translates: see ``rules.py``."""
