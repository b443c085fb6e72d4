"""``measurewise compile``: what a measure compiles to."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from measurewise.cli.options import (
    AsJson,
    EngineOption,
    MissingValueSets,
    ModelInfoFiles,
    NoCache,
    Stale,
    content_paths,
    program_cache,
)
from measurewise.cli.output import Column, print_json, print_table


def compile_measure(
    measure: Annotated[str, Parameter(help="Name, id, URL or beginning of a name (CMS122).")],
    /,
    *,
    content: Annotated[
        list[Path] | None,
        Parameter(
            negative="",
            help="Folder, bundle or package with measures, libraries and value sets; may be repeated. "
            "Default: the measures that ship.",
        ),
    ] = None,
    engine: EngineOption = "auto",
    show: Annotated[bool, Parameter(negative="", help="Print the Python that runs.")] = False,
    missing_valuesets: MissingValueSets = "error",
    stale: Stale = None,
    model_info: ModelInfoFiles = None,
    no_cache: NoCache = False,
    json: AsJson = False,
) -> int:
    """Compile a measure and tell what it consists of, or show the Python that runs."""
    from measurewise.engine.content.content import load_content
    from measurewise.engine.runner.session import Engine

    started = time.perf_counter()
    loaded = load_content(*content_paths(content))
    read = time.perf_counter()
    session = Engine(
        loaded,
        missing_valuesets=missing_valuesets,
        engine=engine,
        stale=stale,
        model_infos=tuple(model_info or ()),
        cache=program_cache(no_cache),
    )
    program = session.compiled(measure)
    done = time.perf_counter()
    tables = program.tables
    functions = program.source.count("\ndef ") + program.source.startswith("def ")
    value_sets = set(tables.value_sets)
    for retrieval in tables.retrievals:
        if retrieval.code_filter is not None and retrieval.code_filter.value_set is not None:
            value_sets.add((retrieval.code_filter.value_set, retrieval.code_filter.version))
    facts = {
        "measure": str(loaded.measure(measure)),
        "libraries": [f"{name}|{version}" if version else name for name, version in tables.libraries],
        "definitions": len(tables.definitions),
        "functions": functions,
        "retrieves": len(tables.retrievals),
        "valuesets": len(value_sets),
        "parameters": [f"{parameter.library}.{parameter.name}" for parameter in tables.parameters],
        "lines": program.source.count("\n") + 1,
        "readSeconds": round(read - started, 3),
        "compileSeconds": round(done - read, 3),
    }
    if json:
        print_json({**facts, "source": program.source} if show else facts)
    elif show:
        _show(program.source)
    else:
        shown = [
            [name, ", ".join(value) if isinstance(value, list) else str(value)]
            for name, value in facts.items()
        ]
        print_table(f"{facts['measure']}, compiled", [Column("Fact", style="bold"), Column("Value")], shown)
    return 0


def _show(source: str) -> None:
    if not sys.stdout.isatty():
        print(source)
        return
    from rich.console import Console
    from rich.syntax import Syntax

    Console().print(Syntax(source, "python", word_wrap=True))
