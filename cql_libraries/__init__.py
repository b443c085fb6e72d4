"""The measures that ship: CQL, ELM and Measure resources."""
