"""``measurewise format``: CQL laid out anew."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from measurewise.cli.cql_files import CqlPath, cql_files, read_cql
from measurewise.cli.options import AsJson
from measurewise.cli.output import WholeFile, print_json


def format_files(
    path: CqlPath,
    /,
    *,
    check: Annotated[
        bool,
        Parameter(negative="", help="Change nothing; exit with status 1 when a file would change."),
    ] = False,
    json: AsJson = False,
) -> int:
    """Lay out CQL anew, in place. Only white space changes; a file with syntax errors stays as it is."""
    from measurewise.engine.cql.errors import CqlError
    from measurewise.engine.cql.formatter import format_library

    changed: list[str] = []
    failed: list[str] = []
    files = cql_files(path)
    for file in files:
        text = read_cql(file)
        try:
            formatted = format_library(text, str(file))
        except CqlError as error:
            failed.append(str(file))
            for issue in error.issues:
                print(f"{file}:{issue.line}:{issue.column}: error: {issue.message}", file=sys.stderr)
            continue
        if formatted == text:
            continue
        changed.append(str(file))
        if not check:
            with WholeFile(file) as whole:
                whole.stream.write(formatted.encode())
        if not json:
            print(f"{'would change' if check else 'changed'}: {file}")
    if json:
        print_json({"files": len(files), "changed": changed, "failed": failed})
    return 1 if failed or (check and changed) else 0
