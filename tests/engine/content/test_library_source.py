"""A source of libraries of one's own: a table in a database answers what a folder or bundle does."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from measurewise.engine.content import LibraryChain, LibraryContent, LibrarySource, resolve_libraries
from measurewise.engine.errors import NotFoundError
from measurewise.engine.runner.includes import Includes
from measurewise.engine.translator import Translator


class Table:
    """FHIR Library resources in a table; the one method that ``LibrarySource`` asks for."""

    def __init__(self, *resources: dict[str, Any]) -> None:
        self._rows = sqlite3.connect(":memory:")
        self._rows.execute("create table library (name text, version text, body blob)")
        self.asked: list[tuple[str, str | None]] = []
        for resource in resources:
            row = (resource["name"], resource["version"], json.dumps(resource))
            self._rows.execute("insert into library values (?, ?, ?)", row)

    def resolve(self, name: str, version: str | None = None, system: str | None = None) -> LibraryContent:
        self.asked.append((name, version))
        found = self._rows.execute(
            "select body from library where name = ? and version = coalesce(?, version) "
            "order by version desc",
            (name, version),
        ).fetchone()
        if found is None:
            raise NotFoundError(f"library {name} is not in the table.")
        return LibraryContent.from_resource(found[0].encode(), source=f"row {name}")


def test_includes_are_resolved_from_a_table(make):
    table: LibrarySource = Table(
        make("Top", "1.0.0", ("Base", "1.0.0")), make("Base", "1.0.0"), make("Base", "2.0.0")
    )
    libraries = resolve_libraries(table.resolve("Top"), table)
    assert [str(library.content) for library in libraries] == ["Base 1.0.0", "Top 1.0.0"]
    assert libraries[0].content.source == "row Base"


def test_what_the_table_lacks_is_told_with_the_library_that_asked(make):
    table = Table(make("Top", "1.0.0", ("Base", "1.0.0")))
    with pytest.raises(NotFoundError, match="Base") as caught:
        resolve_libraries(table.resolve("Top"), table)
    assert "Top" in str(caught.value)


def test_the_translator_takes_texts_from_a_table(cql_of, library_of):
    base = library_of("Base", "1.0.0", cql=cql_of("Base"))
    table = Table(base)
    text = "library Top\ninclude Base version '1.0.0'\ndefine X: Base.One + 1\n"
    assert Translator(Includes(table)).translate(text).errors == ()
    assert table.asked == [("Base", "1.0.0")]


def test_a_table_stands_in_a_chain_before_other_sources(make):
    first, second = Table(make("Base", "1.0.0")), Table(make("Base", "2.0.0"))
    chain = LibraryChain([first, second])
    assert chain.resolve("Base").version == "2.0.0"
    assert chain.resolve("Base", "1.0.0").source == "row Base"
