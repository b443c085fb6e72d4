"""A description read from JSON (shape: ``docs/qrda-writing.md``).

Every mistake is told with the path of what is wrong; what the shape does not know is a mistake too, so that a
misspelt name is never passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from measurewise.qrda.category3.writing.description import (
    Attestation,
    Description,
    DescriptionError,
    Entity,
    EntityType,
    ImprovementActivities,
    LegalAuthenticator,
    Programme,
    PromotingInteroperability,
    Proportion,
)

_Name = TypeVar("_Name", bound=StrEnum)
_KINDS: Final = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def description_of(content: Any) -> Description:
    """The description that parsed JSON states. Raises DescriptionError."""
    top = _Object("the description", content)
    description = Description(
        year=top.need("year", int),
        programme=_named(Programme, top, "programme"),
        entity=_entity(_Object("entity", top.need("entity", dict))),
        mvp=top.get("mvp", str),
        cehrt_id=top.get("cehrtId", str),
        promoting_interoperability=_promoting(top.get("promotingInteroperability", dict)),
        improvement_activities=_activities(top.get("improvementActivities", dict)),
        legal_authenticator=_signed(top.get("legalAuthenticator", dict)),
        software=top.get("software", str) or "Measurewise",
        document_template=top.get("documentTemplate", str),
    )
    top.close()
    return description


class _Object:
    """A JSON object that knows where it stands and which of its names have been read."""

    def __init__(self, where: str, content: Any) -> None:
        if not isinstance(content, Mapping):
            raise DescriptionError("it is no object.", where=where, mend="Write { ... }.")
        self.where = where
        self._content = content
        self._read: set[str] = set()

    def get(self, name: str, kind: type[Any]) -> Any:
        """What stands under a name, or None."""
        self._read.add(name)
        value = self._content.get(name)
        right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if value is not None and not right:
            raise DescriptionError(
                f"{name} is not {_KINDS[kind]}.", where=self.where, mend=f"Give {_KINDS[kind]}."
            )
        return value

    def need(self, name: str, kind: type[Any]) -> Any:
        """What stands under a name that must be there."""
        value = self.get(name, kind)
        if value is None:
            raise DescriptionError(f"{name} is missing.", where=self.where, mend=f"Give {_KINDS[kind]}.")
        return value

    def day(self, name: str) -> date:
        """A day, as ISO 8601 writes it."""
        text = self.need(name, str)
        try:
            return date.fromisoformat(text)
        except ValueError:
            raise DescriptionError(
                f"{name} is {text!r}, no day.", where=self.where, mend="Write 2025-01-31."
            ) from None

    def moment(self, name: str) -> datetime:
        """A day with a time, as ISO 8601 writes it."""
        text = self.need(name, str)
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise DescriptionError(
                f"{name} is {text!r}, no date and time.", where=self.where, mend="Write 2026-01-15T08:00:00."
            ) from None

    def close(self) -> None:
        """Refuse names that nothing has asked for."""
        unknown = sorted(set(self._content) - self._read)
        if unknown:
            raise DescriptionError(
                f"{', '.join(unknown)} means nothing here.",
                where=self.where,
                mend=f"Known are {', '.join(sorted(self._read))}.",
            )


def _named(kind: type[_Name], of: _Object, name: str) -> _Name:
    text = of.need(name, str)
    try:
        return kind(text)
    except ValueError:
        raise DescriptionError(
            f"{name} is {text!r}.", where=of.where, mend=f"Choose {', '.join(str(one) for one in kind)}."
        ) from None


def _entity(of: _Object) -> Entity:
    entity = Entity(
        type=_named(EntityType, of, "type"),
        name=of.need("name", str),
        tin=of.get("tin", str),
        npi=of.get("npi", str),
        id=of.get("id", str),
    )
    of.close()
    return entity


def _signed(content: Any) -> LegalAuthenticator | None:
    if content is None:
        return None
    of = _Object("legalAuthenticator", content)
    signed = LegalAuthenticator(
        of.need("given", str), of.need("family", str), of.moment("signed"), of.get("npi", str)
    )
    of.close()
    return signed


def _promoting(content: Any) -> PromotingInteroperability | None:
    if content is None:
        return None
    of = _Object("promotingInteroperability", content)
    start, end = of.day("start"), of.day("end")
    measures = tuple(
        _reported(_Object(f"{of.where}.measures[{place}]", one))
        for place, one in enumerate(of.need("measures", list))
    )
    of.close()
    return PromotingInteroperability(start, end, measures)


def _reported(of: _Object) -> Proportion | Attestation:
    name = of.need("id", str)
    if of.get("performed", bool) is not None:
        made: Proportion | Attestation = Attestation(name, of.need("performed", bool))
    else:
        made = Proportion(name, of.need("numerator", int), of.need("denominator", int))
    of.close()
    return made


def _activities(content: Any) -> ImprovementActivities | None:
    if content is None:
        return None
    of = _Object("improvementActivities", content)
    start, end = of.day("start"), of.day("end")
    activities = tuple(
        Attestation(one)
        if isinstance(one, str)
        else _attested(_Object(f"{of.where}.activities[{place}]", one))
        for place, one in enumerate(of.need("activities", list))
    )
    of.close()
    return ImprovementActivities(start, end, activities)


def _attested(of: _Object) -> Attestation:
    made = Attestation(of.need("id", str), of.need("performed", bool))
    of.close()
    return made
