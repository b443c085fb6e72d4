"""The names that generated code may use: run-time operators, values, and readers of FHIR JSON.

What hangs on a run (parameters, ``NOW``, ``ZONE``, value sets, retrieves) is added when a program is bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import (
    clinical,
    conversion,
    datetime_arithmetic,
    datetime_parsing,
    durations,
    fhir,
    interval_bounds,
    intervals,
    lists,
    messages,
    sorting,
)
from measurewise.engine.runtime import datetimes as dates
from measurewise.engine.runtime.operators import OPERATORS
from measurewise.engine.runtime.temporal import Date, DateTime, Time
from measurewise.engine.runtime.time_index import (
    TimeIndex,
    rows_of_either,
    window_after,
    window_at,
    window_before,
    window_near,
)
from measurewise.engine.runtime.type_names import system_type_name
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
from measurewise.engine.terminology import membership


class Unset:
    """The content of a slot that has not been evaluated."""

    def __repr__(self) -> str:
        return "U"


U = Unset()

_POINTS: dict[type, str] = {
    int: "Integer",
    Long: "Long",
    Decimal: "Decimal",
    Date: "Date",
    DateTime: "DateTime",
    Time: "Time",
    Quantity: "Quantity",
    str: "String",
}


def is_interval_of(value: Any, point: str) -> bool:
    """Whether a value is an interval whose points are of a System type."""
    if type(value) is not Interval:
        return False
    bound = value.low if value.low is not None else value.high
    if bound is None:
        return value.point is None or value.point == point
    return _POINTS.get(type(bound)) == point


def is_list_of(value: Any, test: Callable[[Any], bool]) -> bool:
    """Whether a value is a list whose elements all pass a test (nulls do)."""
    return type(value) is list and all(x is None or test(x) for x in value)


def point_interval(value: Any, point: str | None) -> Interval:
    """``Interval[x, x]``."""
    return Interval(value, value, True, True, point)


def quantity_or_null(value: Decimal | None, unit: str | None = None) -> Quantity | None:
    """A Quantity, or null when it has no value."""
    return None if value is None else Quantity(value, unit)


def coalesce_list(items: list[Any] | None) -> Any:
    """The first element of a list that is not null."""
    return next((x for x in items or () if x is not None), None)


def union_lists(*operands: list[Any] | None) -> list[Any]:
    """The union of lists: every element once, in the order of the lists."""
    found = [item for operand in operands if operand for item in operand]
    if len(found) < 2:
        return found
    try:
        # Resources are nearly always told apart, or known again, by their id alone.
        identities = [item["id"] for item in found]
        if len(set(identities)) == len(found):
            return found
        seen: dict[Any, Any] = {}
        for identity, item in zip(identities, found, strict=True):
            if identity is None or seen.setdefault(identity, item) is not item:
                return lists.union(*operands)
        return list(seen.values())
    except (TypeError, KeyError):
        return lists.union(*operands)


def date_to_datetime(value: Any) -> DateTime | None:
    """A Date as a DateTime with no time components; a DateTime as it is."""
    return dates.to_date_time(value) if type(value) is Date else value


def cast_or_null(value: Any, kind: str) -> Any:
    """What a strict cast gives for a value that is not of the type: null for null, else an error."""
    if value is None:
        return None
    raise EvaluationError(f"A {system_type_name(value)} cannot be cast to {kind}.")


def cast_error(source: str, kind: str, value: Any) -> Any:
    """A strict cast that can only succeed on null."""
    if value is None:
        return None
    raise EvaluationError(f"A {source} cannot be cast to {kind}.")


def external_function(library: str, name: str) -> EvaluationError:
    """The error for calling a function whose body CQL leaves to its environment."""
    return EvaluationError(
        f"The external function '{name}' has no implementation here.", where=f"library {library}"
    )


def repeat(source: list[Any] | None, more: Callable[[Any], Any]) -> list[Any] | None:
    """Apply a function to elements, and to what it gives, until nothing new comes (ELM "Repeat")."""
    if source is None:
        return None
    found: list[Any] = []
    pending = list(source)
    while pending:
        value = more(pending.pop(0))
        fresh = value if isinstance(value, list) else [] if value is None else [value]
        for item in fresh:
            if item not in found:
                found.append(item)
                pending.append(item)
    return found


def children(source: Any) -> list[Any] | None:
    """The values of all elements of a structure."""
    return lists.children(source)


def descendants(source: Any) -> list[Any] | None:
    """The values of all elements of a structure, and theirs, and so on."""
    return lists.descendents(source)


# ------------------------------------------------------------- filters of retrieves


def with_codes(resources: list[Any], path: str, codes: Any) -> list[Any]:
    """Resources whose coded element is equivalent to one of some codes known only at run time."""
    wanted = set()
    for code in codes if isinstance(codes, list) else [codes]:
        for one in code.codes if type(code) is Concept else [code]:
            if type(one) is Code:
                wanted.add((one.system, one.code))
    members = frozenset(wanted)
    return [r for r in resources if _coded(r, path, members)]


def _coded(resource: Any, path: str, members: Any) -> bool:
    for name in (path, path + "CodeableConcept"):
        value = resource.get(name)
        for concept in value if isinstance(value, list) else [value]:
            if isinstance(concept, dict):
                if fhir.concept_in(concept, members) or fhir.coding_in(concept, members):
                    return True
    return False


def with_id(resources: list[Any], wanted: Any) -> list[Any]:
    """Resources with an id."""
    return [r for r in resources if r.get("id") == wanted]


def related_to(resources: list[Any], owner: Any, paths: Iterable[str]) -> list[Any]:
    """Resources that refer to another patient (a related-context retrieve)."""
    identifier = owner.get("id") if isinstance(owner, dict) else owner
    if identifier is None:
        return []
    wanted = str(identifier).rsplit("/", 1)[-1]
    found = []
    for resource in resources:
        for path in paths:
            reference = resource.get(path)
            if (
                isinstance(reference, dict)
                and str(reference.get("reference", "")).rsplit("/", 1)[-1] == wanted
            ):
                found.append(resource)
                break
    return found


def date_filter(read_datetime: Callable[[Any], Any], read_period: Callable[[Any], Any]) -> Callable[..., Any]:
    """The filter of retrieves by a date range."""

    def with_dates(resources: list[Any], path: str, wanted: Any, zone: int) -> list[Any]:
        if wanted is None:
            return []
        found = []
        for resource in resources:
            value = fhir.first_form(resource, (path, path + "DateTime", path + "Period", path + "Instant"))
            moment = read_period(value) if isinstance(value, dict) else read_datetime(value)
            if moment is None:
                continue
            inside = (
                intervals.included_in(moment, wanted)
                if type(moment) is Interval
                else intervals.in_(moment, wanted)
            )
            if inside:
                found.append(resource)
        return found

    return with_dates


# ---------------------------------------------------------------- value sets at run time


def in_value_set(code: Any, value_set: ValueSet | None, terminology: Any) -> bool:
    """Membership in a value set known only at run time."""
    if value_set is None:
        return False
    return membership.value_in(code, terminology.members(value_set.id, value_set.version), value_set.id)


def any_in_value_set(codes: Any, value_set: ValueSet | None, terminology: Any) -> bool:
    """Membership of any of several codes in a value set known only at run time."""
    if value_set is None:
        return False
    return membership.any_in(codes, terminology.members(value_set.id, value_set.version), value_set.id)


def in_code_system(code: Any, system: CodeSystem | None, terminology: Any) -> bool:
    """Membership in a code system."""
    if system is None:
        return False
    return membership.value_in(code, terminology.code_system_members(system.id, system.version), system.id)


def any_in_code_system(codes: Any, system: CodeSystem | None, terminology: Any) -> bool:
    """Membership of any of several codes in a code system."""
    if system is None:
        return False
    return membership.any_in(codes, terminology.code_system_members(system.id, system.version), system.id)


def expand_value_set(value_set: ValueSet | None, terminology: Any) -> list[Code] | None:
    """The codes of a value set."""
    if value_set is None:
        return None
    found: list[Code] = terminology.codes(value_set.id, value_set.version)
    return found


def _names() -> dict[str, Any]:
    names: dict[str, Any] = {function.__name__: function for function in OPERATORS.values()}
    for reader in (
        fhir.box,
        fhir.unbox,
        fhir.map_list,
        fhir.choice_of,
        fhir.first_form,
        fhir.sibling,
        fhir.traverse,
        fhir.dynamic_property,
        fhir.read_decimal,
        fhir.read_date,
        fhir.read_time,
        fhir.code_of,
        fhir.concept_of,
        fhir.concepts_of,
        fhir.concept_has,
        fhir.concept_in,
        fhir.any_concept_in,
        fhir.has_code,
        fhir.coding_is,
        fhir.coding_in,
        fhir.without_nulls,
        fhir.json_of,
        fhir.choice_json,
    ):
        names[reader.__name__] = reader
    names.update(
        U=U,
        Boxed=Boxed,
        Code=Code,
        CodeSystem=CodeSystem,
        Concept=Concept,
        Date=Date,
        DateTime=DateTime,
        Decimal=Decimal,
        Interval=Interval,
        Long=Long,
        Quantity=Quantity,
        Ratio=Ratio,
        Time=Time,
        Tuple=Tuple,
        ValueSet=ValueSet,
        add_duration=datetime_arithmetic.add,
        difference_between=durations.difference_between,
        duration_between=durations.duration_between,
        subtract_duration=datetime_arithmetic.subtract,
        any_in_code_system=any_in_code_system,
        any_in_value_set=any_in_value_set,
        any_member_in=membership.any_in,
        calculate_age=clinical.calculate_age,
        calculate_age_at=clinical.calculate_age_at,
        can_convert=conversion.can_convert,
        cast_error=cast_error,
        cast_or_null=cast_or_null,
        children=children,
        coalesce_list=coalesce_list,
        cql_concept_in=membership.concept_in,
        date=dates.date,
        date_from=dates.date_from,
        date_time=dates.date_time,
        date_time_component_from=dates.date_time_component_from,
        date_to_datetime=date_to_datetime,
        descendants=descendants,
        distinct=lists.distinct,
        end=interval_bounds.end,
        exists=lists.exists,
        expand_value_set=expand_value_set,
        external_function=external_function,
        flatten=lists.flatten,
        in_code_system=in_code_system,
        in_value_set=in_value_set,
        indexer=lists.indexer,
        interval=intervals.interval,
        interval_contains=intervals.contains,
        interval_in_=intervals.in_,
        interval_included_in=intervals.included_in,
        interval_includes=intervals.includes,
        interval_proper_in=intervals.proper_in,
        interval_except_=intervals.except_,
        interval_intersect=intervals.intersect,
        interval_union=intervals.union,
        is_interval_of=is_interval_of,
        is_list_of=is_list_of,
        list_except_=lists.except_,
        list_length=lists.length,
        list_intersect=lists.intersect,
        member_in=membership.value_in,
        message=messages.message,
        parse_date=datetime_parsing.parse_date,
        parse_time=datetime_parsing.parse_time,
        point_interval=point_interval,
        quantity_or_null=quantity_or_null,
        related_to=related_to,
        repeat=repeat,
        rows_of_either=rows_of_either,
        singleton_from=lists.singleton_from,
        sort_by=sorting.sort_by,
        start=interval_bounds.start,
        string_in=membership.string_in,
        subsumed_by=membership.subsumed_by,
        subsumes=membership.subsumes,
        time=dates.time,
        time_from=dates.time_from,
        TimeIndex=TimeIndex,
        window_after=window_after,
        window_at=window_at,
        window_before=window_before,
        window_near=window_near,
        within_tests=intervals.within_tests,
        timezone_offset_from=dates.timezone_offset_from,
        to_concept=conversion.to_concept,
        to_date_time=conversion.to_date_time,
        union_lists=union_lists,
        with_codes=with_codes,
        with_id=with_id,
    )
    return names


NAMES = _names()
