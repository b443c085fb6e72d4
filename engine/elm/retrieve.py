"""The retrieve: which resources of the record are asked for.

ELM: "External Data". ``property`` and its like are paths in the model, ``search`` and its like names of
search parameters; one of both is given.
"""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.engine.elm.element import Element, Expression


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IncludeElement(Element):
    """Related data to bring along, joined by a reference."""

    related_data_type: str
    include_from: str | None = None
    related_property: str | None = None
    related_search: str | None = None
    is_reverse: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeFilterElement(Element):
    """A condition on codes; comparators are in, ~in, contains, ~contains, =, ~."""

    value: Expression
    comparator: str | None = None
    property: str | None = None
    search: str | None = None
    value_set_property: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DateFilterElement(Element):
    """A condition on dates."""

    value: Expression
    property: str | None = None
    low_property: str | None = None
    high_property: str | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OtherFilterElement(Element):
    """A condition on values of any type."""

    value: Expression
    comparator: str | None = None
    property: str | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Retrieve(Expression):
    """The resources of a type, restricted by codes and dates; a code filter besides repeats ``codes``."""

    data_type: str
    template_id: str | None = None
    id_property: str | None = None
    id_search: str | None = None
    context_property: str | None = None
    context_search: str | None = None
    code_property: str | None = None
    code_search: str | None = None
    code_comparator: str | None = None
    value_set_property: str | None = None
    date_property: str | None = None
    date_low_property: str | None = None
    date_high_property: str | None = None
    date_search: str | None = None
    included_in: str | None = None
    id: Expression | None = None
    codes: Expression | None = None
    date_range: Expression | None = None
    context: Expression | None = None
    include: tuple[IncludeElement, ...] = ()
    code_filter: tuple[CodeFilterElement, ...] = ()
    date_filter: tuple[DateFilterElement, ...] = ()
    other_filter: tuple[OtherFilterElement, ...] = ()
