"""QRDA III and I judged and converted: one document, or an archive of any number; as JSON or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from measurewise.api.services import qpp
from measurewise.api.services.qrda import UNREADABLE, Sent, Work, processes
from measurewise.engine.measure.reports.edge import to_json
from measurewise.qrda.validation.error_report import COLUMNS, rows
from measurewise.qrda.validation.judging import GIVEN_UP, Converting, Validating, given_up
from measurewise.qrda.validation.rule_files import Category
from measurewise.qrda.validation.sources import Source
from measurewise.qrda.validation.workers import Ended

CSV: Final = "text/csv"
JSON: Final = "application/json"
Json = dict[str, Any]


class Judging(msgspec.Struct, frozen=True):
    """What is asked of documents.

    ``submission`` judges what a conversion gives as a QPP submission, too. ``category``, ``year`` and
    ``warnings`` are for validation.
    """

    task: Literal["validate", "convert"]
    category: Category = "qrda3"
    year: int | None = None
    warnings: bool = False
    submission: bool = False
    as_csv: bool = False

    @property
    def media_type(self) -> str:
        """What kind of file the whole answer is."""
        return f"{CSV}; charset=utf-8" if self.as_csv else JSON

    def work(self) -> Work:
        """What is done with a document, in a process of its own."""
        if self.task == "convert":
            return Converting()
        return Validating(category=self.category, year=self.year, warnings=self.warnings)

    def rows(self, number: int, size: int, answer: Json) -> list[tuple[Any, ...]]:
        """The lines of the error report about one document."""
        errors = "errors" if self.task == "convert" else "findings"
        return list(rows(number, answer["file"], size, answer, errors))


class Judged(msgspec.Struct):
    """A document's answer, and its size in bytes."""

    size: int
    answer: Json


def judged(sent: Sent, found: Sequence[Source], judging: Judging) -> list[Judged]:
    """The answer for each of some documents of a file, in their order."""
    answers = []
    for source, outcome in zip(found, processes().each(judging.work(), found), strict=True):
        told = given_up(source, outcome) if isinstance(outcome, Ended) else outcome
        told = qpp.with_problems(told) if judging.submission else told
        answers.append(Judged(source.size, {**told, "file": sent.name_of(source)}))
    return answers


def whole_answer(judging: Judging, answers: Sequence[Judged], *, is_archive: bool) -> bytes:
    """The answer for a file: a document's own, an archive's list, or the lines of all as CSV."""
    if judging.as_csv:
        stream = io.StringIO(newline="")
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for number, one in enumerate(answers, start=1):
            writer.writerows(judging.rows(number, one.size, one.answer))
        return stream.getvalue().encode()
    if not is_archive:
        return to_json(answers[0].answer)
    status = "OK" if all(one.answer["status"] == "OK" for one in answers) else "ERR"
    return to_json({"status": status, "files": [one.answer for one in answers]})


def is_unread(answer: Json) -> bool:
    """Whether nothing could be judged: the file is no XML that can be read, or took too long."""
    codes = {str(code) for code in answer.get("codes", ())}
    stages = {str(one.get("stage")) for one in answer.get("findings", ())}
    return bool(codes & {str(UNREADABLE), str(GIVEN_UP)} or stages & {"structure", "time"})
