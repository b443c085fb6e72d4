"""Run-time types: the Is and As operators and the name of a value's type (CQL Reference, "Type Operators").

A type is tested by a function from a value to whether it has the type. Generated code makes the test of each
type specifier once, from the builders below, and hands it to :func:`is_` and :func:`as_`. No test accepts
null. FHIR types come as sets of type names, since which type derives from which is the model's to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.temporal import Date, DateTime, Time
from measurewise.engine.runtime.uncertainty import Uncertainty
from measurewise.engine.runtime.values import (
    Boxed,
    Code,
    CodeSystem,
    Concept,
    Interval,
    Long,
    Quantity,
    Ratio,
    Tuple,
    ValueSet,
)

TypeTest = Callable[[Any], bool]

_NAMES: dict[type, str] = {
    bool: "Boolean",
    int: "Integer",
    Uncertainty: "Integer",
    Long: "Long",
    Decimal: "Decimal",
    str: "String",
    Date: "Date",
    DateTime: "DateTime",
    Time: "Time",
    Quantity: "Quantity",
    Ratio: "Ratio",
    Code: "Code",
    Concept: "Concept",
    CodeSystem: "CodeSystem",
    ValueSet: "ValueSet",
}
_BASES = {"CodeSystem": "Vocabulary", "ValueSet": "Vocabulary"}


def system_type_name(value: Any) -> str:
    """The name of a value's type as CQL writes it: ``Integer``, ``List<Code>``, ``Interval<Date>``.

    A FHIR resource or boxed element has its FHIR type's name, ``FHIR.Patient``; null is of type ``Any``,
    which also stands for element types that cannot be told or differ.
    """
    name = _NAMES.get(type(value))
    if name is not None:
        return name
    if type(value) is list:
        return f"List<{_common_name(value)}>"
    if type(value) is Interval:
        return f"Interval<{_common_name((value.low, value.high), value.point or 'Any')}>"
    if type(value) is Tuple:
        elements = (f"{name} {system_type_name(element)}" for name, element in value.items())
        return "Tuple {" + ", ".join(elements) + "}"
    if type(value) is Boxed:
        return f"FHIR.{value.type}"
    if type(value) is dict:
        return f"FHIR.{value.get('resourceType', 'Element')}"
    return "Any"


def _common_name(values: Iterable[Any], without: str = "Any") -> str:
    names = {system_type_name(value) for value in values if value is not None}
    return names.pop() if len(names) == 1 else "Any" if names else without


# --- tests ------------------------------------------------------------------------------------------------


def any_type(value: Any) -> bool:
    """The test of ``Any``: every value that is not null."""
    return value is not None


def system_type(name: str) -> TypeTest:
    """The test of a System type by name (``"Integer"``, ``"Vocabulary"``, ``"Any"``)."""
    if name == "Any":
        return any_type
    kinds = frozenset(kind for kind, own in _NAMES.items() if name in (own, _BASES.get(own)))
    if not kinds:
        raise EvaluationError(f"There is no type System.{name}.", mend="Name a type of CQL's System model.")
    return lambda value: type(value) in kinds


def fhir_type(names: frozenset[str]) -> TypeTest:
    """The test of a FHIR type by its own name and those of all types derived from it."""

    def test(value: Any) -> bool:
        if type(value) is Boxed:
            return value.type in names
        return type(value) is dict and value.get("resourceType") in names

    return test


def list_of(element: TypeTest) -> TypeTest:
    """The test of a list type: a list of which every element is null or of the element type."""
    return lambda value: type(value) is list and all(item is None or element(item) for item in value)


def interval_of(point: TypeTest, point_name: str | None = None) -> TypeTest:
    """The test of an interval type; without bounds, the interval's own ``point`` decides if it has one."""

    def test(value: Any) -> bool:
        if type(value) is not Interval:
            return False
        if value.low is None and value.high is None:
            return value.point is None or point_name is None or value.point == point_name
        return (value.low is None or point(value.low)) and (value.high is None or point(value.high))

    return test


def tuple_of(elements: Mapping[str, TypeTest]) -> TypeTest:
    """The test of a tuple type: no other elements, and each null or of its type."""

    def test(value: Any) -> bool:
        return (
            type(value) is Tuple
            and value.keys() <= elements.keys()
            and all(item is None or elements[name](item) for name, item in value.items())
        )

    return test


def choice_of(*tests: TypeTest) -> TypeTest:
    """The test of a choice type: a value of any of the types."""
    return lambda value: any(test(value) for test in tests)


# --- operators --------------------------------------------------------------------------------------------


def is_(operand: Any, test: TypeTest) -> bool:
    """Whether the operand has a type ("Is"); false of null."""
    return operand is not None and test(operand)


def as_(operand: Any, test: TypeTest) -> Any:
    """The operand if it has a type, else null ("As")."""
    return operand if operand is not None and test(operand) else None


def as_strict(operand: Any, test: TypeTest, type_name: str) -> Any:
    """The operand if it has a type ("cast ... as"); an error if it has another, null of null.

    Raises :class:`EvaluationError` with the wanted type's name and that of the operand.
    """
    if operand is None or test(operand):
        return operand
    raise EvaluationError(
        f"cast: a value of type {system_type_name(operand)} is not a {type_name}.",
        mend="Test the type with 'is' first, or leave out 'cast' to get null instead.",
    )
