"""One answer about a QRDA file as plain data: schema, schematrons and, for QRDA III, CMS's conversion rules.

What is called here is made for :class:`~measurewise.qrda.validation.workers.Workers`: what it takes and gives
can be sent between processes, and what is wrong with a file is told in its answer rather than raised.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from measurewise.engine.errors import MeasurewiseError
from measurewise.qrda.category3.conversion import Conversion, Located, convert
from measurewise.qrda.category3.reading import UnreadableXmlError, read_xml
from measurewise.qrda.category3.roster import Roster
from measurewise.qrda.validation.finding import ValidationFinding
from measurewise.qrda.validation.rule_files import (
    Category,
    RuleFilesError,
    SchematronFile,
    schema_file,
    schematron_files,
)
from measurewise.qrda.validation.sources import Source
from measurewise.qrda.validation.validator import judged, rules_for, unreadable
from measurewise.qrda.validation.workers import Ended

Answer: TypeAlias = dict[str, Any]

GIVEN_UP = 1005
_AGAIN = (
    "Give the file by itself, or ask for more time with --time-limit; look whether it is what it should be."
)


@dataclass(frozen=True, slots=True)
class Converting:
    """Converts sources: ``file`` and what :func:`conversion_answer` says."""

    roster: Roster | None = None

    def __call__(self, source: Source) -> Answer:
        """The answer for one source."""
        try:
            data = source.read()
        except MeasurewiseError as error:
            return _failed(source, 2, error.what, error.mend)
        return {"file": source.name, **conversion_answer(convert(data, roster=self.roster))}


@dataclass(frozen=True, slots=True)
class Validating:
    """Validates sources of one category: ``file`` and what :func:`validation_answer` says.

    A folder that is not named, neither here nor in the environment, leaves its check out, and the answer's
    ``notChecked`` says so; one that is named and has not what it should raises RuleFilesError.
    """

    category: Category = "qrda3"
    year: int | None = None
    schematron_folder: Path | None = None
    schema_folder: Path | None = None
    warnings: bool = False
    roster: Roster | None = None

    def __call__(self, source: Source) -> Answer:
        """The answer for one source."""
        try:
            data = source.read()
        except MeasurewiseError as error:
            return _failed(source, 2, error.what, error.mend)
        return {"file": source.name, **validation_answer(data, self)}


def conversion_answer(result: Conversion) -> Answer:
    """``status``, ``codes``, ``errors``, ``qpp``, ``cmsStatus`` and ``cmsCodes`` of a conversion."""
    return {
        "status": result.status,
        "codes": result.codes,
        "errors": [_error(one) for one in result.errors],
        "qpp": result.qpp,
        "cmsStatus": result.cms_status,
        "cmsCodes": result.cms_codes,
    }


def validation_answer(data: bytes, asked: Validating) -> Answer:
    """``status``, ``codes``, ``findings``, ``notChecked``; of QRDA III also what CMS answers."""
    unchecked: list[dict[str, str]] = []
    found = [_plain(one) for one in _held_to_rules(data, asked, unchecked)]
    answer: Answer = {"status": "OK", "codes": (), "findings": found, "notChecked": unchecked}
    if asked.category == "qrda3":
        result = convert(data, roster=asked.roster)
        # A file that cannot be read has been told already.
        found += [_as_finding(one) for one in result.errors if one.finding.code != 2 or not found]
        answer |= {"codes": result.codes, "cmsStatus": result.cms_status, "cmsCodes": result.cms_codes}
    if any(one["severity"] == "error" for one in found):
        answer["status"] = "ERR"
    return answer


def given_up(source: Source, ended: Ended) -> Answer:
    """The answer for a source whose process had to be ended."""
    return _failed(source, GIVEN_UP, ended.text, _AGAIN)


def _held_to_rules(
    data: bytes, asked: Validating, unchecked: list[dict[str, str]]
) -> list[ValidationFinding]:
    try:
        root = read_xml(data)
    except UnreadableXmlError as error:
        return [unreadable(error)]
    schema: Path | None = None
    schematrons: list[SchematronFile] = []
    try:
        schema = schema_file(asked.schema_folder)
    except RuleFilesError as error:
        _leave_out("schema", error, asked.schema_folder is not None, unchecked)
    try:
        there = schematron_files(asked.schematron_folder)
    except RuleFilesError as error:
        _leave_out("schematron", error, asked.schematron_folder is not None, unchecked)
    else:
        try:
            schematrons = rules_for(root, asked.category, asked.year, there)
        except RuleFilesError as error:
            _leave_out("schematron", error, False, unchecked)
    return judged(root, data, schema, schematrons, warnings=asked.warnings)


def _leave_out(stage: str, error: RuleFilesError, named: bool, unchecked: list[dict[str, str]]) -> None:
    if named:
        raise error
    unchecked.append({"stage": stage, "why": error.what, "mend": error.mend})


def _plain(found: ValidationFinding) -> Answer:
    answer = asdict(found)
    return {
        "stage": answer.pop("stage"),
        "rule": answer.pop("rule"),
        "message": answer.pop("text"),
        **answer,
    }


def _error(one: Located) -> Answer:
    return {
        "code": one.finding.code,
        "message": one.finding.message,
        "mend": one.finding.mend,
        "severity": "warning" if one.finding.warning else "error",
        "path": one.path,
        "line": one.line,
        "column": one.column,
    }


def _as_finding(one: Located) -> Answer:
    told = _error(one)
    source = "Measurewise" if one.finding.cms is None else "CMS QRDA III conversion"
    return {"stage": "conversion", "rule": str(told.pop("code")), **told, "source": source}


def _failed(source: Source, code: int, message: str, mend: str) -> Answer:
    told = {
        "code": code,
        "message": message,
        "mend": mend,
        "severity": "error",
        "path": "",
        "line": 0,
        "column": 0,
    }
    stage = "structure" if code == 2 else "time"
    finding = {"stage": stage, "rule": None, **{name: told[name] for name in told if name != "code"}}
    return {
        "file": source.name,
        "status": "ERR",
        "codes": (code,),
        "errors": [told],
        "findings": [{**finding, "source": ""}],
        "notChecked": [],
        "qpp": None,
        "cmsStatus": None,
        "cmsCodes": (),
    }
