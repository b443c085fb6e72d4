"""``measurewise lint``: what an author of CQL should look at."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from measurewise.cli.cql_files import CqlPath, LibraryPaths, as_json, tell, translate_files
from measurewise.cli.options import AsJson, ModelInfoFiles
from measurewise.cli.output import print_json
from measurewise.engine.errors import ContentError


def lint(
    path: CqlPath,
    /,
    *,
    libraries: LibraryPaths = None,
    valuesets: Annotated[
        list[Path] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="Value sets (folder, bundle or file); what is not among them is told. Several may be given.",
        ),
    ] = None,
    model_info: ModelInfoFiles = None,
    strict: Annotated[
        bool, Parameter(negative="", help="Exit with status 1 when there are warnings.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Look for unused definitions, comparisons that are always null, branches that cannot be reached, value
    sets without expansion, and retrieves that no index serves.

    The exit status is 1 when a file has errors, and with --strict when there are warnings.
    """
    from measurewise.engine.content.content import load_content
    from measurewise.engine.lint.rules import Linted
    from measurewise.engine.lint.rules import lint as lint_libraries
    from measurewise.engine.translator import TranslatorOptions

    translated = translate_files(path, libraries, TranslatorOptions(), model_info)
    failed = tell(translated)
    index = load_content(*valuesets).value_set_index() if valuesets else None
    whole = [
        Linted(str(one.path), one.translation.library)
        for one in translated
        if one.translation is not None and not one.errors
    ]

    def has_expansion(url: str, version: str | None) -> bool:
        try:
            return index is not None and index.members(url, version) is not None
        except ContentError:
            return False

    findings = lint_libraries(whole, has_expansion if index is not None else None)
    warnings = sum(finding.severity == "warning" for finding in findings)
    if json:
        print_json(
            {
                "findings": [asdict(finding) for finding in findings],
                "warnings": warnings,
                "files": [as_json(one) for one in translated],
            }
        )
    else:
        for finding in findings:
            print(finding)
        print(f"{len(whole):,} libraries, {warnings:,} warnings, {len(findings) - warnings:,} remarks")
    return 1 if failed or (strict and warnings) else 0
