"""CQL evaluated by itself: an expression, or the definitions of a library, for a patient or for none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.services.catalog import Loaded
from measurewise.engine import Matching, Record
from measurewise.engine.compiler.planner import ProfileMatching
from measurewise.engine.compiler.program import compile_program
from measurewise.engine.content.library import LibraryContent
from measurewise.engine.content.notice import Notice
from measurewise.engine.errors import ContentError
from measurewise.engine.record.profiles import profile_table
from measurewise.engine.runner.includes import Includes
from measurewise.engine.runner.interactive import Interactive
from measurewise.engine.runtime.datetime_parsing import parse_datetime
from measurewise.engine.runtime.temporal import DateTime

_NOBODY: Final = ({"resourceType": "Patient"},)


@dataclass(frozen=True, slots=True)
class Included:
    """A library that an expression may use: its canonical URL, and the name it goes by there."""

    url: str
    name: str | None = None


def evaluate_expression(
    loaded: Loaded,
    expression: str,
    *,
    libraries: Sequence[Included] = (),
    parameters: Mapping[str, Any] | None = None,
    record: Record | None = None,
    zone: int = 0,
) -> Any:
    """The value of an expression: of the System model alone, or, with a patient or libraries, of FHIR too.

    Raises CqlSyntaxError, CqlTranslationError, ContentError and EvaluationError.
    """
    session = Interactive(
        Includes(loaded.engine.trees),
        now=_now(zone),
        value_sets=loaded.engine.value_sets,
        parameters=parameters,
    )
    if record is not None or libraries:
        session.record = record or Record(_NOBODY)
        session.enter("using FHIR version '4.0.1'")
        _include_helpers(loaded, session)
    for included in libraries:
        library = _library(loaded, included.url)
        named = f" version '{library.version}'" if library.version else ""
        session.enter(f'include "{library.name}"{named} called "{included.name or library.name}"')
    evaluated, value = session.enter(expression)
    if not evaluated:
        raise RequestError("a declaration has no value.", where="expression", mend="Give an expression.")
    return value


def evaluate_library(
    loaded: Loaded,
    library: LibraryContent,
    names: Sequence[str],
    *,
    parameters: Mapping[str, Any] | None = None,
    record: Record | None = None,
    zone: int = 0,
) -> list[tuple[str, Any]]:
    """Definitions of a library by name, all of them where none is named, each with its value or its error.

    Raises NotFoundError for a name that is not there, and what loading the library raises.
    """
    notices: list[Notice] = []
    closure = loaded.engine.trees.closure_of(library, notices)
    trees = [resolved.tree for resolved in closure if resolved.tree is not None]
    primary = trees[-1]
    known = [s.name for s in primary.statements if type(s).__name__ == "ExpressionDef"]
    for name in names:
        if name not in known:
            raise RequestError(
                f"the library {library} has no definition '{name}'.", code="not-found", where="expression"
            )
    wanted = tuple(names or (name for name in known if name != "Patient"))
    identity = (primary.identifier.id or "", primary.identifier.version)
    program = compile_program(trees, {identity: wanted}, model=loaded.engine.trees.model)
    run = program.bind(
        dict(parameters or {}), loaded.engine.value_sets, _Profiles(), now=_now(zone), zone=zone
    )
    patient = run.patient(record or Record(_NOBODY))
    found: list[tuple[str, Any]] = []
    for name in wanted:
        try:
            found.append((name, patient.value(identity[0], name)))
        except Exception as error:
            found.append((name, error))
    return found


def _library(loaded: Loaded, url: str) -> LibraryContent:
    """A library by canonical URL, with ``|version`` where wanted, or by name."""
    plain, _, version = url.partition("|")
    for library in loaded.content.libraries:
        if library.url == plain and version in ("", library.version):
            return loaded.engine.trees.usable(library)
    return loaded.engine.trees.resolve(plain.rpartition("/")[2], version or None)


def _include_helpers(loaded: Loaded, session: Interactive) -> None:
    try:
        helpers = loaded.engine.trees.resolve("FHIRHelpers")
    except ContentError:
        return
    session.enter(f"include FHIRHelpers version '{helpers.version}' called FHIRHelpers")


def _now(zone: int) -> DateTime:
    moment = parse_datetime(datetime.now(UTC).isoformat(timespec="milliseconds"), zone)
    if moment is None:
        raise ContentError("the present moment is no date and time.")
    return moment


class _Profiles(ProfileMatching):
    def predicate(self, template: str, resource_type: str) -> Any:
        """See ProfileMatching."""
        return None if resource_type == "Patient" else profile_table().predicate(template, Matching.AUTO)
