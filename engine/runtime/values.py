"""CQL values that Python has no type for.

=================  ==========================================================================
CQL                Python
=================  ==========================================================================
Boolean            ``bool``; unknown is ``None``
Integer            ``int``
Long               :class:`Long` (an ``int`` that knows it is a Long)
Decimal            ``decimal.Decimal`` (at most 28 digits, 8 of them after the point); never ``float``
String             ``str``
Date DateTime Time :mod:`measurewise.engine.runtime.temporal`
Quantity Ratio     :class:`Quantity`, :class:`Ratio`
Code Concept       :class:`Code`, :class:`Concept`
ValueSet           :class:`ValueSet` (a reference; its members are the terminology room's)
CodeSystem         :class:`CodeSystem`
List<T>            ``list``
Interval<T>        :class:`Interval`
Tuple              :class:`Tuple` (a ``dict`` from element name to value)
FHIR resource      ``dict``, the parsed JSON as it came
FHIR element       the parsed JSON; inside a choice or ``Any`` it travels as :class:`Boxed` with its type
=================  ==========================================================================
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any


class Long(int):
    """A 64-bit CQL Long."""

    __slots__ = ()


class Tuple(dict[str, Any]):
    """A CQL tuple: element name to value."""

    __slots__ = ()


class Boxed:
    """A FHIR element together with its FHIR type, where the static type is a choice or ``Any``.

    ``type`` is the FHIR type's name without a namespace (``"dateTime"``, ``"Period"``); ``value`` the JSON.
    """

    __slots__ = ("type", "value")

    def __init__(self, type: str, value: Any) -> None:
        self.type = type
        self.value = value

    def __repr__(self) -> str:
        return f"Boxed({self.type}, {self.value!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is Boxed and self.type == other.type and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash(self.type)


class Code:
    """A CQL Code; ``system`` is the code system's URI."""

    __slots__ = ("code", "display", "system", "version")

    def __init__(
        self,
        code: str | None,
        system: str | None = None,
        version: str | None = None,
        display: str | None = None,
    ) -> None:
        self.code = code
        self.system = system
        self.version = version
        self.display = display

    def __repr__(self) -> str:
        return f"Code({self.code!r}, {self.system!r})"

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is Code
            and self.code == other.code
            and self.system == other.system
            and self.version == other.version
            and self.display == other.display
        )

    def __hash__(self) -> int:
        return hash((self.code, self.system))


class Concept:
    """A CQL Concept: codes that mean the same, and a display."""

    __slots__ = ("codes", "display")

    def __init__(self, codes: list[Code], display: str | None = None) -> None:
        self.codes = codes
        self.display = display

    def __repr__(self) -> str:
        return f"Concept({self.codes!r}, {self.display!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is Concept and self.codes == other.codes and self.display == other.display

    def __hash__(self) -> int:
        return hash(tuple(self.codes))


class CodeSystem:
    """A reference to a code system."""

    __slots__ = ("id", "name", "version")

    def __init__(self, id: str, version: str | None = None, name: str | None = None) -> None:
        self.id = id
        self.version = version
        self.name = name

    def __repr__(self) -> str:
        return f"CodeSystem({self.id!r}, {self.version!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is CodeSystem and self.id == other.id and self.version == other.version

    def __hash__(self) -> int:
        return hash((self.id, self.version))


class ValueSet:
    """A reference to a value set (CQL 1.5 ``System.ValueSet``): canonical URL, version, code systems."""

    __slots__ = ("codesystems", "id", "name", "version")

    def __init__(
        self,
        id: str,
        version: str | None = None,
        name: str | None = None,
        codesystems: tuple[CodeSystem, ...] = (),
    ) -> None:
        self.id = id
        self.version = version
        self.name = name
        self.codesystems = codesystems

    def __repr__(self) -> str:
        return f"ValueSet({self.id!r}, {self.version!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is ValueSet and self.id == other.id and self.version == other.version

    def __hash__(self) -> int:
        return hash((self.id, self.version))


class Quantity:
    """A CQL Quantity: a Decimal and a UCUM or calendar unit (``'1'`` when it has none)."""

    __slots__ = ("unit", "value")

    def __init__(self, value: Decimal | None, unit: str | None = "1") -> None:
        self.value = value
        self.unit = unit or "1"

    def __repr__(self) -> str:
        return f"Quantity({self.value} {self.unit!r})"

    def __eq__(self, other: object) -> bool:
        """Sameness of the written value, not CQL equality (``1 'g'`` is not the same as ``1000 'mg'``)."""
        return type(other) is Quantity and self.value == other.value and self.unit == other.unit

    def __hash__(self) -> int:
        return hash((self.value, self.unit))


class Ratio:
    """A CQL Ratio of two quantities."""

    __slots__ = ("denominator", "numerator")

    def __init__(self, numerator: Quantity, denominator: Quantity) -> None:
        self.numerator = numerator
        self.denominator = denominator

    def __repr__(self) -> str:
        return f"Ratio({self.numerator!r} : {self.denominator!r})"

    def __eq__(self, other: object) -> bool:
        return (
            type(other) is Ratio
            and self.numerator == other.numerator
            and self.denominator == other.denominator
        )

    def __hash__(self) -> int:
        return hash((self.numerator, self.denominator))


class Interval:
    """A CQL Interval.

    A null bound that is closed is the least or greatest value of the point type; a null bound that is open
    is unknown. ``point`` is the System type's name (``"DateTime"``) where the maker knew it, which is needed
    only when both bounds are null.
    """

    __slots__ = ("high", "high_closed", "low", "low_closed", "point")

    def __init__(
        self,
        low: Any,
        high: Any,
        low_closed: bool = True,
        high_closed: bool = True,
        point: str | None = None,
    ) -> None:
        self.low = low
        self.high = high
        self.low_closed = low_closed
        self.high_closed = high_closed
        self.point = point

    def __repr__(self) -> str:
        return f"{'[' if self.low_closed else '('}{self.low}, {self.high}{']' if self.high_closed else ')'}"

    def __eq__(self, other: object) -> bool:
        """Sameness of the written value, not CQL equality."""
        return (
            type(other) is Interval
            and self.low == other.low
            and self.high == other.high
            and self.low_closed == other.low_closed
            and self.high_closed == other.high_closed
        )

    def __hash__(self) -> int:
        return hash((self.low, self.high))
