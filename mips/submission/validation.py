"""A submission held to the rules of the submissions API and of its performance year.

Source: CMS, QPP submissions API documentation (Submissions, Measurement Sets, Measurements, change log) and
the year's terms (``mips/data/<year>/submission.json``), where each names its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from measurewise.mips.programme_year import YEARS, ProgrammeYear, programme_year
from measurewise.mips.submission.problem import Problem, field_path, problem
from measurewise.mips.submission.rules_sets import ENTITY_TYPES, set_problems
from measurewise.qrda.category3.writing.description import is_npi
from measurewise.qrda.qpp_model import Submission
from measurewise.qrda.qpp_reading import QppReading, WrongType, read_qpp

_TIN_HOLDERS: Final = ("individual", "group")
_ENTITY_ID_HOLDERS: Final = ("virtualGroup", "subgroup", "apm")


def validate_json(content: Any, *, vendor: str | None = None) -> list[Problem]:
    """The problems of a submission's JSON. Raises UnreadableQppError for anything but an object."""
    return validate(read_qpp(content), vendor=vendor)


def validate(reading: QppReading, *, vendor: str | None = None) -> list[Problem]:
    """The problems of a submission that was read, in the order of its parts.

    With ``vendor``, the id that CMS gave a registry, QCDR measures of others are told too.
    """
    submission = reading.submission
    unread = {one.pointer for one in reading.wrong}
    found = [_wrong_type(one) for one in reading.wrong]
    found += _identity(submission, unread)
    year = _year(submission)
    if submission.performance_year is None:
        found += _missing("performanceYear", "", unread)
    elif year is None:
        found.append(problem("SV-year", "/performanceYear", year=submission.performance_year, years=YEARS))
    if not submission.measurement_sets:
        if not any(pointer.startswith("/measurementSets") for pointer in unread):
            found.append(problem("SV-no-sets", "/measurementSets"))
    elif year is not None:
        found += set_problems(submission, year, unread, vendor)
    return found


def is_clean(problems: list[Problem]) -> bool:
    """Whether the API would take the submission: there may be warnings, but no error."""
    return all(one.severity != "error" for one in problems)


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _year(submission: Submission) -> ProgrammeYear | None:
    return programme_year(submission.performance_year) if submission.performance_year in YEARS else None


def _wrong_type(one: WrongType) -> Problem:
    at = field_path(one.pointer.rpartition("/")[0])
    return problem(
        "SV-type", one.pointer, name=one.name, at=at, found=_quoted(one.found), expected=one.expected
    )


def _quoted(found: Any) -> Any:
    return f'"{found}"' if isinstance(found, str) and len(found) < 60 else found


def _missing(name: str, pointer: str, unread: set[str]) -> list[Problem]:
    place = f"{pointer}/{name}"
    return [] if place in unread else [problem("SV-missing", place, name=name, at=field_path(pointer))]


def _identity(submission: Submission, unread: set[str]) -> Iterator[Problem]:
    entity = submission.entity_type
    if entity is None:
        yield from _missing("entityType", "", unread)
        return
    if entity not in ENTITY_TYPES:
        yield problem("SV-entity-type", "/entityType", found=entity, known=ENTITY_TYPES)
        return
    tin, npi = submission.taxpayer_identification_number, submission.national_provider_identifier
    if entity in _TIN_HOLDERS:
        if not tin:
            yield from _missing("taxpayerIdentificationNumber", "", unread)
        elif len(tin) != 9 or not _digits(tin):
            yield problem("SV-tin", "/taxpayerIdentificationNumber")
    elif tin is not None:
        yield _unused("taxpayerIdentificationNumber", entity)
    if entity == "individual":
        if not npi:
            yield from _missing("nationalProviderIdentifier", "", unread)
        elif len(npi) != 10 or not _digits(npi):
            yield problem("SV-npi", "/nationalProviderIdentifier", found=npi)
        elif not is_npi(npi):
            yield problem("SV-npi-check-digit", "/nationalProviderIdentifier", found=npi)
    elif npi is not None:
        yield _unused("nationalProviderIdentifier", entity)
    if entity in _ENTITY_ID_HOLDERS:
        if not submission.entity_id:
            yield from _missing("entityId", "", unread)
        elif entity == "subgroup" and not _is_subgroup_id(submission.entity_id):
            found = submission.entity_id
            yield problem("SV-entity-id", "/entityId", found=found, entity=entity, form="SG-00000000")
    elif submission.entity_id is not None:
        yield _unused("entityId", entity)


def _is_subgroup_id(text: str) -> bool:
    return text.startswith("SG-") and len(text) == 11 and _digits(text[3:])


def _unused(name: str, entity: str) -> Problem:
    return problem("SV-identifier-unused", f"/{name}", name=name, entity=entity)
