"""QPP JSON from anyone, read leniently: what is of another type than documented is kept and told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from measurewise.engine.errors import MeasurewiseError
from measurewise.qrda.qpp_model import (
    ANY,
    BOOLEAN,
    INTEGER,
    LIST,
    NUMBER,
    TEXT,
    Measurement,
    MeasurementSet,
    MultiPerformanceRate,
    NonProportion,
    OtherValue,
    Part,
    PerformanceRate,
    Proportion,
    Stratum,
    Submission,
    Value,
    members,
)

SIZE_LIMIT: Final = 64 * 1024 * 1024
_ELEMENTS: Final[dict[tuple[type[Part], str], type[Part]]] = {
    (Submission, "measurementSets"): MeasurementSet,
    (MeasurementSet, "measurements"): Measurement,
    (MultiPerformanceRate, "strata"): Stratum,
}
_WORDS: Final = {
    TEXT: "a text",
    INTEGER: "a whole number",
    NUMBER: "a number",
    BOOLEAN: "true or false",
    LIST: "a list of objects",
}
_RATE_MEMBERS: Final = {"performanceMet", "performanceNotMet", "eligiblePopulation"}
_NON_PROPORTION_MEMBERS: Final = {
    "observationInstances",
    "isEndToEndReported",
    "numeratorExclusion",
    "denominatorException",
}
_MEND: Final = "Write the submission again as one JSON object in UTF-8."


class UnreadableQppError(MeasurewiseError):
    """A file that holds no JSON object."""

    code = "structure"


@dataclass(frozen=True, slots=True)
class WrongType:
    """A member of another type than documented; ``pointer`` is its JSON Pointer (RFC 6901)."""

    pointer: str
    name: str
    expected: str
    found: Any


@dataclass(frozen=True, slots=True)
class QppReading:
    """A submission as it was read, and what in it is of a type that could not be."""

    submission: Submission
    wrong: tuple[WrongType, ...]


def parse_json(data: bytes, *, size_limit: int = SIZE_LIMIT) -> Any:
    """The JSON of some bytes. Raises UnreadableQppError, with line and column where there are any.

    Refused beside what is no JSON: more than ``size_limit`` bytes, a member given twice in one object (one of
    the two would be lost), ``NaN`` and ``Infinity``, nesting beyond what the interpreter bears.
    """
    if len(data) > size_limit:
        raise UnreadableQppError(
            f"the file has {len(data):,} bytes, more than the {size_limit:,} that are read.", mend=_MEND
        )
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UnreadableQppError(f"this is no JSON ({error.msg}).", where=where, mend=_MEND) from None
    except UnicodeDecodeError:
        raise UnreadableQppError("this is no text in UTF-8.", mend=_MEND) from None
    except RecursionError:
        raise UnreadableQppError("the JSON is nested too deeply.", mend=_MEND) from None
    except ValueError as error:
        raise UnreadableQppError(f"this is no JSON that can be used: {error}.", mend=_MEND) from None


def read_qpp(content: Any) -> QppReading:
    """A submission from JSON that was parsed. Raises UnreadableQppError for anything but an object."""
    if type(content) is not dict:
        raise UnreadableQppError("a submission is a JSON object, and this is none.", mend=_MEND)
    wrong: list[WrongType] = []
    return QppReading(_part(Submission, content, "", wrong), tuple(wrong))


def read_measurement_set(content: Mapping[str, Any]) -> MeasurementSet:
    """One measurement set from JSON that was parsed, as lenient as :func:`read_qpp`."""
    found: MeasurementSet = _part(MeasurementSet, dict(content), "", [])
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the member {twice!r} twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _part(kind: type[Part], content: dict[str, Any], pointer: str, wrong: list[WrongType]) -> Any:
    others = dict(content)
    known: dict[str, Any] = {}
    for attribute, name, expected in members(kind):
        if name not in content:
            continue
        found = content[name]
        place = f"{pointer}/{name}"
        if expected == ANY:
            read: Any = None if found is None else _value(found, place, wrong)
        elif expected == LIST:
            read = _list(_ELEMENTS[kind, name], found, place, wrong)
        else:
            read = _scalar(expected, found)
        if read is not None:
            known[attribute] = read
            del others[name]
        elif found is not None and not (expected == LIST and type(found) is list):
            wrong.append(WrongType(place, name, _WORDS[expected], found))
    return kind(**known, others=others)


def _scalar(expected: str, found: Any) -> Any:
    kind = type(found)
    if expected == TEXT:
        return found if kind is str else None
    if expected == BOOLEAN:
        return found if kind is bool else None
    if kind is float and expected == INTEGER and found.is_integer():
        return int(found)
    return found if kind is int or (kind is float and expected == NUMBER) else None


def _list(kind: type[Part], found: Any, pointer: str, wrong: list[WrongType]) -> tuple[Any, ...] | None:
    if type(found) is not list:
        return None
    strange = [number for number, one in enumerate(found) if type(one) is not dict]
    for number in strange:
        wrong.append(WrongType(f"{pointer}/{number}", str(number), "an object", found[number]))
    if strange:
        return None
    return tuple(_part(kind, one, f"{pointer}/{number}", wrong) for number, one in enumerate(found))


def _value(found: Any, pointer: str, wrong: list[WrongType]) -> Value:
    if type(found) is bool:
        return found
    if type(found) is not dict:
        return OtherValue(found)
    if "strata" in found:
        kind: type[Part] = MultiPerformanceRate
    elif _RATE_MEMBERS & found.keys():
        kind = PerformanceRate
    elif "numerator" in found or "denominator" in found:
        kind = NonProportion if _NON_PROPORTION_MEMBERS & found.keys() else Proportion
    else:
        return OtherValue(found)
    value: Value = _part(kind, found, pointer, wrong)
    return value
