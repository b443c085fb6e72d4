"""Errors of evaluating one patient, told as what they are: which patient, which measure, which definition."""

from __future__ import annotations

import re
from functools import lru_cache
from types import TracebackType
from typing import Final

from measurewise.engine.compiler.program import Program
from measurewise.engine.errors import EvaluationError, MeasurewiseError

_GENERATED: Final = "<measurewise "
_FUNCTION: Final = re.compile(r"^# (?P<title>.*)\ndef (?P<function>\w+)\(", re.MULTILINE)
_PART: Final = re.compile(
    r"(?:part of|index for) library (?P<library>\S+)(?: \S+)?, (?P<kind>definition|function) '(?P<name>.*)'"
)
_MEND: Final = "Check that the resources have the shape of FHIR R4; if they have, report this as a fault."


def evaluation_error(error: Exception, program: Program, subject: str, measure: str) -> MeasurewiseError:
    """The error, of its own class in the family or else an EvaluationError, that names patient, measure and
    definition.

    The definition is that whose generated function ran last; records are read leniently, so what is outside
    the family can be the record's fault or the program's, and the sentence says both.
    """
    known = isinstance(error, MeasurewiseError)
    kind = type(error) if isinstance(error, MeasurewiseError) else EvaluationError
    what = error.what if isinstance(error, MeasurewiseError) else _stumbled(error)
    mend = error.mend if isinstance(error, MeasurewiseError) else _MEND
    said = error.where if isinstance(error, MeasurewiseError) else ""
    named = "" if said.startswith(f"Measure {measure}") else f"measure {measure}"
    place = [subject, named, *place_in_logic(error.__traceback__, program), said]
    told = kind(what, where=", ".join(filter(None, place)), mend=mend)
    told.__cause__ = error.__cause__ if known else error
    return told.with_traceback(error.__traceback__)


def place_in_logic(traceback: TracebackType | None, program: Program) -> list[str]:
    """Where generated code was when an error came: the definition, and the function it had called, if any."""
    titles = _titles(program.source)
    definition = function = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename.startswith(_GENERATED):
            # A function within a function (the key of a sort or an index) is part of what that one is.
            outermost = code.co_qualname.partition(".")[0]
            named = _named("definition" if outermost[:1] == "d" else "function", titles.get(outermost, ""))
            if named.startswith("definition"):
                definition, function = named, ""
            elif named:
                function = named
        traceback = traceback.tb_next
    return [place for place in (definition, function) if place]


def _named(kind: str, title: str) -> str:
    """``definition Library."Name"``; of a part that is evaluated by itself, what it is a part of."""
    part = _PART.fullmatch(title)
    if part is not None:
        return f'{part["kind"]} {part["library"]}."{part["name"]}"'
    library, dot, name = title.partition(".")
    if not dot:
        return title
    return f'{kind} {library}."{name}"' if kind == "definition" else f"{kind} {title}"


def _stumbled(error: Exception) -> str:
    said = f": {error}" if str(error) else ""
    return f"the logic stumbled ({type(error).__name__}{said})."


@lru_cache(maxsize=16)
def _titles(source: str) -> dict[str, str]:
    """What each generated function is, from the comment above it."""
    return {found["function"]: found["title"] for found in _FUNCTION.finditer(source)}
