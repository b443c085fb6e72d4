"""Checking a requirement on a record: plain look-ups in the JSON, first whatever is cheapest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from measurewise.engine.compiler.planner import Terminology
from measurewise.engine.compiler.prefilter.moments import Moment, resolved
from measurewise.engine.compiler.prefilter.requirements import (
    Absent,
    AgeAtTime,
    AgeBetween,
    AllOf,
    AnyOf,
    Anything,
    Coded,
    ElementIn,
    Grain,
    HasResource,
    Present,
    Requirement,
    TimeBound,
    Unreadable,
)
from measurewise.engine.record.record import Record
from measurewise.engine.runtime.datetime_parsing import parse_date, parse_datetime
from measurewise.engine.runtime.temporal import MS_PER_DAY, SHIFT, YEAR, from_ms, to_ms
from measurewise.engine.runtime.values import Interval

RecordTest = Callable[[Record], bool]
ResourceTest = Callable[[Mapping[str, Any], Record], bool]

SLACK_DAYS: dict[Grain, int] = {"day": 4, "month": 35, "year": 370}
"""How far apart two times may be and still be taken for the same by a comparison to the day, month or year.

A day of the calendar, and offsets: two dateTimes of one local day may lie 28 hours apart, and each bound of
the period has an offset of its own.
"""

_AGE_SLACK = 4 << 27
"""As many days in the packing of dates: a birthday is not told apart from the days around it."""

_YEAR_BITS = SHIFT[YEAR]

MALFORMED = (AttributeError, KeyError, TypeError, ValueError)


class Prefilter:
    """Tells cheaply who cannot be in a population.

    ``period`` is the measurement period as CQL has it, ``zone`` the evaluation request's offset in minutes.
    Raises what ``terminology`` raises for a value set that it does not hold.
    """

    def __init__(
        self, requirement: Requirement, period: Interval, terminology: Terminology, *, zone: int = 0
    ) -> None:
        self.requirement = requirement
        self.period = period
        self._check = _Checks(period, terminology, zone).of_record(requirement)

    def may_qualify(self, record: Record) -> bool:
        """False only of a patient who cannot be in the population; a record that cannot be read may be."""
        try:
            return self._check(record)
        except MALFORMED:
            return True


class _Checks:
    """Makes tests of requirements for one period."""

    def __init__(self, period: Interval, terminology: Terminology, zone: int) -> None:
        self.period = period
        self.terminology = terminology
        self.zone = zone

    # ---------------------------------------------------------------------------------- of records

    def of_record(self, requirement: Requirement) -> RecordTest:
        """The test of a requirement."""
        if isinstance(requirement, AllOf):
            return _every([self.of_record(part) for part in sorted(requirement.parts, key=_cost)])
        if isinstance(requirement, AnyOf):
            return _any([self.of_record(part) for part in sorted(requirement.parts, key=_cost)])
        if isinstance(requirement, HasResource):
            return self._has_resource(requirement)
        return self._age(requirement) if isinstance(requirement, AgeBetween) else _yes

    def _has_resource(self, requirement: HasResource) -> RecordTest:
        kind = requirement.resource_type
        test = self.of_resource(requirement.where)
        if test is _yes_resource:
            return lambda record: kind in record.by_type

        def has_resource(record: Record) -> bool:
            for resource in record.by_type.get(kind) or ():  # noqa: SIM110  a generator costs more
                if test(resource, record):
                    return True
            return False

        return has_resource

    def _age(self, requirement: AgeBetween) -> RecordTest:
        moment = resolved(requirement.at, self.period)
        if moment is None:
            return _yes
        low, high = requirement.low, requirement.high
        first, last = min(moment.lo, moment.local), max(moment.hi, moment.local)

        def age_between(record: Record) -> bool:
            return _aged(record, first, last, low, high)

        return age_between

    # ---------------------------------------------------------------------------------- of resources

    def of_resource(self, requirement: Requirement) -> ResourceTest:
        """The test of a condition."""
        if isinstance(requirement, AllOf):
            return _every([self.of_resource(part) for part in sorted(requirement.parts, key=_cost)])
        if isinstance(requirement, AnyOf):
            return _any([self.of_resource(part) for part in sorted(requirement.parts, key=_cost)])
        if isinstance(requirement, Coded):
            return self._coded(requirement)
        if isinstance(requirement, TimeBound):
            return self._time_bound(requirement)
        if isinstance(requirement, AgeAtTime):
            return self._age_at_time(requirement)
        return _of_elements(requirement)

    def _coded(self, requirement: Coded) -> ResourceTest:
        systems: dict[str, set[str | None]] = {}
        for use in requirement.value_sets:
            for system, code in self.terminology.members(use.url, use.version):
                systems.setdefault(code, set()).add(system)
        for system, code in requirement.codes:
            systems.setdefault(code, set()).add(system)
        tests = [_code_test(element.name, element.kind, systems) for element in requirement.elements]
        return _any(tests)

    def _time_bound(self, requirement: TimeBound) -> ResourceTest:
        limit = self._limit(requirement)
        if limit is None:
            return _yes_resource
        name, part, zone = requirement.element, requirement.part, self.zone
        not_after = requirement.side == "not after"

        def time_bound(resource: Mapping[str, Any], record: Record) -> bool:
            value = resource.get(name)
            if part != "point" and value is not None:
                value = value.get(part)
            time = parse_datetime(value, zone) if type(value) is str else None
            if time is None:
                return True
            return time.lo <= limit if not_after else time.hi >= limit

        return time_bound

    def _limit(self, requirement: TimeBound) -> int | None:
        moment = resolved(requirement.moment, self.period)
        if moment is None:
            return None
        slack = SLACK_DAYS[requirement.grain]
        return moved(moment.hi, slack) if requirement.side == "not after" else moved(moment.lo, -slack)

    def _age_at_time(self, requirement: AgeAtTime) -> ResourceTest:
        name, part, zone = requirement.element, requirement.part, self.zone
        low, high = requirement.low, requirement.high

        def age_at_time(resource: Mapping[str, Any], record: Record) -> bool:
            value = resource.get(name)
            if part != "point" and value is not None:
                value = value.get(part)
            time = parse_datetime(value, zone) if type(value) is str else None
            return time is None or _aged(record, time.lo, time.hi, low, high)

        return age_at_time


def _aged(record: Record, first: int, last: int, low: int | None, high: int | None) -> bool:
    """Whether the patient may have an age between two bounds at some moment from the first to the last."""
    text = record.patient.get("birthDate")
    if text is None:
        return False
    birth = parse_date(text) if type(text) is str else None
    if birth is None:
        return True
    if low is not None and (last + _AGE_SLACK - birth.lo) >> _YEAR_BITS < low:
        return False
    return high is None or (first - _AGE_SLACK - birth.hi) >> _YEAR_BITS <= high


def _of_elements(requirement: Requirement) -> ResourceTest:
    if isinstance(requirement, ElementIn):
        name, values = requirement.element, frozenset(requirement.values)
        return lambda resource, record: resource.get(name) in values
    if isinstance(requirement, Present):
        if len(requirement.elements) == 1:
            only = requirement.elements[0]
            return lambda resource, record: resource.get(only) is not None
        names = requirement.elements
        return lambda resource, record: any(resource.get(name) is not None for name in names)
    if isinstance(requirement, Absent):
        absent = requirement.elements
        return lambda resource, record: all(resource.get(name) is None for name in absent)
    if isinstance(requirement, Unreadable):
        date = requirement.element

        def unreadable(resource: Mapping[str, Any], record: Record) -> bool:
            value = resource.get(date)
            return value is not None and (type(value) is not str or parse_datetime(value, 0) is None)

        return unreadable
    assert isinstance(requirement, Anything), requirement
    return _yes_resource


def _code_test(name: str, kind: str, systems: Mapping[str, set[str | None]]) -> ResourceTest:
    none: frozenset[str | None] = frozenset()

    def concept(resource: Mapping[str, Any], record: Record) -> bool:
        value = resource.get(name)
        if value is None:
            return False
        for item in value if type(value) is list else (value,):
            for coding in item.get("coding") or ():
                if coding.get("system") in systems.get(coding.get("code"), none):
                    return True
        return False

    def coding(resource: Mapping[str, Any], record: Record) -> bool:
        value = resource.get(name)
        items = value if type(value) is list else () if value is None else (value,)
        return any(item.get("system") in systems.get(item.get("code"), none) for item in items)

    def code(resource: Mapping[str, Any], record: Record) -> bool:
        value = resource.get(name)
        return any(item in systems for item in (value if type(value) is list else (value,)))

    return {"CodeableConcept": concept, "Coding": coding, "code": code}[kind]


def moved(packed: int, days: int) -> int:
    """A packed moment some days on; past every moment where the calendar ends."""
    try:
        return from_ms(to_ms(packed) + days * MS_PER_DAY)
    except (OverflowError, ValueError):
        return 0 if days < 0 else 10_000 << _YEAR_BITS


def _cost(requirement: Requirement) -> int:
    """How dear a test is, roughly, so that the cheap ones come first."""
    if isinstance(requirement, AllOf | AnyOf):
        return 2 + sum(map(_cost, requirement.parts))
    if isinstance(requirement, HasResource):
        return 10 + _cost(requirement.where)
    return {Coded: 5, TimeBound: 6, AgeAtTime: 8, AgeBetween: 3}.get(type(requirement), 1)


def _yes(record: Record) -> bool:
    return True


def _yes_resource(resource: Mapping[str, Any], record: Record) -> bool:
    return True


def _every(tests: list[Callable[..., bool]]) -> Callable[..., bool]:
    if len(tests) == 2:
        first, second = tests
        return lambda *of: first(*of) and second(*of)

    def every(*of: Any) -> bool:
        for test in tests:  # noqa: SIM110
            if not test(*of):
                return False
        return True

    return every


def _any(tests: list[Callable[..., bool]]) -> Callable[..., bool]:
    if len(tests) == 1:
        return tests[0]

    def either(*of: Any) -> bool:
        for test in tests:  # noqa: SIM110
            if test(*of):
                return True
        return False

    return either


__all__ = ["Moment", "Prefilter"]
