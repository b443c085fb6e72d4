"""``measurewise repl``: CQL as it is typed, against a patient."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from measurewise.cli.options import ModelInfoFiles
from measurewise.engine.errors import MeasurewiseError, NotFoundError

if TYPE_CHECKING:
    from measurewise.engine.record.record import Record
    from measurewise.engine.runner.interactive import Interactive

_HELP: Final = """\
Type an expression to evaluate it, or a declaration (define, valueset, code, parameter, include ...) to keep.
An entry that is not finished goes on in the next line; an empty line ends it.
:patient FILE  take the patient of a bundle      :names  the names there are
:help          this                              :quit   leave (also end of input)"""
_COMMANDS: Final = (":help", ":names", ":patient", ":quit")


def repl(
    *,
    patient: Annotated[Path | None, Parameter(help="A patient: a FHIR bundle as JSON.")] = None,
    library: Annotated[
        list[Path] | None,
        Parameter(negative="", help="CQL file to include, under its own name; may be repeated."),
    ] = None,
    using: Annotated[str, Parameter(help='Data model and version; "" for none.')] = "FHIR 4.0.1",
    valuesets: Annotated[
        list[Path] | None,
        Parameter(consume_multiple=True, negative="", help="Value sets: folders, bundles or files."),
    ] = None,
    period: Annotated[str | None, Parameter(help='The parameter "Measurement Period", such as 2026.')] = None,
    model_info: ModelInfoFiles = None,
) -> int:
    """Evaluate CQL as it is typed. Entries are remembered from one session to the next; Tab completes names.

    With standard input from a file or pipe it evaluates what stands there; the exit status is then 1 when an
    entry failed.
    """
    session = _session(library or [], using, valuesets or [], period, model_info or [])
    if patient is not None:
        session.record = _record(patient)
    if sys.stdin.isatty():
        print("CQL 1.5.3. :help for help, :quit to leave.")
    failed = False
    with _line_editing(session):
        for entry in _entries():
            try:
                if entry.startswith(":"):
                    if not _command(session, entry):
                        break
                    continue
                evaluated, value = session.enter(entry)
            except MeasurewiseError as error:
                failed = True
                print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
                continue
            if evaluated:
                from measurewise.engine.runner.cql_text import cql_text

                print(cql_text(value))
    return 1 if failed and not sys.stdin.isatty() else 0


def _session(
    libraries: list[Path], using: str, valuesets: list[Path], period: str | None, model_info: list[Path]
) -> Interactive:
    from datetime import UTC, datetime

    from measurewise import cql_libraries
    from measurewise.cli.cql_files import library_source
    from measurewise.engine.content.content import load_content
    from measurewise.engine.content.library import LibraryContent
    from measurewise.engine.content.sources import LibraryChain
    from measurewise.engine.runner.includes import Includes
    from measurewise.engine.runner.interactive import Interactive
    from measurewise.engine.runner.period import Period
    from measurewise.engine.runner.translation import load_models
    from measurewise.engine.runtime.datetime_parsing import parse_datetime

    sources = [library_source(path, None) for path in libraries]
    source = LibraryChain([*sources, load_content(cql_libraries.FOLDER).libraries])
    asked = Period.parse(period) if period else None
    now = parse_datetime(datetime.now(UTC).isoformat(timespec="milliseconds"), 0)
    if now is None:
        raise MeasurewiseError("the present moment is no date and time.")
    session = Interactive(
        Includes(source),
        now=now,
        value_sets=load_content(*valuesets).value_set_index(missing="empty") if valuesets else None,
        parameters={"Measurement Period": asked.interval(0)} if asked else None,
        model_infos=load_models(model_info),
    )
    if using.strip():
        model, _, version = using.strip().partition(" ")
        session.enter(f"using {model} version '{version.strip()}'" if version else f"using {model}")
    contents = [
        LibraryContent.from_texts(cql=path.read_bytes(), source=str(path)) for path in _there(libraries)
    ]
    if using.strip() and not any(content.name == "FHIRHelpers" for content in contents):
        wanted = [i for content in contents for i in content.includes() if i.name == "FHIRHelpers"]
        asked_for = wanted[0].version if wanted else None
        helpers = asked_for or source.resolve("FHIRHelpers").version
        session.enter(f"include FHIRHelpers version '{helpers}' called FHIRHelpers")
    for content in contents:
        named = f" version '{content.version}'" if content.version else ""
        session.enter(f'include "{content.name}"{named} called "{content.name}"')
    return session


def _there(paths: list[Path]) -> list[Path]:
    for path in paths:
        if not path.is_file():
            raise NotFoundError("there is no such CQL file.", where=str(path))
    return paths


def _record(path: Path) -> Record:
    from measurewise.engine.record.reading import read_record

    if not path.is_file():
        raise NotFoundError("there is no such file.", where=str(path), mend="Name a FHIR bundle.")
    return read_record(path.read_bytes(), where=str(path))


def _command(session: Interactive, entry: str) -> bool:
    """Do what a line that begins with a colon says; False to leave."""
    command, _, argument = entry.partition(" ")
    if command in (":quit", ":q", ":exit"):
        return False
    if command == ":patient" and argument.strip():
        session.record = _record(Path(argument.strip()).expanduser())
    elif command == ":names":
        print("\n".join(session.names()))
    else:
        print(_HELP)
    return True


def _entries() -> Iterator[str]:
    """What is typed, entry by entry; an entry goes on while its CQL is not finished."""
    from measurewise.engine.runner.interactive import is_unfinished

    waiting = ""
    while True:
        try:
            line = _read("...> " if waiting else "cql> ")
        except EOFError:
            if waiting.strip():
                yield waiting
            return
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            print()
            waiting = ""
            continue
        ended = waiting and not line.strip()
        waiting = f"{waiting}\n{line}" if waiting else line
        if not waiting.strip():
            waiting = ""
        elif ended or waiting.startswith(":") or not is_unfinished(waiting):
            yield waiting.strip()
            waiting = ""


def _read(prompt: str) -> str:
    if sys.stdin.isatty():
        return input(prompt)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


@contextmanager
def _line_editing(session: Interactive) -> Iterator[None]:
    """History and completion, where there is a terminal and a readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    if not sys.stdin.isatty():
        yield
        return
    history = history_file()
    try:
        history.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        readline.read_history_file(history)
    except OSError:
        pass
    readline.set_history_length(2000)
    readline.set_completer_delims(" \t\n()[]{},<>=~+-*/")
    readline.set_completer(lambda text, state: completion(session, text, state))
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        try:
            readline.write_history_file(history)
        except OSError as error:
            print(f"The history could not be kept ({error.strerror}).", file=sys.stderr)


def history_file() -> Path:
    """Where entries are remembered: below ``XDG_STATE_HOME``, else ``~/.local/state``."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "measurewise" / "cql_history"


def completion(session: Interactive, text: str, state: int) -> str | None:
    """The ``state``-th way to go on from a text: commands, names, words of CQL."""
    from measurewise.engine.cql.words import KEYWORDS

    if text.startswith(":"):
        known: list[str] = list(_COMMANDS)
    else:
        bare = text.lstrip('"')
        quoted = [f'"{name}"' for name in session.names() if not name.endswith('"')]
        known = [name for name in quoted if name[1:].startswith(bare)] if bare else []
        known += [name for name in session.names() if name.startswith(text)]
        known += [word for word in sorted(KEYWORDS) if text and word.startswith(text)]
    fits = [name for name in dict.fromkeys(known) if not text.startswith(":") or name.startswith(text)]
    return fits[state] if state < len(fits) else None
