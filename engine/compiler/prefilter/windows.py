"""Windows of time: when an element of a resource must lie for the resource to change any result.

From what every use of a retrieve asks of its rows (``uses.py``) to the first and last day of a window that a
FHIR search by date can ask for. A window is known only where each use needs one of the elements that the
search looks at, and bounds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from measurewise.engine.compiler.prefilter.check import SLACK_DAYS, moved
from measurewise.engine.compiler.prefilter.moments import resolved
from measurewise.engine.compiler.prefilter.requirements import (
    Absent,
    AllOf,
    AnyOf,
    Present,
    Requirement,
    TimeBound,
)
from measurewise.engine.compiler.prefilter.uses import Asked, Codes
from measurewise.engine.compiler.retrieval import Retrieval
from measurewise.engine.runtime.temporal import MAX_PACKED, MIN_PACKED, unpack
from measurewise.engine.runtime.values import Interval

ZONE_DAYS = 1
"""Servers take dateTimes without an offset for times of their own zone."""

RetrieveUses = Mapping[Asked, Sequence[Requirement]]
"""What each use of a retrieve asks of its rows."""
_Bounds = tuple[int | None, int | None]
_FREE: _Bounds = (None, None)


@dataclass(frozen=True, slots=True)
class Window:
    """The first and last day (``YYYY-MM-DD``) of a span that an element's time touches; one may be open."""

    first: str | None
    last: str | None


class Windows:
    """The windows of some measures in one measurement period.

    ``retrievals`` are all of the compiled program. ``uses`` is None where the logic could not be followed;
    then there are no windows.
    """

    def __init__(self, uses: RetrieveUses | None, retrievals: Iterable[Retrieval], period: Interval) -> None:
        self._period = period
        self._uses: dict[tuple[str, str | None], dict[Codes, list[Requirement]]] = {}
        compiled = {(r.resource_type, r.template, _codes(r)) for r in retrievals}
        for (kind, template, codes), wanted in (uses or {}).items():
            # codes that the compiler does not see are filtered by when the program runs
            seen = codes if (kind, template, codes) in compiled else "unknown"
            self._uses.setdefault((kind, template), {}).setdefault(seen, []).extend(wanted)

    def of(self, retrievals: Iterable[Retrieval], elements: Sequence[str]) -> Window | None:
        """Outside which time resources that some retrieves of one type ask for change no result.

        ``elements`` are JSON properties that a search looks at, the forms of a choice
        (``effectiveDateTime``, ``effectivePeriod``): a resource has at most one of them. A resource without
        any of them changes no result either. None where no window is known.
        """
        asked: list[Requirement] = []
        for retrieval in retrievals:
            uses = self._of_retrieve(retrieval)
            if not uses:
                return None
            asked += uses
        found: list[_Bounds] = []
        for use in dict.fromkeys(asked):
            if self._bounds(use, None, elements) is not None:
                return None
            for element in elements:
                bounds = self._bounds(use, element, elements)
                if bounds == _FREE:
                    return None
                if bounds is not None:
                    found.append(bounds)
        bounds = _widest(found)
        return None if bounds == _FREE or not found else _window(bounds)

    def _of_retrieve(self, retrieval: Retrieval) -> list[Requirement]:
        """What is asked of the rows of a compiled retrieve, which may stand for several in the logic.

        Conditions on codes in a query become codes of its retrieve.
        """
        by_codes = self._uses.get((retrieval.resource_type, retrieval.template), {})
        return [use for known in {_codes(retrieval), None, "unknown"} for use in by_codes.get(known, ())]

    def _bounds(self, asked: Requirement, held: str | None, elements: Sequence[str]) -> _Bounds | None:
        """The earliest and latest time that a resource's element may have; None where it meets nothing.

        ``held`` is which one of the elements the resource has, None for none of them.
        """
        if isinstance(asked, AllOf):
            parts = [self._bounds(part, held, elements) for part in asked.parts]
            known = [part for part in parts if part is not None]
            return _narrowest(known) if len(known) == len(parts) else None
        if isinstance(asked, AnyOf):
            options = [self._bounds(part, held, elements) for part in asked.parts]
            possible = [option for option in options if option is not None]
            return _widest(possible) if possible else None
        if isinstance(asked, Present):
            missing = all(name in elements and name != held for name in asked.elements)
            return None if missing else _FREE
        if isinstance(asked, Absent):
            return None if held in asked.elements else _FREE
        if isinstance(asked, TimeBound) and asked.element == held:
            return self._bound(asked)
        return _FREE

    def _bound(self, asked: TimeBound) -> _Bounds:
        moment = resolved(asked.moment, self._period)
        if moment is None:
            return _FREE
        spare = SLACK_DAYS[asked.grain] + ZONE_DAYS
        if asked.side == "not after":
            return None, moved(moment.hi, spare)
        return moved(moment.lo, -spare), None


def _codes(retrieval: Retrieval) -> Codes:
    coded = retrieval.code_filter
    if coded is None:
        return None
    return frozenset(coded.codes) if coded.value_set is None else (coded.value_set, coded.version)


def _narrowest(bounds: Sequence[_Bounds]) -> _Bounds:
    lows = [low for low, _ in bounds if low is not None]
    highs = [high for _, high in bounds if high is not None]
    return max(lows, default=None), min(highs, default=None)


def _widest(bounds: Sequence[_Bounds]) -> _Bounds:
    lows = [low for low, _ in bounds]
    highs = [high for _, high in bounds]
    return (
        None if None in lows else min(low for low in lows if low is not None) if lows else None,
        None if None in highs else max(high for high in highs if high is not None) if highs else None,
    )


def _window(bounds: _Bounds) -> Window | None:
    low, high = bounds
    if low is not None and high is not None and low > high:
        high = None  # a period must reach over both: one of them is asked for
    first = _day(low) if low is not None and low > MIN_PACKED else None
    last = _day(high) if high is not None and high < MAX_PACKED else None
    return None if first is None and last is None else Window(first, last)


def _day(packed: int) -> str:
    year, month, day, *_ = unpack(packed)
    return f"{year:04}-{month:02}-{day:02}"
