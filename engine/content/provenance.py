"""Whether a library's ELM was made from the CQL beside it: proved, or in doubt.

A translator tells its settings in the ``CqlToElmInfo`` annotation of the library (ELM r1, "Annotations";
Using CQL with FHIR, "ELM Suitability"). With ``EnableAnnotations`` each definition carries the text that it
was made from, and that text must stand in the CQL; without it nothing ties the one to the other.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from measurewise.engine.content.library import LibraryContent
from measurewise.engine.content.staleness import staleness

_QUIET = re.compile(
    r"""(?P<kept>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`(?:\\.|[^`\\])*`)|//[^\n]*|/\*.*?\*/|\s+""", re.DOTALL
)


class _Definition(msgspec.Struct):
    name: str = ""
    annotation: list[dict[str, Any]] = []


class _Section(msgspec.Struct):
    definitions: list[_Definition] = msgspec.field(name="def", default_factory=list)


class _Body(msgspec.Struct):
    annotation: list[dict[str, Any]] = []
    parameters: _Section | None = None
    codeSystems: _Section | None = None
    valueSets: _Section | None = None
    codes: _Section | None = None
    concepts: _Section | None = None
    statements: _Section | None = None


class _File(msgspec.Struct):
    library: _Body | None = None


_decode = msgspec.json.Decoder(_File | None).decode


def doubt(library: LibraryContent) -> str | None:
    """Why the ELM cannot be taken for the translation of the CQL beside it, as one clause.

    None where it is proved, and where the library has only one of the two. Raises ContentError for ELM that
    cannot be read.
    """
    if library.elm_json is None or library.cql is None:
        return None
    difference = staleness(library)
    if difference is not None:
        return difference
    try:
        file = _decode(library.elm_json)
    except msgspec.MsgspecError:
        return "its annotations cannot be read"
    body = file.library if file is not None else None
    if body is None:
        return "it does not tell how it was translated"
    info = next((a for a in body.annotation if a.get("type") == "CqlToElmInfo"), None)
    if info is None or not info.get("translatorVersion") or "translatorOptions" not in info:
        return "it does not tell the translator's version and options"
    if "EnableAnnotations" not in str(info["translatorOptions"]).split(","):
        return "it was translated without EnableAnnotations, so nothing ties it to the text"
    # A context statement makes a definition of its own name, which carries no text.
    implied = library.outline.contexts if library.outline is not None else set()
    return _unlike(body, squeezed(library.cql), implied)


def _unlike(body: _Body, text: str, implied: set[str]) -> str | None:
    sections = (
        ("parameter", body.parameters),
        ("code system", body.codeSystems),
        ("value set", body.valueSets),
        ("code", body.codes),
        ("concept", body.concepts),
        ("definition", body.statements),
    )
    for what, section in sections:
        for definition in section.definitions if section is not None else ():
            narrative = "".join(_narrated(a["s"]) for a in definition.annotation if "s" in a)
            if not narrative:
                if definition.name not in implied:
                    return f'its {what} "{definition.name}" carries no text'
                continue
            if squeezed(narrative) not in text:
                return f'its {what} "{definition.name}" was made from another text'
    return None


def squeezed(text: str) -> str:
    """CQL without comments and without the white space between its words."""
    return _QUIET.sub(lambda match: match["kept"] or "", text)


def _narrated(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, list):
        return "".join(map(_narrated, part))
    if isinstance(part, dict):
        return _narrated(part.get("s", [])) + _narrated(part.get("value", []))
    return ""
