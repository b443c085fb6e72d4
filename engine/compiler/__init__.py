"""ELM to Python source to functions."""
