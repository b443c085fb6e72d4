"""Promoting Interoperability Section (V3) and Improvement Activity Section (V3) of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from measurewise.qrda.category3.writing.description import (
    Attestation,
    DescriptionError,
    ImprovementActivities,
    PromotingInteroperability,
    Proportion,
)
from measurewise.qrda.category3.writing.elements import (
    ACT_CODE,
    EVENT,
    OBSERVATION,
    Element,
    Identities,
    aggregate_count,
    assertion,
    completed,
    element,
    external_document,
    reporting_parameters,
    section,
    table,
    templates,
)
from measurewise.qrda.category3.writing.year import Guide, PromotingMeasure, YearIdentifiers

_T = TypeVar("_T")
_PROMOTING: Final = "2.16.840.1.113883.3.7031"
_ACTIVITY: Final = "2.16.840.1.113883.3.7034"


def add_promoting_section(
    body: Element,
    promoting: PromotingInteroperability,
    year: YearIdentifiers,
    guide: Guide,
    identities: Identities,
) -> None:
    """The measures on certified technology; raises DescriptionError for one that the year does not have."""
    titles = {one.measure_id: _promoting(one, year).title for one in promoting.measures}
    made = section(
        body,
        templates(guide, "measureSection", "promotingSection"),
        table(
            ("Measure", "Title", "Result"),
            [(one.measure_id, titles[one.measure_id], _result(one)) for one in promoting.measures],
        ),
    )
    for one in promoting.measures:
        title = titles[one.measure_id]
        made.append(
            _proportion(one, title, guide, identities)
            if isinstance(one, Proportion)
            else _performed(one, title, "promotingPerformed", guide, identities)
        )
    identity = identities.of("promoting", "parameters")
    made.append(reporting_parameters(guide, identity, promoting.start, promoting.end))


def add_activity_section(
    body: Element,
    activities: ImprovementActivities,
    year: YearIdentifiers,
    guide: Guide,
    identities: Identities,
) -> None:
    """The improvement activities; raises DescriptionError for one that the year does not have."""
    titles = {one.measure_id: _activity(one, year) for one in activities.activities}
    made = section(
        body,
        templates(guide, "measureSection", "activitySection"),
        table(
            ("Activity", "Title", "Result"),
            [(one.measure_id, titles[one.measure_id], _result(one)) for one in activities.activities],
        ),
    )
    for one in activities.activities:
        made.append(_performed(one, titles[one.measure_id], "activityPerformed", guide, identities))
    identity = identities.of("activities", "parameters")
    made.append(reporting_parameters(guide, identity, activities.start, activities.end))


def _promoting(one: Proportion | Attestation, year: YearIdentifiers) -> PromotingMeasure:
    measure = _known(one.measure_id, year.promoting, "Promoting Interoperability measure", year.year)
    if (measure.metric_type == "proportion") is not isinstance(one, Proportion):
        raise DescriptionError(
            f"it is reported as {'numbers' if isinstance(one, Proportion) else 'yes or no'}, and is a "
            f"{measure.metric_type} in {year.year}.",
            where=one.measure_id,
            mend="Give numerator and denominator of a proportion, performed true or false of a boolean.",
        )
    return measure


def _activity(one: Attestation, year: YearIdentifiers) -> str:
    return _known(one.measure_id, year.activities, "improvement activity", year.year)


def _known(name: str, among: Mapping[str, _T], kind: str, year: int) -> _T:
    found = among.get(name)
    if found is None:
        raise DescriptionError(
            f"{year} has no {kind} of this id.", where=name, mend="Look it up in the year's list."
        )
    return found


def _result(one: Proportion | Attestation) -> str:
    if isinstance(one, Proportion):
        return f"{one.numerator} of {one.denominator}"
    return "Yes" if one.performed else "No"


def _organizer(
    one: Proportion | Attestation, root: str, title: str, template: str, guide: Guide, identities: Identities
) -> Element:
    return element(
        "organizer",
        {"classCode": "CLUSTER", **EVENT},
        *templates(guide, "measureReference", template),
        identities.of("attested", one.measure_id),
        completed(),
        external_document(root, one.measure_id, title),
    )


def _performed(one: Attestation, title: str, template: str, guide: Guide, identities: Identities) -> Element:
    root = _PROMOTING if template == "promotingPerformed" else _ACTIVITY
    organizer = _organizer(one, root, title, template, guide, identities)
    organizer.append(
        element(
            "component",
            None,
            element(
                "observation",
                OBSERVATION,
                *templates(guide, "measurePerformed"),
                *assertion(),
                element(
                    "value",
                    {
                        "type": "CD",
                        "code": "Y" if one.performed else "N",
                        "codeSystem": "2.16.840.1.113883.12.136",
                        "codeSystemName": "Yes/no indicator (HL7 Table 0136)",
                        "displayName": "Yes" if one.performed else "No",
                    },
                ),
            ),
        )
    )
    return element("entry", None, organizer)


def _proportion(one: Proportion, title: str, guide: Guide, identities: Identities) -> Element:
    organizer = _organizer(one, _PROMOTING, title, "promotingProportion", guide, identities)
    for template, code, count in (
        ("promotingNumerator", "NUMER", one.numerator),
        ("promotingDenominator", "DENOM", one.denominator),
    ):
        organizer.append(
            element(
                "component",
                None,
                element(
                    "observation",
                    OBSERVATION,
                    *templates(guide, template),
                    *assertion(),
                    element("value", {"type": "CD", "code": code, **ACT_CODE}),
                    aggregate_count(guide, count),
                ),
            )
        )
    return element("entry", None, organizer)
