"""CQL to ELM: names, scopes, types, overloads and implicit conversions.

``translate(text, source=..., options=TranslatorOptions())`` gives a ``Translation`` with ``.library``,
``.errors`` and ``.warnings``; ``elm.write_library`` makes ELM JSON of the library.
"""

from measurewise.engine.translator.diagnostics import CqlTranslationError
from measurewise.engine.translator.library import Translation
from measurewise.engine.translator.options import SignatureLevel, TranslatorOptions
from measurewise.engine.translator.translator import IncludeSource, Translator, checked, translate

__all__ = [
    "CqlTranslationError",
    "IncludeSource",
    "SignatureLevel",
    "Translation",
    "Translator",
    "TranslatorOptions",
    "checked",
    "translate",
]
