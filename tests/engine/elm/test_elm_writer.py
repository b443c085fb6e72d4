"""Writing ELM JSON."""

from __future__ import annotations

import json
from decimal import Decimal

from measurewise.engine import elm

DEFAULTS = {
    "strict": False,
    "lowClosed": True,
    "highClosed": True,
    "accessLevel": "Public",
    "external": False,
    "fluent": False,
    "preserve": False,
}


def plain(value, place=None):
    """ELM JSON without what means nothing: empty lists and schema defaults."""
    if isinstance(value, list):
        return [plain(item, place) for item in value]
    if isinstance(value, dict):
        return {
            key: plain(item, key)
            for key, item in value.items()
            if item != []
            and not (key in DEFAULTS and item == DEFAULTS[key])
            and not (key == "distinct" and item is (place == "return"))
        }
    return value


def test_what_was_read_is_written_again(official_elm):
    for name, data in official_elm.items():
        written = elm.write_library(elm.read_library(data, annotations=True))
        assert plain(written) == plain(json.loads(data, parse_float=Decimal)), name


def test_what_was_written_reads_as_the_same_tree(official_elm):
    for data in official_elm.values():
        read = elm.read_library(data)
        assert elm.same_shape(elm.read_library(elm.write_library(read)), read)


def test_classes_are_named_where_their_place_allows_several():
    one = elm.Literal(value_type="{urn:hl7-org:elm-types:r1}Integer", value="1")
    query = elm.Query(
        source=(elm.AliasedQuerySource(alias="A", expression=one),),
        relationship=(elm.Without(alias="B", expression=one, such_that=one),),
        return_=elm.ReturnClause(expression=one, distinct=False),
    )
    library = elm.Library(
        identifier=elm.VersionedIdentifier(id="L"),
        statements=(elm.ExpressionDef(name="X", expression=query), elm.FunctionDef(name="F", external=True)),
    )
    x, f = elm.write_library(library)["library"]["statements"]["def"]
    assert "type" not in x
    assert f == {"type": "FunctionDef", "name": "F", "external": True}
    body = x["expression"]
    assert body["type"] == "Query"
    assert "type" not in body["source"][0]
    assert body["relationship"][0]["type"] == "Without"
    assert body["return"]["distinct"] is False
