"""Schematron and schema files: which are there, and which of them a document is held to.

None ships with Measurewise (their licences: ``docs/qrda.md``). They lie in a folder of the user's choice, in
any arrangement; what a file is for is read from its own first lines.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeAlias

from measurewise.engine.errors import MeasurewiseError

Category: TypeAlias = Literal["qrda1", "qrda3"]

SCHEMATRON_FOLDER: Final = "MEASUREWISE_SCHEMATRON_FOLDER"
SCHEMA_FOLDER: Final = "MEASUREWISE_SCHEMA_FOLDER"
SCHEMA_NAME: Final = "CDA_SDTC.xsd"
_HEAD: Final = 2000
_TITLE: Final = re.compile(
    r"^\s*(?P<publisher>CMS|HL7)\s+(?P<year>20\d\d)?\s*QRDA\s+(?:Category\s+)?(?P<category>III|3|I|1)\b",
    re.MULTILINE,
)
_WHERE: Final = {
    "schematron": (
        "Take the schematrons of the CMS implementation guides from https://ecqi.healthit.gov/qrda, and "
        "that of HL7 QRDA I from https://www.hl7.org/implement/standards/product_brief.cfm?product_id=35, "
        f"each with its voc.xml, and name their folder with --schematron-folder or {SCHEMATRON_FOLDER}."
    ),
    "schema": (
        f"Take the CDA schema with the SDTC extensions ({SCHEMA_NAME} and the files it includes) from "
        "https://github.com/HL7/CDA-core-2.0, and name its folder with --schema-folder or "
        f"{SCHEMA_FOLDER}."
    ),
}


class RuleFilesError(MeasurewiseError):
    """Schematron or schema files that are not there or cannot be used."""

    code = "not-found"


@dataclass(frozen=True, slots=True)
class SchematronFile:
    """A schematron: who publishes it, for which category, and for which year where it names one."""

    path: Path
    publisher: str
    category: Category
    year: int | None

    @property
    def name(self) -> str:
        """For people: publisher, year, category."""
        year = "" if self.year is None else f" {self.year}"
        return f"{self.publisher}{year} QRDA {'III' if self.category == 'qrda3' else 'I'}"


def schematron_files(folder: Path | None) -> tuple[SchematronFile, ...]:
    """The schematrons below a folder, or below that which the environment names.

    Raises RuleFilesError when there is no such folder or no schematron in it.
    """
    chosen = _folder(folder, SCHEMATRON_FOLDER, "schematron")
    found = _schematrons_below(chosen.resolve())
    if not found:
        raise RuleFilesError(
            "there is no QRDA schematron (.sch) here.", where=str(chosen), mend=_WHERE["schematron"]
        )
    return found


def schema_file(folder: Path | None) -> Path:
    """``CDA_SDTC.xsd`` below a folder, or below that which the environment names.

    Raises RuleFilesError when it is not there.
    """
    chosen = _folder(folder, SCHEMA_FOLDER, "schema")
    found = _schema_below(chosen.resolve())
    if found is None:
        raise RuleFilesError(f"there is no {SCHEMA_NAME} here.", where=str(chosen), mend=_WHERE["schema"])
    return found


def _folder(given: Path | None, variable: str, what: str) -> Path:
    named = given or (Path(os.environ[variable]) if os.environ.get(variable) else None)
    if named is None:
        raise RuleFilesError(f"the folder of the {what} files is not known.", mend=_WHERE[what])
    if not named.is_dir():
        raise RuleFilesError("there is no such folder.", where=str(named), mend=_WHERE[what])
    return named


@cache
def _schematrons_below(folder: Path) -> tuple[SchematronFile, ...]:
    found = (_described(path) for path in sorted(folder.rglob("*.sch")))
    return tuple(one for one in found if one is not None)


@cache
def _schema_below(folder: Path) -> Path | None:
    return next(iter(sorted(folder.rglob(SCHEMA_NAME))), None)


def _described(path: Path) -> SchematronFile | None:
    with path.open(encoding="utf-8", errors="replace") as stream:
        title = _TITLE.search(stream.read(_HEAD))
    if title is None:
        return None
    return SchematronFile(
        path=path,
        publisher=title["publisher"],
        category="qrda3" if title["category"] in ("III", "3") else "qrda1",
        year=int(title["year"]) if title["year"] else None,
    )
