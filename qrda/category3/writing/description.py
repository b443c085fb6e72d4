"""Who reports, for which programme and year, and what is attested: what no measure computes.

Sources: CMS QRDA III guides 2023 to 2025 (CMS program names, identifiers of the performer); 42 CFR 414.1305
and 414.1365 (who may report an MVP).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from measurewise.engine.errors import MeasurewiseError


class DescriptionError(MeasurewiseError):
    """A description of a report that cannot be reported."""

    code = "invalid"


class EntityType(StrEnum):
    """Who is scored, as the submissions API calls it."""

    INDIVIDUAL = "individual"
    GROUP = "group"
    SUBGROUP = "subgroup"
    VIRTUAL_GROUP = "virtualGroup"
    APM = "apm"


class Programme(StrEnum):
    """What is reported for: traditional MIPS, a MIPS Value Pathway, the APM Performance Pathway, APP Plus."""

    MIPS = "mips"
    MVP = "mvp"
    APP = "app1"
    APP_PLUS = "appPlus"

    @property
    def submission_name(self) -> str:
        """The programme whose CMS program names are used; an MVP is named by its own id beside it."""
        return "mips" if self is Programme.MVP else str(self)


@dataclass(frozen=True, slots=True)
class Entity:
    """Who reports.

    ``tin`` is 9 digits (individual, group), ``npi`` 10 digits with their check digit (individual), ``id`` the
    identifier that CMS gave (subgroup ``SG-00000001``, virtual group, APM entity). Raises
    :class:`DescriptionError` where one is missing, malformed, or not this type's.
    """

    type: EntityType
    name: str
    tin: str | None = None
    npi: str | None = None
    id: str | None = None

    def __post_init__(self) -> None:
        where = f"entity ({self.type})"
        if not self.name.strip():
            raise DescriptionError("it has no name.", where=where, mend="Give the practice's name.")
        _check_texts(where, name=self.name, id=self.id)
        given = {"tin": self.tin, "npi": self.npi, "id": self.id}
        for name in given:
            asked = name in _IDENTIFIED_BY[self.type]
            if asked and not given[name]:
                raise DescriptionError(
                    f"{name} is missing.", where=where, mend=f"Give {_words(_IDENTIFIED_BY[self.type])}."
                )
            if not asked and given[name] is not None:
                raise DescriptionError(
                    f"{name} is not reported for this type of entity.",
                    where=where,
                    mend=f"Give {_words(_IDENTIFIED_BY[self.type])} alone.",
                )
        if self.tin is not None and not (len(self.tin) == 9 and _digits(self.tin)):
            raise DescriptionError("tin is not 9 digits.", where=where, mend="Write it without hyphens.")
        if self.npi is not None and not is_npi(self.npi):
            raise DescriptionError(
                "npi is not 10 digits with the right check digit.", where=where, mend="Compare it with NPPES."
            )


@dataclass(frozen=True, slots=True)
class Proportion:
    """A Promoting Interoperability measure with a numerator and a denominator."""

    measure_id: str
    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if not 0 <= self.numerator <= self.denominator:
            raise DescriptionError(
                f"numerator {self.numerator} and denominator {self.denominator} do not fit each other.",
                where=self.measure_id,
                mend="The numerator is a part of the denominator, and neither is negative.",
            )


@dataclass(frozen=True, slots=True)
class Attestation:
    """A yes or no: a Promoting Interoperability measure or exclusion, or an improvement activity."""

    measure_id: str
    performed: bool = True


@dataclass(frozen=True, slots=True)
class PromotingInteroperability:
    """What is reported on certified technology, for a period of the year."""

    start: date
    end: date
    measures: tuple[Proportion | Attestation, ...]


@dataclass(frozen=True, slots=True)
class ImprovementActivities:
    """The activities attested, and the period from the first to the last."""

    start: date
    end: date
    activities: tuple[Attestation, ...]


@dataclass(frozen=True, slots=True)
class LegalAuthenticator:
    """Who signed the report and when; ``signed`` is written as it stands, without an offset from UTC."""

    given: str
    family: str
    signed: datetime
    npi: str | None = None

    def __post_init__(self) -> None:
        _check_texts("legalAuthenticator", given=self.given, family=self.family)
        if self.npi is not None and not is_npi(self.npi):
            raise DescriptionError(
                "npi is not 10 digits with the right check digit.",
                where="legalAuthenticator",
                mend="Compare it with NPPES.",
            )


@dataclass(frozen=True, slots=True)
class Description:
    """Everything about a report but the measures' results.

    ``mvp`` is the id of the MIPS Value Pathway (``G0057``) where that is the programme. ``cehrt_id`` is the
    CMS EHR Certification ID, 15 letters and digits. ``software`` is named as the document's author.
    ``document_template`` is for years whose guide is not at hand (see ``year.guide``). Raises
    :class:`DescriptionError` for what no programme takes; what a year does not have is told on writing.
    """

    year: int
    programme: Programme
    entity: Entity
    mvp: str | None = None
    cehrt_id: str | None = None
    promoting_interoperability: PromotingInteroperability | None = None
    improvement_activities: ImprovementActivities | None = None
    legal_authenticator: LegalAuthenticator | None = None
    software: str = "Measurewise"
    document_template: str | None = None

    def __post_init__(self) -> None:
        if (self.mvp is None) is (self.programme is Programme.MVP):
            raise DescriptionError(
                "an MVP and the programme mvp go together.",
                where="mvp",
                mend="Give the MVP's id (such as G0057) with programme mvp, and with no other.",
            )
        _check_texts("the description", software=self.software)
        if self.document_template is not None and not _TEMPLATE_DATE.fullmatch(self.document_template):
            raise DescriptionError(
                "it is no date.", where="documentTemplate", mend="Write the extension, such as 2025-12-01."
            )
        if self.programme is Programme.MVP and self.entity.type is EntityType.VIRTUAL_GROUP:
            raise DescriptionError(
                "virtual groups do not report MVPs.", where="entity", mend="Report traditional MIPS."
            )
        if self.cehrt_id is not None and not (
            len(self.cehrt_id) == 15 and self.cehrt_id.isascii() and self.cehrt_id.isalnum()
        ):
            raise DescriptionError(
                "it is not 15 letters and digits.",
                where="cehrtId",
                mend="Take the CMS EHR Certification ID of the Certified Health IT Product List.",
            )
        for name, part in (
            ("promotingInteroperability", self.promoting_interoperability),
            ("improvementActivities", self.improvement_activities),
        ):
            if part is not None:
                _check_period(name, part.start, part.end, self.year)
        if self.promoting_interoperability is not None:
            _check_ids("promotingInteroperability", self.promoting_interoperability.measures)
        if self.improvement_activities is not None:
            _check_ids("improvementActivities", self.improvement_activities.activities)


_TEMPLATE_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_IDENTIFIED_BY: Final = {
    EntityType.INDIVIDUAL: ("tin", "npi"),
    EntityType.GROUP: ("tin",),
    EntityType.SUBGROUP: ("id",),
    EntityType.VIRTUAL_GROUP: ("id",),
    EntityType.APM: ("id",),
}


def is_npi(text: str) -> bool:
    """Whether a text is an NPI: 10 digits, the last of which checks the others (Luhn, prefix 80840)."""
    if not (len(text) == 10 and _digits(text)):
        return False
    total = 24
    for place, digit in enumerate(reversed(text)):
        number = int(digit) * (2 if place % 2 else 1)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def _check_texts(where: str, **texts: str | None) -> None:
    """XML has no place for control characters."""
    for name, text in texts.items():
        if text is not None and not text.isprintable():
            raise DescriptionError(
                f"{name} has characters that cannot be written.", where=where, mend="Write plain text."
            )


def _check_period(where: str, start: date, end: date, year: int) -> None:
    if not (start.year == year == end.year and start <= end):
        raise DescriptionError(
            f"{start} to {end} is no period of {year}.", where=where, mend="Give its first and last day."
        )


def _check_ids(where: str, items: tuple[Proportion | Attestation, ...]) -> None:
    ids = [item.measure_id for item in items]
    if not ids:
        raise DescriptionError("there is nothing in it.", where=where, mend="Leave it out.")
    for name in ids:
        if ids.count(name) > 1:
            raise DescriptionError(f"{name} is given twice.", where=where, mend="Give each once.")


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _words(names: tuple[str, ...]) -> str:
    return " and ".join(names)
