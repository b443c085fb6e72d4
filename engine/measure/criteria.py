"""Criteria names held against the definitions that the libraries really have.

CQL identifiers are case-sensitive (CQL 1.5 Author's Guide, "Case Sensitivity"), so a criterion whose name
differs from the definition's in letter case names, strictly, nothing, and the measure could not be computed
at all. Where exactly one definition has the name but for its case, that one is meant beyond doubt: it is
taken, and a notice says so. ``strict`` refuses it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from difflib import get_close_matches

from measurewise.engine.errors import NotFoundError
from measurewise.engine.measure.definition import Criteria, MeasureDefinition, Notice


def resolve_criteria(
    measure: MeasureDefinition, names: Collection[str], *, strict: bool = False
) -> MeasureDefinition:
    """The measure with every unqualified criterion named as its library names it.

    ``names`` are the names of the expression and function definitions of the measure's own library. Criteria
    that name a library of their own are left as they are. Raises :class:`NotFoundError` for a criterion that
    no definition answers to.
    """
    resolver = _Resolver(measure, names, strict)
    groups = tuple(
        replace(
            group,
            populations=tuple(
                replace(item, criteria=resolver(item.criteria, item.id or item.code))
                for item in group.populations
            ),
            observations=tuple(
                replace(item, criteria=resolver(item.criteria, item.id or "measure-observation"))
                for item in group.observations
            ),
            stratifiers=tuple(
                replace(
                    item,
                    components=tuple(
                        replace(
                            part, criteria=resolver.found(part.criteria, part.id or item.id or "stratifier")
                        )
                        for part in item.components
                    ),
                )
                for item in group.stratifiers
            ),
        )
        for group in measure.groups
    )
    supplemental = tuple(
        replace(item, criteria=resolver.found(item.criteria, item.id or "supplementalData"))
        for item in measure.supplemental_data
    )
    return replace(
        measure,
        groups=groups,
        supplemental_data=supplemental,
        notices=measure.notices + tuple(resolver.notices),
    )


class _Resolver:
    def __init__(self, measure: MeasureDefinition, names: Collection[str], strict: bool) -> None:
        self.measure = measure
        self.names = frozenset(names)
        self.strict = strict
        self.notices: list[Notice] = []
        self.folded: dict[str, list[str]] = {}
        for name in sorted(self.names):
            self.folded.setdefault(name.casefold(), []).append(name)

    def __call__(self, criteria: Criteria | None, place: str) -> Criteria | None:
        return None if criteria is None else self.found(criteria, place)

    def found(self, criteria: Criteria, place: str) -> Criteria:
        name = criteria.name
        if criteria.library is not None or name in self.names:
            return criteria
        where = f"Measure {self.measure.name}, {place}"
        same = self.folded.get(name.casefold(), [])
        if len(same) == 1 and not self.strict:
            self.notices.append(
                Notice(
                    f"the criteria name {name!r} differs in letter case from the definition {same[0]!r}",
                    where,
                )
            )
            return replace(criteria, name=same[0])
        near = same or get_close_matches(name, self.names, n=1)
        raise NotFoundError(
            f"the library {self.measure.library} has no definition {name!r}.",
            where=where,
            mend=f"Did the measure mean {near[0]!r}?" if near else "Name a definition of the library.",
        )
