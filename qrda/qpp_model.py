"""The QPP submission: typed values for every part of its JSON, and the way back to JSON.

Source: CMS, QPP submissions API documentation (Submissions, Measurement Sets, Measurements). Names are those
of the JSON in Python's spelling. None means that a member is absent. Whatever the documentation does not
name, and whatever is there in another type than documented, is kept as it came in ``others``, so that a
submission that was read is written back the same. Nothing is judged here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]
Number: TypeAlias = int | float

TEXT: Final = "text"
INTEGER: Final = "integer"
NUMBER: Final = "number"
BOOLEAN: Final = "boolean"
LIST: Final = "list"
ANY: Final = "any"
_KINDS: Final = {
    "str | None": TEXT,
    "int | None": INTEGER,
    "Number | None": NUMBER,
    "bool | None": BOOLEAN,
    "Value | None": ANY,
    "tuple[Stratum, ...] | None": LIST,
    "tuple[Measurement, ...] | None": LIST,
    "tuple[MeasurementSet, ...] | None": LIST,
}
_members: dict[type[Part], tuple[tuple[str, str, str], ...]] = {}


@dataclass(frozen=True, slots=True)
class Part:
    """Any object of a submission; ``others`` are its members without a place here, as they came."""

    others: Mapping[str, Any] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True)
class Proportion(Part):
    """The value of a PI measure that has a rate: ``0 <= numerator <= denominator``."""

    numerator: int | None = None
    denominator: int | None = None


@dataclass(frozen=True, slots=True)
class NonProportion(Part):
    """The value of a ratio or continuous-variable quality measure."""

    is_end_to_end_reported: bool | None = None
    numerator: Number | None = None
    denominator: Number | None = None
    observation_instances: int | None = None
    numerator_exclusion: Number | None = None
    denominator_exception: Number | None = None
    reporting_rate: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Part):
    """The counts of one rate.

    ``performance_rate`` is the API's answer, but for QCDR measures.
    """

    performance_met: int | None = None
    performance_not_met: int | None = None
    eligible_population_exclusion: int | None = None
    eligible_population_exception: int | None = None
    numerator_exclusion: int | None = None
    eligible_population: int | None = None
    performance_rate: Number | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceRate(Rate):
    """The value of a quality measure with one rate; the last two are the API's answer."""

    is_end_to_end_reported: bool | None = None
    reporting_rate: Number | None = None
    case_count: Number | None = None


@dataclass(frozen=True, slots=True)
class Stratum(Rate):
    """One named rate of a measure with several."""

    stratum: str | None = None


@dataclass(frozen=True, slots=True)
class MultiPerformanceRate(Part):
    """The value of a quality measure with several rates."""

    is_end_to_end_reported: bool | None = None
    strata: tuple[Stratum, ...] | None = None
    performance_rate: Number | None = None
    reporting_rate: Number | None = None
    case_count: Number | None = None


@dataclass(frozen=True, slots=True)
class OtherValue:
    """A value of none of the kinds that are handed in, as it came (a cost or CAHPS score, an empty list)."""

    content: Any


Value: TypeAlias = bool | Proportion | NonProportion | PerformanceRate | MultiPerformanceRate | OtherValue


@dataclass(frozen=True, slots=True)
class Measurement(Part):
    """What is reported on one measure."""

    measure_id: str | None = None
    value: Value | None = None
    id: str | None = None
    measurement_set_id: str | None = None


@dataclass(frozen=True, slots=True)
class MeasurementSet(Part):
    """One category by one submission method for one programme.

    ``program_name`` is ``mips``, ``app1``, ``appPlus``, ``pcf`` or an MVP's id; absent it means ``mips``.
    Days are ``YYYY-MM-DD``.
    """

    category: str | None = None
    submission_method: str | None = None
    program_name: str | None = None
    cehrt_id: str | None = None
    performance_start: str | None = None
    performance_end: str | None = None
    measurements: tuple[Measurement, ...] | None = None
    source: str | None = None
    id: str | None = None
    submission_id: str | None = None

    @property
    def programme(self) -> str:
        """The programme, ``mips`` where none is named."""
        return self.program_name or "mips"


@dataclass(frozen=True, slots=True)
class Submission(Part):
    """One year of one clinician, group, virtual group, subgroup or APM entity.

    ``entity_type`` is ``individual``, ``group``, ``virtualGroup``, ``apm`` or ``subgroup``.
    """

    performance_year: int | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    taxpayer_identification_number: str | None = None
    national_provider_identifier: str | None = None
    measurement_sets: tuple[MeasurementSet, ...] | None = None
    id: str | None = None


def members(part: type[Part]) -> tuple[tuple[str, str, str], ...]:
    """The members of a part, those of its own kind first: attribute, name in JSON, kind of value."""
    found = _members.get(part)
    if found is None:
        found = _members[part] = tuple(
            (one.name, _json_name(one.name), _KINDS[str(one.type)])
            for one in sorted(fields(part), key=lambda one: one.name not in part.__annotations__)
            if one.name != "others"
        )
    return found


def _json_name(name: str) -> str:
    return re.sub(r"_([a-z])", lambda letter: letter[1].upper(), name)


def to_json(part: Part) -> Json:
    """The JSON of a submission or of any part of it."""
    result: Json = {}
    for attribute, name, _ in members(type(part)):
        content = getattr(part, attribute)
        if content is not None:
            result[name] = [to_json(one) for one in content] if type(content) is tuple else _value(content)
    result.update(part.others)
    return result


def _value(content: Any) -> Any:
    if isinstance(content, OtherValue):
        return content.content
    return to_json(content) if isinstance(content, Part) else content
