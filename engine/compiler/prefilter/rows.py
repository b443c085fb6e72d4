"""The rows of a list, and what a requirement says of one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from measurewise.engine.compiler.prefilter.requirements import (
    ANYTHING,
    AllOf,
    AnyOf,
    OnRow,
    Requirement,
    all_of,
    any_of,
    has_resource,
    walk,
)
from measurewise.engine.compiler.prefilter.symbols import UNKNOWN, Value
from measurewise.engine.compiler.prefilter.values import PATIENT_ROW
from measurewise.engine.models.types import NamedType


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a list: resources of a type that meet a condition, or a value of the scope.

    ``besides`` is what else must be true of the patient for such a row to be there.
    """

    resource_type: NamedType | None = None
    where: Requirement = ANYTHING
    value: Value = UNKNOWN
    besides: Requirement = ANYTHING

    def required(self) -> Requirement:
        """That there is such a row."""
        if self.resource_type is None:
            return self.besides
        return all_of([has_resource(self.resource_type.name, self.where), self.besides])


def some(rows: Iterable[Rows]) -> Requirement:
    """That there is a row of any kind."""
    return any_of(row.required() for row in rows)


def walk_conditions(requirement: Requirement) -> Iterator[Requirement]:
    """A requirement and everything it is made of, conditions on rows included."""
    for part in walk(requirement):
        yield part
        if isinstance(part, OnRow):
            yield from walk_conditions(part.condition)


def of_row(requirement: Requirement, row: int) -> Requirement:
    """What a requirement says of one row."""
    if isinstance(requirement, OnRow):
        return requirement.condition if requirement.row == row else ANYTHING
    if isinstance(requirement, AllOf):
        return all_of(of_row(part, row) for part in requirement.parts)
    if isinstance(requirement, AnyOf):
        return any_of(of_row(part, row) for part in requirement.parts)
    return ANYTHING


def without_row(requirement: Requirement, row: int) -> Requirement:
    """What a requirement says of everything but one row."""
    if isinstance(requirement, OnRow):
        return ANYTHING if requirement.row == row else requirement
    if isinstance(requirement, AllOf):
        return all_of(without_row(part, row) for part in requirement.parts)
    if isinstance(requirement, AnyOf):
        return any_of(without_row(part, row) for part in requirement.parts)
    return requirement


def of_patient(requirement: Requirement) -> Requirement:
    """A requirement whose conditions on the patient are conditions on the Patient resource."""
    if isinstance(requirement, OnRow):
        if requirement.row != PATIENT_ROW:
            return ANYTHING
        return has_resource("Patient", requirement.condition)
    if isinstance(requirement, AllOf):
        return all_of(of_patient(part) for part in requirement.parts)
    if isinstance(requirement, AnyOf):
        return any_of(of_patient(part) for part in requirement.parts)
    return requirement
