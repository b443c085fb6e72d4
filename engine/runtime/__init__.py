"""CQL values and operators as pure functions."""
