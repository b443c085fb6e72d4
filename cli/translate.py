"""``measurewise translate``: CQL to ELM JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from measurewise.cli.cql_files import CqlPath, LibraryPaths, Translated, as_json, tell, translate_files
from measurewise.cli.options import AsJson, ModelInfoFiles
from measurewise.cli.output import WholeFile, print_json
from measurewise.engine.errors import MeasurewiseError

if TYPE_CHECKING:
    from measurewise.engine import elm


def translate(
    path: CqlPath,
    /,
    *,
    output: Annotated[
        Path | None,
        Parameter(help="Folder for the ELM, a file Name.json a library. Without it, ELM goes to stdout."),
    ] = None,
    libraries: LibraryPaths = None,
    model_info: ModelInfoFiles = None,
    annotations: Annotated[
        bool, Parameter(negative="", help="Give each definition the CQL text that it was made from.")
    ] = False,
    locators: Annotated[bool, Parameter(help="Give each node its place in the CQL text.")] = True,
    result_types: Annotated[bool, Parameter(negative="", help="Give each node its type.")] = False,
    signatures: Annotated[
        Literal["None", "Differing", "Overloads", "All"],
        Parameter(help="Which calls carry the types of the overload that is meant."),
    ] = "Overloads",
    list_promotion: Annotated[
        bool, Parameter(negative="", help="Let a value stand where a list of one is wanted.")
    ] = False,
    list_demotion: Annotated[
        bool, Parameter(negative="", help="Let a list stand where its only element is wanted.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Translate CQL to ELM JSON; the exit status is 1 when a file has errors, which leaves it without ELM."""
    from measurewise.engine.translator import SignatureLevel, TranslatorOptions

    if output is None and not json and path.is_dir():
        raise MeasurewiseError(
            "the ELM of a folder needs a folder to go to.", where=str(path), mend="Give --output."
        )
    options = TranslatorOptions(
        annotations=annotations,
        locators=locators,
        result_types=result_types,
        signature_level=SignatureLevel(signatures),
        list_promotion=list_promotion,
        list_demotion=list_demotion,
    )
    translated = translate_files(path, libraries, options, model_info)
    failed = tell(translated)
    written: list[dict[str, Any]] = []
    taken: dict[Path, Path] = {}
    for one in translated:
        told = as_json(one)
        if one.translation is not None and not one.errors:
            library = one.translation.library
            told |= {"library": library.identifier.id, "version": library.identifier.version}
            if output is not None:
                target = _target(output, one, taken)
                _write(target, library)
                told["output"] = str(target)
                if not json:
                    print(target)
            elif not json:
                sys.stdout.write(_encoded(library).decode() + "\n")
        written.append(told)
    if json:
        print_json({"libraries": written})
    return 1 if failed else 0


def _target(folder: Path, one: Translated, taken: dict[Path, Path]) -> Path:
    """The file of a library's ELM; two versions of a name lie side by side."""
    identifier = one.translation.library.identifier if one.translation else None
    name = (identifier.id if identifier else None) or one.path.stem
    target = folder / f"{name}.json"
    if target in taken and identifier is not None and identifier.version:
        target = folder / f"{name}-{identifier.version}.json"
    if target in taken:
        raise MeasurewiseError(
            f"the library of {one.path} has the name and version of that of {taken[target]}.",
            where=str(target),
            mend="Translate them into different folders.",
        )
    taken[target] = one.path
    return target


def _write(target: Path, library: elm.Library) -> None:
    with WholeFile(target) as file:
        file.stream.write(_encoded(library) + b"\n")


def _encoded(library: elm.Library) -> bytes:
    import msgspec

    from measurewise.engine import elm

    encoder = msgspec.json.Encoder(decimal_format="number")
    return msgspec.json.format(encoder.encode(elm.write_library(library)), indent=2)
