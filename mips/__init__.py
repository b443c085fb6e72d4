"""The MIPS programme: what a practice hands in, and what becomes of it."""
