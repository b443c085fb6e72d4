"""Membership of codes in value sets and code systems, and subsumption.

CQL 1.5, Appendix B, "Clinical Operators": In (Codesystem), In (Valueset), SubsumedBy, Subsumes
(https://cql.hl7.org/09-b-cqlreference.html#in-valueset). A code is a member when its system and code are
those of a member; version and display do not count (code equivalence). Null is not a member of anything.
"""

from __future__ import annotations

from functools import lru_cache

from measurewise.engine.errors import EvaluationError
from measurewise.engine.runtime.values import Code, Concept
from measurewise.engine.terminology.value_sets import Members, ValueSetIndex


def code_in(code: Code | None, members: Members) -> bool:
    """``in(code Code, valueset ValueSetRef) Boolean``."""
    return code is not None and (code.system, code.code) in members


def concept_in(concept: Concept | None, members: Members) -> bool:
    """``in(concept Concept, valueset ValueSetRef) Boolean``: whether any of its codes is a member."""
    return concept is not None and any(code_in(code, members) for code in concept.codes)


def string_in(code: str | None, members: Members, where: str = "") -> bool:
    """``in(code String, valueset ValueSetRef) Boolean``.

    Raises EvaluationError where the members come from several code systems, since a string cannot say which
    of them it means. ``where`` names the value set in that error.
    """
    if code is None or not members:
        return False
    system = _sole_system(members)
    if system is None:
        raise EvaluationError(
            f"The string '{code}' cannot be tested against codes of several code systems.",
            where=where,
            mend="Test a Code, which names its system.",
        )
    return (system, code) in members


@lru_cache(maxsize=1024)
def _sole_system(members: Members) -> str | None:
    systems = {system for system, _ in members}
    return systems.pop() if len(systems) == 1 else None


def value_in(value: Code | Concept | str | None, members: Members, where: str = "") -> bool:
    """Membership of a value whose type was not known when the logic was compiled."""
    if type(value) is Code:
        return (value.system, value.code) in members
    if type(value) is Concept:
        return concept_in(value, members)
    if type(value) is str:
        return string_in(value, members, where)
    if value is None:
        return False
    raise EvaluationError(
        f"A {type(value).__name__} is neither a code nor a concept nor a string.", where=where
    )


def any_in(values: list[Code | Concept | str | None] | None, members: Members, where: str = "") -> bool:
    """``in(codes List<Code>, valueset ValueSetRef) Boolean`` and its List<Concept> and List<String> forms."""
    return values is not None and any(value_in(value, members, where) for value in values)


def subsumes(
    left: Code | Concept | None, right: Code | Concept | None, terminology: ValueSetIndex
) -> bool | None:
    """``subsumes(ancestor Code, descendent Code) Boolean`` and its Concept form; null if either is null.

    For concepts, whether any code of the first subsumes any code of the second. Raises EvaluationError where
    a hierarchy that is needed is not at hand.
    """
    if left is None or right is None:
        return None
    above = left.codes if type(left) is Concept else [left]
    below = right.codes if type(right) is Concept else [right]
    pairs = [(a, b) for a in above for b in below if type(a) is Code and type(b) is Code]
    # The same code on both sides settles it without any hierarchy.
    if any(a.system == b.system and a.code == b.code for a, b in pairs):
        return True
    return any(terminology.subsumes(a, b) for a, b in pairs)


def subsumed_by(
    left: Code | Concept | None, right: Code | Concept | None, terminology: ValueSetIndex
) -> bool | None:
    """``subsumedBy(descendent Code, ancestor Code) Boolean``: :func:`subsumes` the other way round."""
    return subsumes(right, left, terminology)
