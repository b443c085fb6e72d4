"""``measurewise qrda1``: QRDA Category I written from FHIR records, read into them, and validated."""

from __future__ import annotations

import json as json_text
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from measurewise.cli.options import (
    AsJson,
    ContentPaths,
    EngineOption,
    Measures,
    MissingValueSets,
    NoCache,
    Profiles,
    content_paths,
    matching,
    program_cache,
)
from measurewise.cli.output import WholeFile, print_json
from measurewise.cli.progress import display
from measurewise.cli.qrda_files import (
    CsvFile,
    FileJobs,
    SchemaFolder,
    SchematronFolder,
    TimeLimit,
    answer_each,
)
from measurewise.engine.errors import MeasurewiseError

if TYPE_CHECKING:
    from measurewise.qrda.category1.document import CmsHospital
    from measurewise.qrda.category1.export import DocumentReport, Exported
    from measurewise.qrda.category1.merging import MergedPatient
    from measurewise.qrda.category1.reading import ImportedDocument

qrda1 = App(name="qrda1", help="QRDA I documents: written from FHIR records, read into them, validated.")
_SHOWN = 20


@qrda1.command
def write(
    *,
    patients: Annotated[
        str,
        Parameter(help="Patients as measurewise evaluate takes them: NDJSON, a bundle, a folder, Bulk Data."),
    ],
    period: Annotated[str, Parameter(help="Measurement period: 2026, or 2026-01-01/2026-12-31.")],
    output: Annotated[Path, Parameter(help="Folder for the zips, one a measure and population.")],
    content: ContentPaths = None,
    measure: Measures = None,
    engine: EngineOption = "auto",
    profiles: Profiles = "auto",
    missing_valuesets: MissingValueSets = "error",
    source: Annotated[
        str, Parameter(help="URL of the system whose records these are; entries keep their ids within it.")
    ] = "urn:measurewise",
    custodian: Annotated[
        str, Parameter(help="Name of the organization that keeps the records.")
    ] = "Not stated",
    templates_only: Annotated[
        bool,
        Parameter(
            negative="", help="Write nothing that the templates have no place for; it is listed as lost."
        ),
    ] = False,
    cms: Annotated[
        tuple[str, str, str] | None,
        Parameter(
            negative="", help="CCN, programme (HQR_IQR) and CEHRT id: follow CMS's guide for hospitals, 2026."
        ),
    ] = None,
    now: Annotated[
        str | None, Parameter(help="Time of the documents (FHIR dateTime). Default: the present.")
    ] = None,
    no_cache: NoCache = False,
    json: AsJson = False,
) -> int:
    """Write the patients that measures count as QRDA I documents, a zip for each measure and population.

    carried.ndjson beside the zips tells, for each document, what the templates have no place for: what is
    carried as FHIR elements, what is lost, what a template required and the record has not.
    """
    from measurewise.engine import Engine, Period, load_content, read_record
    from measurewise.fhir_server_adapter.landing import patients_at
    from measurewise.qrda.category1.document import Settings
    from measurewise.qrda.category1.export import Export

    loaded = load_content(*content_paths(content))
    asked = Period.parse(period)
    prepared = Engine(
        loaded,
        matching=matching(profiles),
        missing_valuesets=missing_valuesets,
        engine=engine,
        cache=program_cache(no_cache),
    ).prepare(*(measure or ()), period=asked)
    settings = Settings(
        measures=(),
        period=(asked.start[:10], asked.end[:10]),
        created=now or datetime.now(UTC).isoformat(timespec="seconds"),
        source=source,
        custodian=custodian,
        elements=not templates_only,
        cms=_hospital(cms),
    )
    found = patients_at(patients)
    failed: list[str] = []
    lost: Counter[str] = Counter()
    with (
        Export(output, prepared, loaded, settings, int(asked.end[:4])) as export,
        WholeFile(output / "carried.ndjson") as carried,
        display("Writing", found.size, "patients") as shown,
    ):
        for number, one in enumerate(found, start=1):
            try:
                for report in export.add(read_record(one.data, where=one.where)):
                    carried.stream.write(_report_line(report))
                    lost.update(path for entry in report.entries for path in entry.lost)
            except MeasurewiseError as error:
                failed.append(" ".join(str(error).split()))
            shown.advance(found.position, number)
    _tell_written(export.exported, lost, failed, output, json=json)
    return 1 if failed else 0


@qrda1.command
def read(
    source: Annotated[Path, Parameter(help="A QRDA I file, a zip, or a folder of such.")],
    /,
    *,
    output: Annotated[
        Path | None, Parameter(help="NDJSON file for the patients, a FHIR Bundle a line (or .ndjson.gz).")
    ] = None,
    match: Annotated[
        Literal["identifiers", "demographics", "both", "none"],
        Parameter(help="What makes two documents one patient's: see docs/qrda1.md."),
    ] = "both",
    json: AsJson = False,
) -> int:
    """Read QRDA I documents of any origin into FHIR R4 patients, and list what could not be mapped.

    With --json an object a patient and line: id, documents, resources by type, notMapped (document, path,
    reason), notices; and an object for each document that could not be read. The exit status is 1 when
    there is one.
    """
    from measurewise.qrda.category1.archive import documents
    from measurewise.qrda.category1.merging import merge
    from measurewise.qrda.category1.reading import read_document

    imported: list[ImportedDocument] = []
    errors: list[MeasurewiseError] = []
    with display("Reading", None, "documents") as shown:
        for number, packed in enumerate(documents(source), start=1):
            try:
                if packed.error is not None:
                    raise packed.error
                imported.append(read_document(packed.data, packed.name))
            except MeasurewiseError as fault:
                named = fault if fault.where else type(fault)(fault.what, where=packed.name, mend=fault.mend)
                errors.append(named)
            shown.advance(number, number)
    merged = merge(imported, match)
    with WholeFile(output) if output is not None else nullcontext() as file:
        if file is not None:
            for patient in merged:
                file.stream.write(_bundle_line(patient))
    by_name = {document.name: document for document in imported}
    for patient in merged:
        if json:
            print_json(_patient_object(patient, by_name))
        else:
            _tell_patient(patient, by_name)
    for error in errors:
        if json:
            print_json({"document": error.where, "error": error.what, "mend": error.mend})
        else:
            print(f"not read: {' '.join(str(error).split())}")
    return 1 if errors else 0


@qrda1.command
def validate(
    source: Annotated[Path, Parameter(help="A QRDA I file, a zip, or a folder of such.")],
    /,
    *,
    schematron_folder: SchematronFolder = None,
    schema_folder: SchemaFolder = None,
    warnings: Annotated[
        bool, Parameter(negative="", help="Tell also what should be, beside what shall be.")
    ] = False,
    json: AsJson = False,
    csv: CsvFile = None,
    jobs: FileJobs = None,
    time_limit: TimeLimit = 60.0,
) -> int:
    """Hold QRDA I documents to the CDA schema and HL7's schematron (CMS's, too, where they follow its guide).

    With --json an object a document and line: file, status (OK or ERR), codes, findings, notChecked. The
    exit status is 1 when a document has an error.
    """
    from measurewise.qrda.category1.archive import holders
    from measurewise.qrda.validation.judging import Validating

    named = holders(source)
    if csv is not None and len(named) > 1:
        raise MeasurewiseError(
            "an error report is of one folder of .xml files or of one zip.",
            where=str(source),
            mend="Name each zip by itself, or leave out --csv.",
        )
    work = Validating(
        category="qrda1",
        schematron_folder=schematron_folder,
        schema_folder=schema_folder,
        warnings=warnings,
    )
    return max(
        answer_each(
            one,
            work,
            doing="Validating",
            errors="findings",
            json=json,
            csv_file=csv,
            jobs=jobs,
            time_limit=time_limit,
        )
        for one in named
    )


def _hospital(given: tuple[str, str, str] | None) -> CmsHospital | None:
    from measurewise.qrda.category1.document import CmsHospital

    return CmsHospital(*given) if given else None


def _report_line(report: DocumentReport) -> bytes:
    return json_text.dumps(report.as_json(), ensure_ascii=False).encode() + b"\n"


def _tell_written(
    exported: Exported, lost: Counter[str], failed: list[str], output: Path, *, json: bool
) -> None:
    if json:
        print_json(
            {
                "output": str(output),
                "patients": exported.patients,
                "countedNowhere": exported.uncounted,
                "zips": exported.zips,
                "lost": dict(lost),
                "failed": failed,
            }
        )
        return
    for name, count in sorted(exported.zips.items()):
        print(f"{count:6,} documents  {output / name}")
    print(f"{exported.patients:,} patients, {exported.uncounted:,} of them in no population")
    for path, count in lost.most_common(_SHOWN):
        print(f"lost: {path} ({count:,} times)")
    for one in failed:
        print(f"not written: {one}")


def _bundle_line(patient: MergedPatient) -> bytes:
    from measurewise.engine import to_json

    entries = [{"resource": one} for one in (patient.patient, *patient.resources)]
    return to_json({"resourceType": "Bundle", "type": "collection", "entry": entries}) + b"\n"


def _patient_object(patient: MergedPatient, documents: dict[str, ImportedDocument]) -> dict[str, Any]:
    return {
        "patient": patient.patient["id"],
        "documents": patient.documents,
        "resources": dict(Counter(str(one["resourceType"]) for one in patient.resources)),
        "notMapped": [
            {"document": name, "path": one.path, "reason": one.reason}
            for name in patient.documents
            for one in documents[name].not_mapped
        ],
        "notices": patient.notices,
    }


def _tell_patient(patient: MergedPatient, documents: dict[str, ImportedDocument]) -> None:
    kinds = Counter(str(one["resourceType"]) for one in patient.resources)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    print(f"Patient/{patient.patient['id']} from {len(patient.documents)} documents: {told}")
    for name in patient.documents:
        for one in documents[name].not_mapped:
            print(f"     not mapped: {one.path}: {one.reason}")
    for notice in patient.notices:
        print(f"     notice: {notice}")
