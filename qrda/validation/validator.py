"""One document held to the CDA schema and to the schematrons of its category and year."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

from lxml import etree

from measurewise.qrda.category3.conversion import year_of
from measurewise.qrda.category3.document import read_document
from measurewise.qrda.category3.reading import Paths, UnreadableXmlError, places, read_xml
from measurewise.qrda.validation import schematron
from measurewise.qrda.validation.finding import ValidationFinding
from measurewise.qrda.validation.mending import mend_of_assertion, mend_of_schema
from measurewise.qrda.validation.rule_files import (
    Category,
    RuleFilesError,
    SchematronFile,
    schema_file,
    schematron_files,
)
from measurewise.qrda.validation.schema import compiled, violations

_CDA: Final = "urn:hl7-org:v3"
_CMS_QRDA_1: Final = "2.16.840.1.113883.10.20.24.1.3"
_TOLD: Final = 10_000
_Judged: TypeAlias = tuple[ValidationFinding, etree._Element]


def validate(
    data: bytes,
    *,
    kind: Category,
    year: int | None = None,
    schematron_folder: Path | None = None,
    xsd_folder: Path | None = None,
    warnings: bool = False,
) -> list[ValidationFinding]:
    """Everything the schema and the schematrons have against a document, in the order of the document.

    ``year`` is the performance year whose CMS schematron is asked; without it, that of the document. Folders
    left out are those of the environment (``rule_files``). ``warnings`` adds what SHOULD be.
    The check runs in this process; :class:`~measurewise.qrda.validation.workers.Workers` runs such work in
    others, with a time limit. Raises RuleFilesError when the rules are not there.
    """
    try:
        root = read_xml(data)
    except UnreadableXmlError as error:
        return [unreadable(error)]
    files = rules_for(root, kind, year, schematron_files(schematron_folder))
    return judged(root, data, schema_file(xsd_folder), files, warnings=warnings)


def unreadable(error: UnreadableXmlError) -> ValidationFinding:
    """The finding for what cannot be read."""
    return ValidationFinding("structure", None, error.what, error.mend, source="XML")


def judged(
    root: etree._Element,
    data: bytes,
    schema: Path | None,
    schematrons: Sequence[SchematronFile],
    *,
    warnings: bool = False,
) -> list[ValidationFinding]:
    """The findings of the schema, if any, and of the schematrons, for a document read from ``data``.

    Of each at most 10,000 are told.
    """
    found = [] if schema is None else list(islice(_of_schema(root, schema), _TOLD))
    for file in schematrons:
        found += islice(_of_schematron(root, file, warnings=warnings), _TOLD)
    return _placed(found, root, data)


def validate_category1(
    data: bytes,
    *,
    year: int | None = None,
    schematron_folder: Path | None = None,
    xsd_folder: Path | None = None,
    warnings: bool = False,
) -> list[ValidationFinding]:
    """:func:`validate` for QRDA Category I: HL7's schematron, and CMS's for reports of hospitals."""
    return validate(
        data,
        kind="qrda1",
        year=year,
        schematron_folder=schematron_folder,
        xsd_folder=xsd_folder,
        warnings=warnings,
    )


def rules_for(
    root: etree._Element, kind: Category, year: int | None, there: Sequence[SchematronFile]
) -> list[SchematronFile]:
    """The schematrons that hold for a document.

    QRDA III: HL7's where there is one, and CMS's of the year. QRDA I: HL7's, and CMS's of the year (without
    a year, the newest) for documents with the template of CMS's guide for hospitals.
    """
    own = [file for file in there if file.category == kind]
    chosen = [file for file in own if file.publisher == "HL7"]
    of_cms = [file for file in own if file.publisher == "CMS"]
    if kind == "qrda1" and not _has_template(root, _CMS_QRDA_1):
        return _some(chosen, kind, None)
    wanted = year or _year_of(root, kind)
    if wanted is None and of_cms:
        wanted = max(file.year or 0 for file in of_cms)
    return _some(chosen + [file for file in of_cms if file.year == wanted], kind, wanted)


def _some(chosen: list[SchematronFile], kind: Category, year: int | None) -> list[SchematronFile]:
    if not chosen:
        named = "QRDA III" if kind == "qrda3" else "QRDA I"
        raise RuleFilesError(
            f"the folder has no schematron for {named}{f' of {year}' if year else ''}.",
            mend="Put the year's schematron there, or name a year that is there.",
        )
    return chosen


def _year_of(root: etree._Element, kind: Category) -> int | None:
    """The performance year of a document by its template and period; only QRDA III has years known here."""
    if kind != "qrda3":
        return None
    document = read_document(root)
    found = None if document is None else year_of(document)
    return None if found is None else found.year


def _has_template(root: etree._Element, wanted: str) -> bool:
    return any(one.get("root") == wanted for one in root.iterchildren(f"{{{_CDA}}}templateId"))


def _of_schema(root: etree._Element, file: Path) -> Iterator[_Judged]:
    for one in violations(compiled(file), root):
        found = ValidationFinding("schema", one.rule, one.text, mend_of_schema(one), source="CDA schema")
        yield found, root if one.at is None else one.at


def _of_schematron(root: etree._Element, file: SchematronFile, *, warnings: bool) -> Iterator[_Judged]:
    for one in schematron.compiled(file.path, warnings=warnings).broken(root):
        asserted = one.assertion
        found = ValidationFinding(
            "schematron",
            asserted.id,
            asserted.text,
            mend_of_assertion(asserted.text, etree.QName(one.at).localname),
            severity="warning" if asserted.warning else "error",
            source=file.name,
        )
        yield found, one.at


def _placed(judged: list[_Judged], root: etree._Element, data: bytes) -> list[ValidationFinding]:
    """The findings with their places, in the order of the document; what two rule sets share is told once."""
    at = places((element for _, element in judged), data)
    order = {element: number for number, element in enumerate(root.iter("{*}*")) if element in at}
    seen: set[tuple[str, str | None, str, etree._Element]] = set()
    placed = []
    paths = Paths()
    for found, element in sorted(judged, key=lambda one: order[one[1]]):
        key = (found.stage, found.rule, found.text, element)
        if key not in seen:
            seen.add(key)
            line, column = at[element]
            placed.append(replace(found, path=paths.of(element), line=line, column=column))
    return placed
