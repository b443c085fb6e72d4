"""Syntax tree to ELM: names, scopes, types, overloads, conversions."""
