"""The value sets that ship."""
