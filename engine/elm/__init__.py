"""The ELM tree: typed nodes, reading and writing ELM JSON."""
