"""The official conformance tests, run through the path that a user's CQL takes.

A folder of test XML (``http://hl7.org/fhirpath/tests``) as the CQL specification's project publishes it: each
test is an expression and the expression of what it gives, or a mark that it must fail, and at which stage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec

from measurewise.engine.compiler.planner import Members, ProfileMatching
from measurewise.engine.compiler.program import compile_program
from measurewise.engine.cql.errors import CqlSyntaxError
from measurewise.engine.errors import ContentError, EvaluationError, MeasurewiseError
from measurewise.engine.record.record import Record
from measurewise.engine.runtime.comparison import equal, equivalent
from measurewise.engine.runtime.datetime_parsing import parse_datetime
from measurewise.engine.runtime.uncertainty import Uncertainty
from measurewise.engine.runtime.values import Interval
from measurewise.engine.translator import CqlTranslationError, Translator, TranslatorOptions, checked

CQL_VERSION = (1, 5)
"""The version of CQL that is implemented; tests of later ones are skipped."""

_LIBRARY = "Conformance"
_NOW = "2026-06-30T12:00:00.000+00:00"
_NAMESPACE = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class ConformanceTest:
    """One test; ``outputs`` are expressions, ``invalid`` the stage at which it must fail."""

    file: str
    group: str
    name: str
    expression: str
    outputs: tuple[str, ...]
    invalid: str | None = None
    version: str | None = None
    version_to: str | None = None

    @property
    def in_scope(self) -> bool:
        """Whether the test belongs to the version of CQL that is implemented."""
        return _version(self.version) <= CQL_VERSION and (
            self.version_to is None or _version(self.version_to) >= CQL_VERSION
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that did not give what it should."""

    file: str
    group: str
    name: str
    expression: str
    expected: str
    actual: str


class ReviewedTest(msgspec.Struct, frozen=True):
    """A test that contradicts the specification: what it wants, what is right, the clause that proves it."""

    file: str
    group: str
    name: str
    expected: str
    actual: str
    reason: str
    clause: str

    def explains(self, failure: Failure) -> bool:
        """Whether the failure is the one that was reviewed, and shows what the review says is right."""
        return (self.expected, self.actual) == (failure.expected, failure.actual)


Reviews = Mapping[tuple[str, str, str], ReviewedTest]
"""Reviewed tests by file, group and name."""


@dataclass(frozen=True, slots=True)
class ConformanceResult:
    """The tally of a run; ``reviewed`` are differences that the specification wants, neither passed nor
    failed."""

    tests: int
    passed: int
    skipped: int
    failures: tuple[Failure, ...]
    reviewed: tuple[ReviewedTest, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """``{"tests": n, "passed": n, "skipped": n, "failures": [...], "reviewed": [...]}``."""
        return {
            "tests": self.tests,
            "passed": self.passed,
            "skipped": self.skipped,
            "failures": [asdict(failure) for failure in self.failures],
            "reviewed": [msgspec.structs.asdict(test) for test in self.reviewed],
        }


class _ReviewFile(msgspec.Struct):
    reviewed: list[ReviewedTest]


def read_reviews(path: Path) -> Reviews:
    """The reviewed tests in a file, an object with a list ``reviewed``.

    Raises ContentError for a file of another form.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_ReviewFile)
    except OSError as error:
        raise ContentError(f"The reviews cannot be read ({error.strerror}).", where=str(path)) from error
    except msgspec.MsgspecError as error:
        raise ContentError(f"This is no file of reviewed tests ({error}).", where=str(path)) from error
    return {(test.file, test.group, test.name): test for test in found.reviewed}


def _version(text: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in (text or "1.0").split("."))


def read_tests(folder: Path) -> Iterator[ConformanceTest]:
    """The tests of every XML file of a folder, or of one file. Raises ContentError for what is no test
    file."""
    files = [folder] if folder.is_file() else sorted(folder.glob("*.xml"))
    if not files:
        raise ContentError(
            "There are no conformance tests here.", where=str(folder), mend="Name a folder of *.xml."
        )
    for file in files:
        try:
            root = ElementTree.fromstring(file.read_bytes())  # noqa: S314  (test files a user names)
        except ElementTree.ParseError as error:
            raise ContentError(f"The file is not well-formed XML: {error}.", where=str(file)) from None
        for group in _children(root, "group"):
            yield from _group(file.name, group)


def _group(file: str, group: ElementTree.Element) -> Iterator[ConformanceTest]:
    for test in _children(group, "test"):
        expression = next(iter(_children(test, "expression")), None)
        if expression is None:
            continue
        yield ConformanceTest(
            file=file,
            group=group.get("name", ""),
            name=test.get("name", ""),
            expression=expression.text or "",
            outputs=tuple((o.text or "").strip() for o in _children(test, "output")),
            invalid=expression.get("invalid") if expression.get("invalid") not in (None, "false") else None,
            version=max(
                (v for v in (test.get("version"), group.get("version")) if v), key=_version, default=None
            ),
            version_to=test.get("versionTo"),
        )


def _children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [child for child in element if _NAMESPACE.sub("", child.tag) == name]


def run_tests(tests: Iterable[ConformanceTest], reviews: Reviews | None = None) -> ConformanceResult:
    """Run tests one by one; whatever goes wrong in one is its failure, unless a review explains it."""
    total = passed = skipped = 0
    failures: list[Failure] = []
    reviewed: list[ReviewedTest] = []
    for test in tests:
        total += 1
        if not test.in_scope:
            skipped += 1
            continue
        actual = _actual(test)
        if actual is None:
            passed += 1
            continue
        expected = f"invalid ({test.invalid})" if test.invalid else " ".join(test.outputs)
        failure = Failure(test.file, test.group, test.name, test.expression.strip(), expected, actual)
        review = (reviews or {}).get((test.file, test.group, test.name))
        if review is not None and review.explains(failure):
            reviewed.append(review)
        else:
            failures.append(failure)
    return ConformanceResult(total, passed, skipped, tuple(failures), tuple(reviewed))


def _actual(test: ConformanceTest) -> str | None:
    """What a test gave, or None where that is what it should give."""
    try:
        actual = evaluate(test.expression)
    except CqlSyntaxError as error:
        return None if test.invalid in ("true", "syntax") else f"syntax error: {error}"
    except CqlTranslationError as error:
        return None if test.invalid in ("true", "semantic") else f"translation error: {error}"
    except MeasurewiseError as error:
        return None if test.invalid in ("true", "execution") else f"evaluation error: {error}"
    except Exception as error:
        return f"failure: {type(error).__name__}: {error}"
    if test.invalid is not None:
        return _show(actual)
    if not test.outputs:
        return None
    try:
        # Expected outputs are written loosely: a single code where a list of codes is meant.
        outputs = [evaluate(text, list_promotion=True) for text in test.outputs]
    except Exception as error:
        return f"{_show(actual)}, but the expected output cannot be read: {error}"
    expected = outputs[0] if len(outputs) == 1 else outputs
    return None if same(actual, expected) else _show(actual)


def same(actual: Any, expected: Any) -> bool:
    """Whether a value is the expected one: equal, or, where equality is uncertain, equivalent."""
    if actual is None or expected is None:
        return actual is expected
    if isinstance(actual, Uncertainty) and isinstance(expected, Interval):
        # An uncertain result is written as the interval of the values that it may have.
        return bool(actual.low == expected.low and actual.high == expected.high)
    if isinstance(actual, bool) != isinstance(expected, bool) or isinstance(actual, str) != isinstance(
        expected, str
    ):
        return False
    try:
        found = equal(actual, expected)
    except EvaluationError:
        return False
    return equivalent(actual, expected) if found is None else found


def _show(value: Any) -> str:
    return "null" if value is None else str(value) if not isinstance(value, str) else repr(value)


def evaluate(expression: str, *, list_promotion: bool = False) -> Any:
    """The value of an expression of the System model.

    Raises CqlSyntaxError, CqlTranslationError or EvaluationError.
    """
    text = f"library {_LIBRARY}\ndefine Actual:\n{expression}\n"
    options = TranslatorOptions(locators=False, list_promotion=list_promotion)
    translation = checked(Translator(options=options).translate(text))
    program = compile_program([translation.library], {(_LIBRARY, None): ("Actual",)})
    now = parse_datetime(_NOW, 0)
    if now is None:
        raise ContentError("The moment of the evaluation is no date and time.")
    run = program.bind({}, _NoValueSets(), _EveryResource(), now=now)
    record = Record([{"resourceType": "Patient", "id": "conformance"}])
    return run.patient(record).value(_LIBRARY, "Actual")


class _NoValueSets:
    def members(self, url: str, version: str | None = None) -> Members:
        raise ContentError(f"There is no value set {url}.")


class _EveryResource(ProfileMatching):
    def predicate(self, template: str, resource_type: str) -> None:
        return None
