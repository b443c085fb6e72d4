"""CQL files as commands take them: found, read, translated with the libraries beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from measurewise.engine.errors import ContentError, MeasurewiseError, NotFoundError

if TYPE_CHECKING:
    from measurewise.engine.content.sources import LibrarySource
    from measurewise.engine.cql.errors import Issue
    from measurewise.engine.translator import Translation, TranslatorOptions

CqlPath = Annotated[Path, Parameter(help="A CQL file, or a folder that is looked through for *.cql.")]
LibraryPaths = Annotated[
    list[Path] | None,
    Parameter(
        name="--libraries",
        consume_multiple=True,
        negative="",
        help="Folder, bundle or package with libraries to include, beside the files of PATH and its folder; "
        "several may be given.",
    ),
]


@dataclass(frozen=True, slots=True)
class Translated:
    """What came of one file; ``translation`` is None where its text is not CQL."""

    path: Path
    translation: Translation | None
    errors: Sequence[Issue]
    warnings: Sequence[Issue]

    def lines(self) -> Iterator[str]:
        """The errors and warnings, a line each, as editors read them."""
        for severity, issues in (("error", self.errors), ("warning", self.warnings)):
            for issue in issues:
                text = f"{issue.message} {issue.mend}".rstrip()
                yield f"{self.path}:{issue.line}:{issue.column}: {severity}: {text}"


def cql_files(path: Path) -> list[Path]:
    """The CQL files that a path means. Raises NotFoundError where there are none."""
    if path.is_dir():
        files = sorted(path.rglob("*.cql"))
        if not files:
            raise NotFoundError(
                "there is no CQL file in it.", where=str(path), mend="Name a folder of *.cql."
            )
        return files
    if not path.exists():
        raise NotFoundError("there is no such file or folder.", where=str(path))
    return [path]


def read_cql(path: Path) -> str:
    """A CQL text. Raises ContentError where the file cannot be read or is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ContentError(f"the file cannot be read ({error.strerror}).", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise ContentError("the file is not UTF-8.", where=str(path), mend="Save it as UTF-8.") from error


def translate_files(
    path: Path,
    libraries: Sequence[Path] | None,
    options: TranslatorOptions,
    model_infos: Sequence[Path] | None = None,
) -> list[Translated]:
    """Every CQL file of a path, translated. Raises NotFoundError and ContentError for unusable files."""
    from measurewise.engine.cql.errors import CqlError
    from measurewise.engine.runner.includes import Includes
    from measurewise.engine.runner.translation import load_models
    from measurewise.engine.translator import Translator

    files = cql_files(path)
    source = Includes(library_source(path, libraries))
    translator = Translator(source, options, load_models(model_infos or ()))
    done = []
    for file in files:
        try:
            translation = translator.translate(read_cql(file), str(file))
        except CqlError as error:
            done.append(Translated(file, None, error.issues, ()))
            continue
        done.append(Translated(file, translation, translation.errors, translation.warnings))
    return done


def tell(translated: Sequence[Translated]) -> bool:
    """Print errors and warnings on stderr; whether there were errors."""
    for one in translated:
        for line in one.lines():
            print(line, file=sys.stderr)
    return any(one.errors for one in translated)


def as_json(one: Translated) -> dict[str, Any]:
    """What a program reads of one file."""
    return {
        "file": str(one.path),
        "errors": [_issue(issue) for issue in one.errors],
        "warnings": [_issue(issue) for issue in one.warnings],
    }


def _issue(issue: Issue) -> dict[str, Any]:
    found = {"line": issue.line, "column": issue.column, "message": issue.message}
    return {**found, "mend": issue.mend} if issue.mend else found


def library_source(path: Path, libraries: Sequence[Path] | None) -> LibrarySource:
    """The files of the path first, then those of its folder, then the given libraries."""
    from measurewise.engine.content.content import load_content
    from measurewise.engine.content.library import LibraryContent
    from measurewise.engine.content.sources import Libraries, LibraryChain

    beside = cql_files(path) if path.is_dir() else sorted(path.parent.glob("*.cql"))
    texts = []
    for file in beside:
        try:
            texts.append(LibraryContent.from_texts(cql=file.read_bytes(), source=str(file)))
        except MeasurewiseError:
            continue  # a text that names no library cannot be included
    sources: list[LibrarySource] = [Libraries(texts)]
    if libraries:
        sources.append(load_content(*libraries).libraries)
    return LibraryChain(sources)
