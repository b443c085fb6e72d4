"""Reading FHIR R4 JSON as CQL values, and tests of coded elements that need no CQL value at all.

JSON is taken as it comes, and nothing is checked that would cost time on a good record. An element that has
not the shape of FHIR raises TypeError or AttributeError wherever that costs nothing, in place of being taken
for missing: whoever evaluates mends the record, tells what was mended, and evaluates again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime, parse_time
from measurewise.engine.runtime.temporal import Date, DateTime, Time, iso
from measurewise.engine.runtime.values import Boxed, Code, Concept, Interval, Quantity, Ratio, Tuple

Json = Any
Members = frozenset[tuple[str | None, str]]

# ---------------------------------------------------------------------- choices, boxes


def box(type_name: str, value: Json) -> Boxed | None:
    """A FHIR element that tells its type; null stays null."""
    return None if value is None else Boxed(type_name, value)


def unbox(value: Any) -> Any:
    """The JSON of a boxed element; anything else as it is."""
    return value.value if type(value) is Boxed else value


def map_list(function: Callable[[Any], Any], items: list[Any] | None) -> list[Any] | None:
    """The list of what a function makes of each element; null stays null."""
    return None if items is None else [function(x) for x in items]


def choice_of(parent: Mapping[str, Json] | None, forms: Mapping[str, str]) -> Boxed | None:
    """The value of a choice element: the first of its forms that is there, with its type."""
    if parent is not None:
        for name, type_name in forms.items():
            value = parent.get(name)
            if value is not None:
                return Boxed(type_name, value)
    return None


def first_form(parent: Mapping[str, Json], names: Iterable[str]) -> Json:
    """The value of the first of some properties that is there."""
    for name in names:
        value = parent.get(name)
        if value is not None:
            return value
    return None


def sibling(parent: Mapping[str, Json] | None, underscored: str, name: str) -> Json:
    """``id`` or ``extension`` beside a primitive (FHIR R4 "JSON Representation of primitive elements")."""
    beside = None if parent is None else parent.get(underscored)
    return beside.get(name) if isinstance(beside, dict) else None


def traverse(items: list[Any] | None, function: Callable[[Any], Any]) -> list[Any] | None:
    """A property of every element of a list, lists within it flattened, nulls left out."""
    if items is None:
        return None
    found: list[Any] = []
    for item in items if isinstance(items, list) else [items]:
        value = None if item is None else function(item)
        if isinstance(value, list):
            found.extend(value)
        elif value is not None:
            found.append(value)
    return found


_ATTRIBUTES = {"lowClosed": "low_closed", "highClosed": "high_closed"}


def dynamic_property(value: Any, name: str) -> Any:
    """A property of a value whose type is known only at run time; null where it has none."""
    if value is None:
        return None
    if type(value) is Boxed:
        inner = value.value
        if isinstance(inner, dict):
            return inner.get(name)
        return inner if name == "value" else None
    if isinstance(value, dict):
        return value.get(name)
    if isinstance(value, list):
        return traverse(value, lambda x: dynamic_property(x, name))
    found = getattr(value, _ATTRIBUTES.get(name, name), None)
    return None if callable(found) else found


# ------------------------------------------------------------------------- primitives


def read_decimal(value: Json) -> Decimal | None:
    """A FHIR decimal, exactly as written."""
    if value is None or type(value) is Decimal:
        return value
    if type(value) is int:
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(str(value))
    raise _misplaced(value, "decimal")


def read_date(value: Json) -> Date | None:
    """A FHIR date, precise to the year, month or day."""
    if type(value) is str:
        return parse_date(value)
    if value is None:
        return None
    raise _misplaced(value, "date")


def read_time(value: Json) -> Time | None:
    """A FHIR time."""
    if type(value) is str:
        return parse_time(value)
    if value is None:
        return None
    raise _misplaced(value, "time")


def _misplaced(value: Json, kind: str) -> TypeError:
    return TypeError(f"a {type(value).__name__} stands where a {kind} belongs")


def datetime_reader(zone: int) -> Callable[[Json], DateTime | None]:
    """A reader of FHIR dateTimes and instants for an evaluation at the offset ``zone`` (minutes)."""
    known: dict[str, DateTime | None] = {}

    def read_datetime(value: Json) -> DateTime | None:
        if value is None:
            return None
        try:
            return known[value]
        except KeyError:
            if type(value) is not str:
                raise _misplaced(value, "dateTime") from None
            if len(known) > 50_000:
                known.clear()
            found = known[value] = parse_datetime(value, zone)
            return found

    return read_datetime


def period_reader(
    read: Callable[[Json], DateTime | None], start_unknown: bool
) -> Callable[[Json], Interval | None]:
    """A reader of FHIR Periods as closed intervals.

    With ``start_unknown`` a missing start is an unknown low bound; else it is the beginning of time.
    """
    known: dict[tuple[Json, Json], Interval] = {}

    def read_period(value: Json) -> Interval | None:
        try:
            key = (value["start"], value["end"])
        except (KeyError, TypeError):
            if value is None:
                return None
            key = (value.get("start"), value.get("end"))
        found = known.get(key)
        if found is None:
            if len(known) > 50_000:
                known.clear()
            start = key[0]
            found = known[key] = Interval(
                read(start), read(key[1]), not (start_unknown and start is None), True, "DateTime"
            )
        return found

    return read_period


def boxed_value_reader(read_datetime: Callable[[Json], DateTime | None]) -> Callable[[Any], Any]:
    """A reader of ``value`` on a FHIR element whose type only the box tells."""
    readers: dict[str, Callable[[Json], Any]] = {
        "dateTime": read_datetime,
        "instant": read_datetime,
        "date": read_date,
        "time": read_time,
        "decimal": read_decimal,
    }

    def boxed_value(value: Any) -> Any:
        if type(value) is not Boxed:
            return dynamic_property(value, "value")
        inner = value.value
        if isinstance(inner, dict):
            found = inner.get("value")
            return read_decimal(found) if type(found) is int else found
        return readers.get(value.type, lambda x: x)(inner)

    return boxed_value


# ------------------------------------------------------------------------------ codes


def code_of(coding: Json) -> Code | None:
    """A Coding as a Code."""
    if coding is None:
        return None
    return Code(coding.get("code"), coding.get("system"), coding.get("version"), coding.get("display"))


def concept_of(concept: Json) -> Concept | None:
    """A CodeableConcept as a Concept."""
    if concept is None:
        return None
    return Concept(
        [c for c in map(code_of, concept.get("coding") or ()) if c is not None], concept.get("text")
    )


def concepts_of(concepts: Json) -> list[Concept | None]:
    """A list of CodeableConcepts as Concepts."""
    return [concept_of(c) for c in concepts or ()]


def concept_has(concept: Json, system: str | None, code: str) -> bool:
    """Whether a CodeableConcept has a code: ``~`` with a Code (CQL "Equivalent", concepts)."""
    if concept is not None:
        for coding in concept.get("coding") or ():
            if coding.get("code") == code and coding.get("system") == system:
                return True
    return False


def concept_in(concept: Json, members: Members) -> bool:
    """Whether any coding of a CodeableConcept is among (system, code) pairs."""
    if concept is not None:
        for coding in concept.get("coding") or ():
            if (coding.get("system"), coding.get("code")) in members:
                return True
    return False


def has_code(value: Code | Concept | None, system: str | None, code: str) -> bool:
    """Whether a Code is, or a Concept has, a code: ``~`` with a Code."""
    if type(value) is Concept:
        for one in value.codes:  # noqa: SIM110  a generator takes twice the time
            if one.code == code and one.system == system:
                return True
        return False
    return type(value) is Code and value.code == code and value.system == system


def any_concept_in(concepts: Json, members: Members) -> bool:
    """Whether any of several CodeableConcepts has a coding among (system, code) pairs."""
    return any(concept_in(c, members) for c in concepts or ())


def coding_is(coding: Json, system: str | None, code: str) -> bool:
    """Whether a Coding is a code: ``~`` with a Code."""
    return coding is not None and coding.get("code") == code and coding.get("system") == system


def coding_in(coding: Json, members: Members) -> bool:
    """Whether a Coding is among (system, code) pairs."""
    return coding is not None and (coding.get("system"), coding.get("code")) in members


# ------------------------------------------------------------------------ back to JSON


def without_nulls(item: dict[str, Json]) -> dict[str, Json]:
    """A JSON object without the properties that are null (FHIR JSON has no nulls in objects)."""
    return {k: v for k, v in item.items() if v is not None}


def json_of(value: Any) -> Json:
    """A CQL value as the FHIR JSON of the type it converts to; FHIR JSON as it is."""
    if value is None or type(value) in (bool, int, Decimal, str):
        return value
    if type(value) in (Date, DateTime):
        return iso(value)
    if type(value) is Time:
        return iso(value)
    if type(value) is Boxed:
        return value.value
    if type(value) is Code:
        return without_nulls(
            {"system": value.system, "version": value.version, "code": value.code, "display": value.display}
        )
    if type(value) is Concept:
        return without_nulls({"coding": [json_of(c) for c in value.codes], "text": value.display})
    if type(value) is Quantity:
        return without_nulls(
            {
                "value": value.value,
                "unit": value.unit,
                "system": "http://unitsofmeasure.org",
                "code": value.unit,
            }
        )
    if type(value) is Ratio:
        return {"numerator": json_of(value.numerator), "denominator": json_of(value.denominator)}
    if type(value) is Interval:
        if type(value.low) is Quantity or type(value.high) is Quantity:
            return without_nulls({"low": json_of(value.low), "high": json_of(value.high)})
        return without_nulls({"start": json_of(value.low), "end": json_of(value.high)})
    if type(value) is Tuple:
        return {k: json_of(v) for k, v in value.items()}
    if isinstance(value, list):
        return [json_of(v) for v in value]
    return value


_JSON_TYPES = {
    bool: "Boolean",
    int: "Integer",
    Decimal: "Decimal",
    str: "String",
    Date: "Date",
    DateTime: "DateTime",
    Time: "Time",
    Quantity: "Quantity",
    Code: "Coding",
    Concept: "CodeableConcept",
    Ratio: "Ratio",
}


def choice_json(name: str, value: Any) -> dict[str, Json]:
    """The property of a choice element ``name`` that holds a value, by the value's own type."""
    if value is None:
        return {}
    if type(value) is Boxed:
        return {name + value.type[:1].upper() + value.type[1:]: value.value}
    if type(value) is Interval:
        kind = "Range" if type(value.low) is Quantity or type(value.high) is Quantity else "Period"
        return {name + kind: json_of(value)}
    return {name + _JSON_TYPES.get(type(value), "String"): json_of(value)}
