"""The options that several commands share, and what their values mean to the engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from measurewise.engine.errors import MeasurewiseError

if TYPE_CHECKING:
    from measurewise.engine.compiler.cache import ProgramCache
    from measurewise.engine.record.profiles import Matching

ContentPaths = Annotated[
    list[Path] | None,
    Parameter(
        name="--content",
        consume_multiple=True,
        negative="",
        help="Folder, bundle or package with measures, libraries and value sets; several may be given. "
        "Default: the measures that ship.",
    ),
]
Measures = Annotated[
    list[str] | None,
    Parameter(
        name="--measure",
        consume_multiple=True,
        negative="",
        help="Name, id, URL or beginning of a name (CMS122); several may be given. Default: all there are.",
    ),
]
Profiles = Annotated[
    Literal["auto", "label", "structure"],
    Parameter(
        help="How a retrieve tells which resources its profile means: by meta.profile (label), by content "
        "(structure), or by label where there is one (auto)."
    ),
]
MissingValueSets = Annotated[
    Literal["error", "empty"],
    Parameter(
        name="--missing-valuesets",
        help="What becomes of a value set that is used but not there: an error, or empty with a notice.",
    ),
]
EngineOption = Annotated[
    Literal["auto", "elm", "cql"],
    Parameter(
        name="--engine",
        help="Compile every library's CQL (cql), run the ELM that is there (elm), or run ELM that is "
        "proved to belong to the CQL beside it and compile the CQL otherwise (auto).",
    ),
]
Stale = Annotated[
    Literal["error", "notice", "translate"] | None,
    Parameter(
        help="What becomes of ELM that is older than the CQL beside it: an error, used with a notice, or "
        "left aside for the CQL. Default: error with --engine elm, else translate."
    ),
]
ModelInfoFiles = Annotated[
    list[Path] | None,
    Parameter(
        name="--model-info",
        consume_multiple=True,
        negative="",
        help="Model-info XML of a further data model; several may be given, a model after those it needs.",
    ),
]
Jobs = Annotated[int, Parameter(help="Number of processes.")]
NoCache = Annotated[
    bool,
    Parameter(
        name="--no-cache",
        negative="",
        help="Compile anew; programs are else kept in $MEASUREWISE_CACHE or the user's cache folder.",
    ),
]
AsJson = Annotated[
    bool, Parameter(name="--json", negative="", help="Print one JSON object instead of text for people.")
]


def content_paths(given: Sequence[Path] | None) -> tuple[str, ...]:
    """The content asked for, or what ships."""
    if given:
        return tuple(map(str, given))
    from measurewise import cql_libraries, valuesets

    return (str(cql_libraries.FOLDER), str(valuesets.FOLDER))


def program_cache(no_cache: bool) -> ProgramCache | None:
    """Where compiled programs are kept, if anywhere."""
    from measurewise.engine.compiler.cache import ProgramCache

    return None if no_cache else ProgramCache.default()


def matching(profiles: str) -> Matching:
    """The engine's way of matching."""
    from measurewise.engine.record.profiles import Matching

    return Matching(profiles)


def positive_jobs(jobs: int) -> int:
    """The number of processes; raises MeasurewiseError below 1."""
    if jobs < 1:
        raise MeasurewiseError("there must be a process to run in.", where="--jobs", mend="Give 1 or more.")
    return jobs
