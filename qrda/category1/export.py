"""Patients evaluated and written: a zip for each measure and population, with the patients counted in it."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from measurewise.engine import Content, MeasureDefinition, MeasurewiseError, PatientResult, Prepared, Record
from measurewise.qrda.category1.data_types import value_set_oid
from measurewise.qrda.category1.document import (
    EntryReport,
    MeasureReference,
    Settings,
    WrittenDocument,
    write_document,
)
from measurewise.qrda.category3.writing.year import IDENTIFIED_YEARS, cms_number
from measurewise.qrda.year_data import measure_identifiers

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(slots=True)
class Exported:
    """What was written: the number of documents by zip; patients; patients counted nowhere.

    ``holding`` tells for each zip its measure and population.
    """

    zips: dict[str, int] = field(default_factory=dict)
    holding: dict[str, tuple[str, str]] = field(default_factory=dict)
    patients: int = 0
    uncounted: int = 0


@dataclass(frozen=True, slots=True)
class DocumentReport:
    """One document: its name in the zips, its patient, its measure, and what became of each resource."""

    document: str
    patient: str
    measure: str
    entries: tuple[EntryReport, ...]

    def as_json(self) -> dict[str, Any]:
        """The members by name."""
        return {
            "document": self.document,
            "patient": self.patient,
            "measure": self.measure,
            "entries": [
                {
                    "resource": one.reference,
                    "datatype": one.datatype,
                    "asElements": one.as_elements,
                    "lost": one.lost,
                    "filled": one.filled,
                }
                for one in self.entries
            ],
        }


class Export:
    """Writes patients to the zips of one folder; a context manager, whose zips get their names at its end."""

    def __init__(
        self, folder: Path, prepared: Prepared, content: Content, settings: Settings, year: int
    ) -> None:
        """``settings.measures`` and ``settings.value_sets`` are filled in for each measure."""
        self.exported = Exported()
        self._folder = folder
        self._open: dict[str, zipfile.ZipFile] = {}
        self._unfinished: dict[str, Path] = {}
        self._prepared = prepared
        self._settings = [_settings_of(measure, content, settings, year) for measure in prepared.measures]

    def __enter__(self) -> Self:
        """Raises MeasurewiseError where the folder cannot be made."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MeasurewiseError(
                f"the folder cannot be made ({error.strerror}).",
                where=str(self._folder),
                mend="Choose another.",
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the zips their names, or leave none behind."""
        for name, archive in self._open.items():
            archive.close()
            if kind is None:
                self._unfinished[name].replace(self._folder / name)
            self._unfinished[name].unlink(missing_ok=True)

    def add(self, record: Record, results: Sequence[PatientResult] | None = None) -> Iterator[DocumentReport]:
        """Write a document for each measure that counts a patient.

        ``results`` are the patient's, one a measure, where they are known already; otherwise the patient is
        evaluated. Raises as ``evaluate``.
        """
        results = self._prepared.evaluate(record) if results is None else results
        self.exported.patients += 1
        resources = [dict(one) for one in record.resources()]
        counted = False
        for measure, settings, result in zip(self._prepared.measures, self._settings, results, strict=True):
            populations = list(_populations(measure, result))
            if not populations:
                continue
            counted = True
            written = write_document(resources, settings)
            name = f"{self.exported.patients:06}_{_safe(str(result.subject).rpartition('/')[2])}.xml"
            for population in populations:
                archive = f"{_short(measure)}_{population}.zip"
                self.exported.holding[archive] = (_short(measure), population)
                self._put(archive, name, written)
            yield DocumentReport(name, str(result.subject), _short(measure), written.entries)
        self.exported.uncounted += not counted

    def _put(self, archive: str, name: str, written: WrittenDocument) -> None:
        if archive not in self._open:
            unfinished = self._folder / f".{archive}.{os.getpid()}"
            self._unfinished[archive] = unfinished
            self._open[archive] = zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED)
        # One fixed date, so that equal records make equal zips.
        member = zipfile.ZipInfo(name, _EARLIEST)
        member.compress_type = zipfile.ZIP_DEFLATED
        self._open[archive].writestr(member, written.data)
        self.exported.zips[archive] = self.exported.zips.get(archive, 0) + 1


def measure_reference(measure: MeasureDefinition, content: Content, year: int) -> MeasureReference:
    """How documents name a measure: by CMS's identifier of the year, else by the Measure's own.

    Raises MeasurewiseError for a measure that has neither.
    """
    number = _cms_number(measure, content)
    if number and year in IDENTIFIED_YEARS:
        for one in measure_identifiers(year):
            if cms_number(one.ecqm_id) == number:
                return MeasureReference(
                    one.uuid.lower(),
                    measure.title or measure.name,
                    _identifier(measure, content, "version-independent"),
                )
    own = _identifier(measure, content, "version-specific")
    if own is None:
        raise MeasurewiseError(
            "the measure has no version-specific identifier, by which QRDA I documents name it.",
            where=measure.name,
            mend="Give the Measure an identifier of type version-specific (urn:uuid:...).",
        )
    return MeasureReference(
        own, measure.title or measure.name, _identifier(measure, content, "version-independent")
    )


def value_sets_of(measure: MeasureDefinition, content: Content) -> dict[str, dict[tuple[str, str], str]]:
    """The value sets that a measure's retrieves name: OID by resource type, then (system, code).

    They are those of the Measure's data requirements; a code in several has the first. Value sets that are
    not there are passed over.
    """
    found: dict[str, dict[tuple[str, str], str]] = {}
    index = content.value_set_index(missing="empty")
    for kind, url in _required(_resource(measure, content)):
        oid = value_set_oid(url)
        if oid is None:
            continue
        for code in index.codes(url.partition("|")[0]):
            if code.system and code.code:
                found.setdefault(kind, {}).setdefault((code.system, code.code), oid)
    return found


def _settings_of(measure: MeasureDefinition, content: Content, settings: Settings, year: int) -> Settings:
    return replace(
        settings,
        measures=(measure_reference(measure, content, year),),
        value_sets=value_sets_of(measure, content),
    )


def _resource(measure: MeasureDefinition, content: Content) -> Mapping[str, Any]:
    return content.measure(measure.canonical).resource


def _required(resource: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Type and value set of the data requirements of a Measure's module-definition library."""
    for library in _dicts(resource.get("contained")):
        for requirement in _dicts(library.get("dataRequirement")):
            for one in _dicts(requirement.get("codeFilter")):
                if requirement.get("type") and one.get("valueSet"):
                    yield str(requirement["type"]), str(one["valueSet"])


def _identifier(measure: MeasureDefinition, content: Content, kind: str) -> str | None:
    for one in _dicts(_resource(measure, content).get("identifier")):
        codings = (one.get("type") or {}).get("coding")
        value = str(one.get("value", ""))
        if any(coding.get("code") == kind for coding in _dicts(codings)) and value.startswith("urn:uuid:"):
            return value.removeprefix("urn:uuid:").lower()
    return None


def _cms_number(measure: MeasureDefinition, content: Content) -> str | None:
    for one in _dicts(_resource(measure, content).get("identifier")):
        if str(one.get("system", "")).endswith("/cmsId"):
            return cms_number(f"CMS{one.get('value')}")
    return cms_number(measure.name)


def _populations(measure: MeasureDefinition, result: PatientResult) -> Iterator[str]:
    for position, (group, counted) in enumerate(zip(measure.groups, result.groups, strict=True), start=1):
        seen: dict[str, int] = {}
        for population, count in zip(group.populations, counted.counts, strict=True):
            code = str(population.code)
            seen[code] = seen.get(code, 0) + 1
            if count:
                several = (
                    f"-{seen[code]}" if sum(str(one.code) == code for one in group.populations) > 1 else ""
                )
                leading = f"group-{position}_" if len(measure.groups) > 1 else ""
                yield f"{leading}{code}{several}"


def _short(measure: MeasureDefinition) -> str:
    return _safe(measure.name)


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text).strip(".-")[:100] or "unnamed"


def _dicts(items: Any) -> Iterable[dict[str, Any]]:
    return [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []
