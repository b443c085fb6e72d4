"""How each chapter of the CQL logical specification (ELM) becomes Python; importing a chapter
registers it."""

from measurewise.engine.compiler.chapters import (
    casts,
    clinical,
    comparison,
    logic,
    operators,
    properties,
    queries,
    references,
    selectors,
    timing,
)

__all__ = [
    "casts",
    "clinical",
    "comparison",
    "logic",
    "operators",
    "properties",
    "queries",
    "references",
    "selectors",
    "timing",
]
