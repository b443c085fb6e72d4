"""What the rows meet that a search criterion finds (FHIR R4, 3.1.1.4): values, modifiers, chains, ``_has``.

A criterion that cannot be honoured is refused with :class:`UnsupportedSearchError`; none is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, FromClause, and_, false, or_, select

from measurewise.store.access import SHARED, Access
from measurewise.store.errors import ForbiddenError, SearchError, UnsupportedSearchError
from measurewise.store.search_index import ANY_TYPE, Parameter, folded, moments, parameters, split_reference
from measurewise.store.tables import resources, search_values

DEEPEST_CHAIN: Final = 4
"""Links that a chain or nested ``_has`` may have."""
COMPARTMENT_NAMES: Final = ("patient", "subject", "beneficiary")
"""References to the patient in whose compartment a resource is; they stand in its own row."""
# An escaped bar within a value, until it is known whether bars part the value.
_BAR: Final = "\x1f"
_PREFIXES: Final = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")

Codes = Callable[[str], Sequence[tuple[str, str]]]
"""The (system, code) pairs of a value set by its URL; raises a MeasurewiseError where it is not there."""


May = Callable[[str, str], bool]
"""Whether a type may be read (``r``) or searched (``s``): an action of SMART's ``cruds``."""


def everything(_resource_type: str, _action: str) -> bool:
    """Any type may be read and searched."""
    return True


@dataclass(frozen=True, slots=True)
class Criterion:
    """``name:modifier=value,value``: any of the values."""

    name: str
    modifier: str | None
    values: tuple[str, ...]

    @classmethod
    def parse(cls, key: str, value: str) -> Criterion:
        """From a query's key and value; ``\\,``, ``\\|`` and ``\\$`` stand for themselves."""
        return cls.named(key, tuple(_split(value)))

    @classmethod
    def named(cls, key: str, values: tuple[str, ...]) -> Criterion:
        """From a query's key and values that are apart already."""
        name, _, modifier = key.partition(":")
        return cls(name, modifier or None, values)

    @property
    def key(self) -> str:
        """As the query has it: ``name:modifier``."""
        return self.name if self.modifier is None else f"{self.name}:{self.modifier}"


@dataclass(frozen=True, slots=True)
class Finder:
    """Makes conditions for one request.

    ``access`` is whose rows count, wherever a chain leads; ``codes`` resolves value sets; ``may`` says which
    types a chain may search, as its answer tells something of them.
    """

    access: Access
    codes: Codes
    may: May = everything

    def condition(
        self, rows: FromClause, resource_type: str, criterion: Criterion, depth: int = 0
    ) -> ColumnElement[bool]:
        """What ``rows`` (``resources`` or an alias of it) of a type meet. Raises SearchError."""
        name = criterion.name
        if name == "_has":
            return self._referred_to(rows, resource_type, criterion, depth)
        if "." in criterion.key:
            return self._chained(rows, resource_type, criterion, depth)
        if name == "_id":
            _without_modifier(criterion)
            return rows.c.id.in_([value.rpartition("/")[2] for value in criterion.values])
        if name == "_lastUpdated":
            _without_modifier(criterion)
            return or_(*(_updated(rows, value) for value in criterion.values))
        known = parameters(resource_type)
        if name in COMPARTMENT_NAMES and name not in known:
            return _of_patient(rows, criterion)
        parameter = known.get(name)
        if parameter is None:
            raise UnsupportedSearchError(
                f"{resource_type} is not searched by '{name}'.",
                where=name,
                mend=f"Use one of _id, _lastUpdated, patient, {', '.join(sorted(known))}.",
            )
        values = search_values.c
        if criterion.modifier == "missing":
            there = rows.c.key.in_(select(values.resource).where(values.parameter == name))
            return ~there if _missing(criterion) else there
        matching = or_(
            false(), *(_value(parameter, criterion.modifier, value, self.codes) for value in criterion.values)
        )
        found = rows.c.key.in_(select(values.resource).where(values.parameter == name, matching))
        return ~found if parameter.kind == "token" and criterion.modifier in ("not", "not-in") else found

    def visible(self, rows: FromClause, resource_type: str) -> ColumnElement[bool]:
        """The current resources of a type that the request may see."""
        return and_(rows.c.type == resource_type, rows.c.deleted.is_(False), self.access.rows(rows))

    def _chained(
        self, rows: FromClause, resource_type: str, criterion: Criterion, depth: int
    ) -> ColumnElement[bool]:
        """``reference:Type.parameter=value`` (FHIR R4, 3.1.1.4.2.1 Chained parameters)."""
        link, _, rest = criterion.key.partition(".")
        name, _, wanted = link.partition(":")
        _check_depth(depth, criterion)
        targets = reference_targets(resource_type, name, criterion.name)
        if wanted:
            if wanted not in targets and ANY_TYPE not in targets:
                raise SearchError(
                    f"'{name}' of {resource_type} does not refer to a {wanted}.",
                    where=criterion.key,
                    mend=f"It refers to {', '.join(targets)}.",
                )
            targets = (wanted,)
        elif len(targets) > 1 or ANY_TYPE in targets:
            raise SearchError(
                f"'{name}' of {resource_type} refers to several types.",
                where=criterion.key,
                mend=f"Name the one that is meant, as in {name}:Patient.{rest}.",
            )
        (target_type,) = targets
        self._check(target_type, criterion)
        origin, target = resources.alias(), resources.alias()
        inner = self.condition(target, target_type, Criterion.named(rest, criterion.values), depth + 1)
        found = (
            select(origin.c.key)
            .where(origin.c.type == resource_type, self.visible(target, target_type), inner)
            .where(*refers(origin, name, target, target_type, resource_type))
        )
        return rows.c.key.in_(found)

    def _referred_to(
        self, rows: FromClause, resource_type: str, criterion: Criterion, depth: int
    ) -> ColumnElement[bool]:
        """``_has:Type:reference:parameter=value`` (FHIR R4, 3.1.1.4.2.2 Reverse chaining)."""
        parts = (criterion.modifier or "").split(":", 2)
        if len(parts) != 3 or not all(parts):
            raise SearchError(
                f"'{criterion.key}' is no _has.", where="_has", mend="Write _has:Observation:patient:code."
            )
        kind, name, rest = parts
        _check_depth(depth, criterion)
        if not {resource_type, ANY_TYPE} & set(reference_targets(kind, name, criterion.key)):
            raise SearchError(f"'{name}' of {kind} does not refer to a {resource_type}.", where="_has")
        self._check(kind, criterion)
        origin, target = resources.alias(), resources.alias()
        inner = self.condition(origin, kind, Criterion.named(rest, criterion.values), depth + 1)
        found = (
            select(target.c.key)
            .where(target.c.type == resource_type, self.visible(origin, kind), inner)
            .where(*refers(origin, name, target, resource_type, kind))
        )
        return rows.c.key.in_(found)

    def _check(self, resource_type: str, criterion: Criterion) -> None:
        if not self.may(resource_type, "s"):
            raise ForbiddenError(
                f"the token's scopes do not allow to search {resource_type}, which '{criterion.key}' does.",
                where=criterion.key,
            )


def reference_targets(resource_type: str, name: str, where: str) -> tuple[str, ...]:
    """The types that a reference parameter can refer to. Raises UnsupportedSearchError where it is none."""
    parameter = parameters(resource_type).get(name)
    if parameter is None and name in COMPARTMENT_NAMES:
        return ("Patient",)
    if parameter is None or parameter.kind != "reference":
        raise UnsupportedSearchError(
            f"'{name}' of {resource_type} is no reference that is searched by.",
            where=where,
            mend="See metadata for those that are.",
        )
    return parameter.targets


def refers(
    origin: FromClause, name: str, target: FromClause, target_type: str, origin_type: str
) -> list[ColumnElement[bool]]:
    """That ``origin`` refers to ``target`` by a parameter, within one organisation or to what is shared."""
    together = or_(target.c.organization == origin.c.organization, target.c.organization == SHARED)
    if name in COMPARTMENT_NAMES and name not in parameters(origin_type):
        return [together, origin.c.patient == target.c.id]
    link = search_values.alias()
    return [
        together,
        link.c.resource == origin.c.key,
        link.c.parameter == name,
        link.c.system == target_type,
        link.c.value == target.c.id,
    ]


def _check_depth(depth: int, criterion: Criterion) -> None:
    if depth >= DEEPEST_CHAIN:
        raise SearchError(
            f"a chain has at most {DEEPEST_CHAIN} links.", where=criterion.key, mend="Search in two steps."
        )


def _without_modifier(criterion: Criterion) -> None:
    if criterion.modifier is not None:
        raise _no_modifier(criterion.name, criterion.modifier)


def _no_modifier(name: str, modifier: str | None) -> UnsupportedSearchError:
    return UnsupportedSearchError(
        f"the modifier ':{modifier}' is not served for '{name}'.", where=name, mend="Leave it out."
    )


def _of_patient(rows: FromClause, criterion: Criterion) -> ColumnElement[bool]:
    if criterion.modifier == "missing":
        nobodys: ColumnElement[bool] = rows.c.patient.is_(None)
        return nobodys if _missing(criterion) else ~nobodys
    if criterion.modifier not in (None, "Patient"):
        raise _no_modifier(criterion.name, criterion.modifier)
    identities = []
    for value in criterion.values:
        kind, identity = split_reference(value)
        if kind in (None, "Patient"):
            identities.append(identity)
    return rows.c.patient.in_(identities)


def _missing(criterion: Criterion) -> bool:
    (asked,) = criterion.values if len(criterion.values) == 1 else ("",)
    if asked not in ("true", "false"):
        raise SearchError("':missing' takes true or false.", where=criterion.name)
    return asked == "true"


def _value(parameter: Parameter, modifier: str | None, value: str, codes: Codes) -> ColumnElement[bool]:
    columns = search_values.c
    if (parameter.kind, modifier) in (("token", None), ("token", "not")):
        return _token(value)
    value = value.replace(_BAR, "|")
    match parameter.kind, modifier:
        case "token", "in" | "not-in":
            return _any_code(codes(value))
        case "string", None:
            return columns.value.startswith(folded(value), autoescape=True)
        case "string", "contains":
            return columns.value.contains(folded(value), autoescape=True)
        case "string", "exact":
            return columns.system == value
        case "uri", None:
            # A canonical may carry a version that the search does not name.
            return or_(columns.value == value, columns.value.startswith(f"{value}|", autoescape=True))
        case "uri", "below":
            return columns.value.startswith(value, autoescape=True)
        case "reference", None:
            kind, identity = split_reference(value)
            same = columns.value == identity
            return same if kind is None else and_(same, columns.system == kind)
        case "date", None:
            return _date(value, parameter.name)
        case "reference", str() as kind if kind[:1].isupper():
            return and_(columns.value == value.rpartition("/")[2], columns.system == kind)
        case _:
            raise _no_modifier(parameter.name, modifier)


def _token(value: str) -> ColumnElement[bool]:
    columns = search_values.c
    system, bar, code = value.rpartition("|")
    system, code = system.replace(_BAR, "|"), code.replace(_BAR, "|")
    conditions: list[ColumnElement[bool]] = []
    if bar:
        conditions.append(columns.system == system if system else columns.system.is_(None))
    if code or not bar:
        conditions.append(columns.value == code)
    return and_(*conditions)


def _any_code(pairs: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    by_system: dict[str, list[str]] = {}
    for system, code in pairs:
        by_system.setdefault(system, []).append(code)
    return or_(
        false(),
        *(
            and_(
                search_values.c.system == system,
                search_values.c.value.in_(found),
            )
            for system, found in by_system.items()
        ),
    )


def _span(value: str, name: str) -> tuple[str, int, int]:
    prefix, text = (value[:2], value[2:]) if value[:2] in _PREFIXES else ("eq", value)
    # A plus sign of an offset comes out of many a query string as a space.
    span = moments(text.replace(" ", "+"))
    if span is None:
        raise SearchError(
            f"'{value}' is no date.", where=name, mend="Write 2026-01-31 or ge2026-01-31T08:00:00Z."
        )
    return prefix, *span


def _date(value: str, name: str) -> ColumnElement[bool]:
    prefix, low, high = _span(value, name)
    start, end = search_values.c.low, search_values.c.high
    match prefix:
        case "eq":
            return and_(start >= low, end <= high)
        case "ne":
            return or_(start < low, end > high)
        case "gt":
            return end > high
        case "lt":
            return start < low
        case "ge":
            return end >= low
        case "le":
            return start <= high
        case "sa":
            return start > high
        case "eb":
            return end < low
        case _:
            return and_(start <= high, end >= low)


def _updated(rows: FromClause, value: str) -> ColumnElement[bool]:
    prefix, low, high = _span(value, "_lastUpdated")
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    first, last = (epoch + timedelta(microseconds=moment) for moment in (low, high))
    column = rows.c.updated
    match prefix:
        case "eq" | "ap":
            return and_(column >= first, column <= last)
        case "ne":
            return or_(column < first, column > last)
        case "gt" | "sa":
            return column > last
        case "lt" | "eb":
            return column < first
        case "ge":
            return column >= first
        case _:
            return column <= last


def _split(value: str) -> list[str]:
    parts, current, escaped = [], "", False
    for character in value:
        if escaped:
            current, escaped = current + (_BAR if character == "|" else character), False
        elif character == "\\":
            escaped = True
        elif character == ",":
            parts.append(current)
            current = ""
        else:
            current += character
    return [*parts, current]
