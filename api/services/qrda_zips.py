"""QRDA I documents of stored patients: a zip for each measure and population, made in parts and joined.

Parts lie in folders of their own, so that a part that was begun twice is there once.
"""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from measurewise.api.services.bulk_files import export_folder
from measurewise.api.services.context import Services
from measurewise.api.services.evaluation import EvaluationRequest, prepare, reporting
from measurewise.api.services.provenance import manifest as manifest_of
from measurewise.api.services.qrda_writing import Writing, document
from measurewise.api.services.records import patient_records
from measurewise.api.services.subjects import Asked
from measurewise.engine import Prepared, RecordError, SummaryAccumulator, read_record, summary_report
from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.measure.result_json import from_result_json, to_result_json
from measurewise.engine.measure.results import PatientResult
from measurewise.engine.runner.issues import Issue
from measurewise.qrda.category1.document import Settings
from measurewise.qrda.category1.export import Export
from measurewise.store.resources import parse

CARRIED: Final = "carried.ndjson"
REPORT: Final = "qrda3.xml"
_MANIFEST: Final = "manifest.json"
_PARTS: Final = "parts"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.zip|carried\.ndjson|qrda3\.xml")
_JOB: Final = re.compile(r"[0-9a-f-]{36}")
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
_AT_ONCE: Final = 50


class QrdaExport(msgspec.Struct, frozen=True):
    """What is asked for: measures and period, whose records, and what documents say beside these.

    ``writing`` is there where a QRDA III report is wanted too; ``source`` names the system whose records
    these are, ``request`` is the address that was asked.
    """

    evaluation: EvaluationRequest
    asked: Asked
    created: str
    source: str
    custodian: str
    request: str
    writing: Writing | None = None


class Share(msgspec.Struct, frozen=True):
    """A part: its number, its patients as (organisation, id), and subjects who are not there."""

    number: int
    patients: tuple[tuple[str, str], ...]
    missing: tuple[str, ...] = ()


class Part(msgspec.Struct):
    """What a part came to; ``results`` by measure, where a QRDA III report is wanted."""

    number: int
    patients: int
    uncounted: int
    holding: dict[str, tuple[str, str]]
    issues: list[dict[str, Any]]
    results: list[list[msgspec.Raw]]


def export_part(services: Services, job: str, asked: QrdaExport, share: Share) -> Part:
    """Evaluate the patients of a part and write their documents. One that fails becomes an issue."""
    folder = export_folder(services, job) / _PARTS / str(share.number)
    shutil.rmtree(folder, ignore_errors=True)
    prepared = prepare(services, asked.evaluation)
    issues = [Issue("error", "not-found", "the patient is not in the store.", one) for one in share.missing]
    results: list[list[PatientResult]] = [[] for _ in prepared.measures]
    settings = Settings(
        measures=(),
        period=(asked.evaluation.period_start[:10], asked.evaluation.period_end[:10]),
        created=asked.created,
        source=asked.source,
        custodian=asked.custodian,
    )
    year = int(asked.evaluation.period_end[:4])
    with Export(folder, prepared, services.catalog.content, settings, year) as export:
        with (folder / CARRIED).open("wb") as carried:
            for where, data in _records(services, share.patients):
                try:
                    if data is None:
                        raise RecordError("the patient is not in the store any more.", where=where)
                    record = read_record(data, where=where)
                    found = prepared.evaluate(record)
                    for report in export.add(record, found):
                        carried.write(json.dumps(report.as_json(), ensure_ascii=False).encode() + b"\n")
                except Exception as error:
                    issues.append(Issue.of(error, where))
                    continue
                for mine, result in zip(results, found, strict=True):
                    mine.append(result.compact())
        exported = export.exported
    kept = results if asked.writing is not None else []
    return Part(
        share.number,
        exported.patients,
        exported.uncounted,
        exported.holding,
        [issue.as_json() for issue in issues],
        [[msgspec.Raw(to_result_json(result)) for result in mine] for mine in kept],
    )


def _records(services: Services, patients: Sequence[tuple[str, str]]) -> Iterator[tuple[str, bytes | None]]:
    by_organization: dict[str, list[str]] = {}
    for organization, identity in patients:
        by_organization.setdefault(organization, []).append(identity)
    for organization, identities in by_organization.items():
        for start in range(0, len(identities), _AT_ONCE):
            some = identities[start : start + _AT_ONCE]
            with services.database.read() as connection:
                found = patient_records(connection, organization, some)
            for identity in some:
                yield f"Patient/{identity}", found.get(identity)


def join_parts(services: Services, job: str, asked: QrdaExport, parts: Sequence[Part], where: str) -> bytes:
    """Join the parts to the files of the export, write the QRDA III report, and tell of all in a manifest.

    ``where`` is the address below which the files are asked for. May be done again: what is there is kept.
    """
    folder = export_folder(services, job)
    done = folder / _MANIFEST
    if done.is_file():
        return done.read_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    issues = [Issue(**one) for part in parts for one in part.issues]
    output = _joined_zips(folder, parts)
    _join_lines(folder, parts)
    output.append({"type": "carried", "name": CARRIED})
    notices: list[str] = []
    if asked.writing is not None:
        prepared = prepare(services, asked.evaluation)
        content, notices = document(services, _summaries(services, asked, prepared, parts), asked.writing)
        (folder / REPORT).write_bytes(content)
        output.append({"type": "QRDA3", "name": REPORT})
    manifest = {
        "transactionTime": asked.created,
        "request": asked.request,
        "requiresAccessToken": not services.settings.security.open,
        "patients": sum(part.patients for part in parts),
        "countedNowhere": sum(part.uncounted for part in parts),
        "computedWith": manifest_of(services.catalog.loaded(), prepare(services, asked.evaluation)),
        "output": [_file(folder, one, where) for one in output],
        "notices": notices,
        "error": [
            {"severity": one.severity, "code": one.code, "diagnostics": str(one)}
            for one in issues
            if one.severity == "error"
        ],
    }
    unfinished = folder / f".{_MANIFEST}"
    unfinished.write_bytes(to_json(manifest))
    unfinished.replace(done)
    shutil.rmtree(folder / _PARTS, ignore_errors=True)
    return done.read_bytes()


def export_file(services: Services, job: str, name: str) -> Path | None:
    """A file of an export, None where there is none of that name."""
    if not _JOB.fullmatch(job) or not _NAME.fullmatch(name):
        return None
    file = export_folder(services, job) / name
    return file if file.is_file() else None


def _file(folder: Path, one: dict[str, Any], where: str) -> dict[str, Any]:
    name = one.pop("name")
    return {**one, "url": f"{where}/{name}", "size": (folder / name).stat().st_size}


def _joined_zips(folder: Path, parts: Sequence[Part]) -> list[dict[str, Any]]:
    """One zip of the parts' zips of each name. A patient has one number in all of them."""
    holding = {name: told for part in parts for name, told in part.holding.items()}
    output = []
    for name, (measure, population) in sorted(holding.items()):
        count = before = 0
        unfinished = folder / f".{name}"
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as whole:
            for part in parts:
                if name in part.holding:
                    with zipfile.ZipFile(folder / _PARTS / str(part.number) / name) as packed:
                        for member in packed.infolist():
                            entry = zipfile.ZipInfo(_numbered(member.filename, before), _EARLIEST)
                            entry.compress_type = zipfile.ZIP_DEFLATED
                            whole.writestr(entry, packed.read(member))
                            count += 1
                before += part.patients
        unfinished.replace(folder / name)
        output.append(
            {"type": "QRDA1", "measure": measure, "population": population, "count": count, "name": name}
        )
    return output


def _join_lines(folder: Path, parts: Sequence[Part]) -> None:
    before = 0
    with (folder / CARRIED).open("wb") as whole:
        for part in parts:
            file = folder / _PARTS / str(part.number) / CARRIED
            for line in file.read_bytes().splitlines() if file.is_file() else ():
                told = parse(line)
                told["document"] = _numbered(told["document"], before)
                whole.write(to_json(told) + b"\n")
            before += part.patients


def _numbered(name: str, before: int) -> str:
    """The name of a document, its number counted over all parts."""
    number, _, rest = name.partition("_")
    return f"{int(number) + before:06}_{rest}"


def _summaries(
    services: Services, asked: QrdaExport, prepared: Prepared, parts: Sequence[Part]
) -> list[dict[str, Any]]:
    said = reporting(services, asked.evaluation)
    made = []
    for place, measure in enumerate(prepared.measures):
        results = (
            from_result_json(bytes(one)) for part in parts if part.results for one in part.results[place]
        )
        report = summary_report(SummaryAccumulator(measure).add_all(results), said)
        made.append(parse(to_json(report)))
    return made
