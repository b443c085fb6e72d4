"""ELM operators by name, and the operators that choose by their operands between lists and intervals.

:data:`OPERATORS` maps the name of an ELM node (``"SameOrBefore"``) to its function, for the compiler. The
operands come in ELM's order; a precision, where there is one, last, as a number of
:mod:`measurewise.engine.runtime.temporal`. ``__name__`` tells the functions apart.

Null tells nothing about its type. Where the list and the interval form of an operator differ for it, the
caller that knows the static type calls that form: ``lists.length`` of a null list is 0, but ``length(None)``
here is null, as for a string; ``lists.union`` of nulls is empty, as it is here, but null of intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime import (
    aggregates,
    arithmetic,
    clinical,
    comparison,
    conversion,
    datetimes,
    durations,
    interval_lists,
    intervals,
    lists,
    logical,
    messages,
    quantities,
    sorting,
    strings,
    timing,
)
from measurewise.engine.runtime.type_names import system_type_name
from measurewise.engine.runtime.values import Interval

# --- strings and lists ------------------------------------------------------------------------------------


def length(operand: Any) -> int | None:
    """The number of characters of a string or of elements of a list; null of null."""
    return None if operand is None else len(operand)


def indexer(operand: Any, index: int | None) -> Any:
    """The character or element at a 0-based index, null where there is none."""
    return strings.indexer(operand, index) if type(operand) is str else lists.indexer(operand, index)


# --- lists and intervals ----------------------------------------------------------------------------------


def contains(left: Any, right: Any, precision: int | None = None) -> bool | None:
    """Whether a list has an element or an interval a point ("Contains")."""
    return in_(right, left, precision)


def in_(left: Any, right: Any, precision: int | None = None) -> bool | None:
    """Whether an element is in a list or a point in an interval ("In")."""
    if type(right) is list:
        return lists.contains(right, left)
    return intervals.in_(left, _interval("In", right), precision)


def proper_contains(left: Any, right: Any, precision: int | None = None) -> bool | None:
    """Whether a list or interval has an element or point, and others besides (ELM "ProperContains")."""
    return proper_in(right, left, precision)


def proper_in(left: Any, right: Any, precision: int | None = None) -> bool | None:
    """Whether an element or point is in a list or interval that has others besides (ELM "ProperIn")."""
    if type(right) is list:
        return lists.proper_contains(right, left)
    return intervals.proper_in(left, _interval("ProperIn", right), precision)


def includes(left: Any, right: Any, precision: int | None = None) -> bool | None:
    """Whether a list or interval has all of another, or an element or point ("Includes")."""
    return included_in(right, left, precision)


def included_in(left: Any, right: Any, precision: int | None = None) -> bool | None:
    """Whether a list or interval, or an element or point, is all in another ("Included In")."""
    if type(right) is list:
        if left is None or type(left) is list:
            return lists.included_in(left, right)
        return lists.contains(right, left)
    if type(left) is list and right is None:
        return None
    _refuse_list("IncludedIn", left)
    return intervals.included_in(left, _interval("IncludedIn", right), precision)


def proper_includes(left: Any, right: Any, precision: int | None = None) -> bool | None:
    """:func:`includes`, where the left has more besides (ELM "ProperIncludes")."""
    return proper_included_in(right, left, precision)


def proper_included_in(left: Any, right: Any, precision: int | None = None) -> bool | None:
    """:func:`included_in`, where the right has more besides (ELM "ProperIncludedIn")."""
    if type(right) is list:
        if left is None or type(left) is list:
            return lists.proper_included_in(left, right)
        return lists.proper_contains(right, left)
    if type(left) is list and right is None:
        return None
    _refuse_list("ProperIncludedIn", left)
    return intervals.properly_included_in(left, _interval("ProperIncludedIn", right), precision)


def _interval(name: str, value: Any) -> Interval | None:
    if value is None or type(value) is Interval:
        return value
    raise EvaluationError(
        f"{name} is not defined for a {system_type_name(value)}.",
        mend="Give it a list or an interval to look in.",
    )


def _refuse_list(name: str, value: Any) -> None:
    if type(value) is list:
        raise EvaluationError(
            f"{name} is not defined for a list beside an interval.",
            mend="Compare a list with a list, or an interval with an interval or a point.",
        )


def union(*operands: Any) -> Any:
    """The union of lists, or of intervals that overlap or meet ("Union")."""
    if not any(type(operand) is Interval for operand in operands):
        return lists.union(*operands)
    return _in_turn(intervals.union, operands)


def intersect(*operands: Any) -> Any:
    """What lists or intervals have in common ("Intersect"); null if any is null."""
    if any(operand is None for operand in operands):
        return None
    return _in_turn(lists.intersect if type(operands[0]) is list else intervals.intersect, operands)


def except_(*operands: Any) -> Any:
    """The first list or interval without what the others have ("Except")."""
    return _in_turn(lists.except_ if type(operands[0]) is list else intervals.except_, operands)


def _in_turn(operator: Callable[[Any, Any], Any], operands: tuple[Any, ...]) -> Any:
    answer = operands[0]
    for operand in operands[1:]:
        answer = operator(answer, operand)
    return answer


# --- by name ----------------------------------------------------------------------------------------------

OPERATORS: Final[dict[str, Callable[..., Any]]] = {
    # Logical and nullological operators
    "And": logical.and_,
    "Or": logical.or_,
    "Xor": logical.xor,
    "Not": logical.not_,
    "Implies": logical.implies,
    "IsTrue": logical.is_true,
    "IsFalse": logical.is_false,
    "IsNull": logical.is_null,
    "Coalesce": logical.coalesce,
    # Comparison operators
    "Equal": comparison.equal,
    "NotEqual": comparison.not_equal,
    "Equivalent": comparison.equivalent,
    "Less": comparison.less,
    "LessOrEqual": comparison.less_or_equal,
    "Greater": comparison.greater,
    "GreaterOrEqual": comparison.greater_or_equal,
    # Arithmetic operators
    "Abs": arithmetic.abs_,
    "Add": arithmetic.add,
    "Ceiling": arithmetic.ceiling,
    "Divide": arithmetic.divide,
    "Exp": arithmetic.exp,
    "Floor": arithmetic.floor,
    "HighBoundary": arithmetic.high_boundary,
    "Ln": arithmetic.ln,
    "Log": arithmetic.log,
    "LowBoundary": arithmetic.low_boundary,
    "MaxValue": arithmetic.max_value,
    "MinValue": arithmetic.min_value,
    "Modulo": arithmetic.modulo,
    "Multiply": arithmetic.multiply,
    "Negate": arithmetic.negate,
    "Power": arithmetic.power,
    "Precision": arithmetic.precision,
    "Predecessor": arithmetic.predecessor,
    "Round": arithmetic.round_,
    "Subtract": arithmetic.subtract,
    "Successor": arithmetic.successor,
    "Truncate": arithmetic.truncate,
    "TruncatedDivide": arithmetic.truncated_divide,
    # String operators
    "Combine": strings.combine,
    "Concatenate": strings.concatenate,
    "EndsWith": strings.ends_with,
    "Indexer": indexer,
    "LastPositionOf": strings.last_position_of,
    "Length": length,
    "Lower": strings.lower,
    "Matches": strings.matches,
    "PositionOf": strings.position_of,
    "ReplaceMatches": strings.replace_matches,
    "Split": strings.split,
    "SplitOnMatches": strings.split_on_matches,
    "StartsWith": strings.starts_with,
    "Substring": strings.substring,
    "Upper": strings.upper,
    # Date and time operators
    "Date": datetimes.date,
    "DateFrom": datetimes.date_from,
    "DateTime": datetimes.date_time,
    "DateTimeComponentFrom": datetimes.date_time_component_from,
    "DifferenceBetween": durations.difference_between,
    "DurationBetween": durations.duration_between,
    "Now": datetimes.now,
    "Time": datetimes.time,
    "TimeFrom": datetimes.time_from,
    "TimeOfDay": datetimes.time_of_day,
    "TimezoneFrom": datetimes.timezone_offset_from,
    "TimezoneOffsetFrom": datetimes.timezone_offset_from,
    "Today": datetimes.today,
    # Date, time and interval relations
    "After": timing.after,
    "Before": timing.before,
    "Ends": timing.ends,
    "Meets": timing.meets,
    "MeetsAfter": timing.meets_after,
    "MeetsBefore": timing.meets_before,
    "Overlaps": timing.overlaps,
    "OverlapsAfter": timing.overlaps_after,
    "OverlapsBefore": timing.overlaps_before,
    "SameAs": timing.same_as,
    "SameOrAfter": timing.same_or_after,
    "SameOrBefore": timing.same_or_before,
    "Starts": timing.starts,
    # Interval operators
    "Collapse": interval_lists.collapse,
    "End": intervals.end,
    "Expand": interval_lists.expand,
    "Interval": intervals.interval,
    "PointFrom": intervals.point_from,
    "Size": intervals.size,
    "Start": intervals.start,
    "Width": intervals.width,
    # List and interval operators
    "Contains": contains,
    "Except": except_,
    "In": in_,
    "IncludedIn": included_in,
    "Includes": includes,
    "Intersect": intersect,
    "ProperContains": proper_contains,
    "ProperIn": proper_in,
    "ProperIncludedIn": proper_included_in,
    "ProperIncludes": proper_includes,
    "Union": union,
    # List operators
    "Children": lists.children,
    "Descendants": lists.descendents,
    "Descendents": lists.descendents,
    "Distinct": lists.distinct,
    "EquivalentContains": lists.equivalent_contains,
    "EquivalentIn": lists.equivalent_in,
    "Exists": lists.exists,
    "First": lists.first,
    "Flatten": lists.flatten,
    "IndexOf": lists.index_of,
    "Last": lists.last,
    "SingletonFrom": lists.singleton_from,
    "Slice": lists.slice_,
    "Sort": sorting.sort_by,
    "Times": lists.times,
    # Aggregate functions
    "AllTrue": aggregates.all_true,
    "AnyTrue": aggregates.any_true,
    "Avg": aggregates.avg,
    "Count": aggregates.count,
    "GeometricMean": aggregates.geometric_mean,
    "Max": aggregates.max_,
    "Median": aggregates.median,
    "Min": aggregates.min_,
    "Mode": aggregates.mode,
    "PopulationStdDev": aggregates.population_std_dev,
    "PopulationVariance": aggregates.population_variance,
    "Product": aggregates.product,
    "StdDev": aggregates.std_dev,
    "Sum": aggregates.sum_,
    "Variance": aggregates.variance,
    # Type operators
    "CanConvert": conversion.can_convert,
    "CanConvertQuantity": quantities.can_convert_quantity,
    "Convert": conversion.convert,
    "ConvertQuantity": quantities.convert_quantity,
    "ConvertsToBoolean": conversion.converts_to_boolean,
    "ConvertsToDate": conversion.converts_to_date,
    "ConvertsToDateTime": conversion.converts_to_date_time,
    "ConvertsToDecimal": conversion.converts_to_decimal,
    "ConvertsToInteger": conversion.converts_to_integer,
    "ConvertsToLong": conversion.converts_to_long,
    "ConvertsToQuantity": conversion.converts_to_quantity,
    "ConvertsToRatio": conversion.converts_to_ratio,
    "ConvertsToString": conversion.converts_to_string,
    "ConvertsToTime": conversion.converts_to_time,
    "ToBoolean": conversion.to_boolean,
    "ToChars": strings.to_chars,
    "ToConcept": conversion.to_concept,
    "ToDate": conversion.to_date,
    "ToDateTime": conversion.to_date_time,
    "ToDecimal": conversion.to_decimal,
    "ToInteger": conversion.to_integer,
    "ToList": lists.to_list,
    "ToLong": conversion.to_long,
    "ToQuantity": conversion.to_quantity,
    "ToRatio": conversion.to_ratio,
    "ToString": conversion.to_string,
    "ToTime": conversion.to_time,
    # Clinical operators, errors and messages
    "CalculateAge": clinical.calculate_age,
    "CalculateAgeAt": clinical.calculate_age_at,
    "Message": messages.message,
}
"""The function of each ELM operator that is a function of its operands.

Nodes that the compiler turns into control flow or that ask the record or the terminology are not here:
queries, retrieves, references, ``If``, ``Case``, ``Filter``, ``ForEach``, ``Repeat``, ``Aggregate``,
``InValueSet`` and kin.
"""
