"""Measure content: measures, libraries and value sets from files, bundles and packages; includes resolved."""

from measurewise.engine.content.content import Content, MeasureContent, load_content
from measurewise.engine.content.library import LibraryContent
from measurewise.engine.content.notice import Notice
from measurewise.engine.content.resolution import ResolvedLibrary, resolve_libraries, translated
from measurewise.engine.content.sources import Libraries, LibraryChain, LibrarySource
from measurewise.engine.content.staleness import staleness
from measurewise.engine.content.value_set_use import ValueSetUse, missing_value_sets, value_set_uses

__all__ = [
    "Content",
    "Libraries",
    "LibraryChain",
    "LibraryContent",
    "LibrarySource",
    "MeasureContent",
    "Notice",
    "ResolvedLibrary",
    "ValueSetUse",
    "load_content",
    "missing_value_sets",
    "resolve_libraries",
    "staleness",
    "translated",
    "value_set_uses",
]
