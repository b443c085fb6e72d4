"""Reading ELM JSON: official libraries, what translators do differently, and errors."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from measurewise.engine import elm
from measurewise.engine.errors import ContentError

INTEGER = "{urn:hl7-org:elm-types:r1}Integer"
ONE = {"type": "Literal", "valueType": INTEGER, "value": "1"}


def library(*statements, **sections):
    return {
        "library": {
            "identifier": {"id": "Sample", "version": "1.0.0"},
            "schemaIdentifier": {"id": "urn:hl7-org:elm", "version": "r1"},
            "statements": {"def": list(statements)},
            **sections,
        }
    }


def expression(body, **definition):
    read = elm.read_library(library({"name": "X", "context": "Patient", "expression": body, **definition}))
    return read.statements[0].expression


def test_every_official_library_is_read_whole(official_elm):
    sections = (
        "usings",
        "includes",
        "parameters",
        "codeSystems",
        "valueSets",
        "codes",
        "concepts",
        "statements",
    )
    for name, data in official_elm.items():
        raw = json.loads(data)["library"]
        read = elm.read_library(data, source=name)
        assert (read.identifier.id, read.identifier.version) == (
            raw["identifier"]["id"],
            raw["identifier"]["version"],
        )
        for section in sections:
            definitions = raw.get(section, {}).get("def", [])
            attribute = {"codeSystems": "code_systems", "valueSets": "value_sets"}.get(section, section)
            assert len(getattr(read, attribute)) == len(definitions), (name, section)


def test_a_library_is_read_with_and_without_the_object_around_it():
    wrapped = library({"name": "X", "expression": ONE})
    assert elm.read_library(wrapped["library"]).statements[0].name == "X"
    assert elm.read_library(json.dumps(wrapped)).statements[0].name == "X"


def test_decimals_of_quantities_are_exact():
    read = elm.read_library(
        json.dumps(library({"name": "X", "expression": {"type": "Quantity", "value": 0.10}}))
    )
    assert read.statements[0].expression.value == Decimal("0.1")
    text = json.dumps(library({"name": "X", "expression": {"type": "Quantity", "value": "@"}})).replace(
        '"@"', "1.10"
    )
    assert str(elm.read_library(text).statements[0].expression.value) == "1.10"
    assert expression({"type": "Quantity", "value": 0.1}).value == Decimal("0.1")


def test_functions_are_told_from_expressions_by_their_type():
    read = elm.read_library(
        library(
            {"name": "A", "expression": ONE},
            {
                "type": "FunctionDef",
                "name": "F",
                "external": True,
                "operand": [{"name": "x", "operandType": INTEGER}],
            },
            {"type": "FunctionDef", "name": "G", "fluent": "true", "expression": ONE},
        )
    )
    a, f, g = read.statements
    assert type(a) is elm.ExpressionDef
    assert isinstance(f, elm.FunctionDef)
    assert f.external
    assert f.operand[0].operand_type == INTEGER
    assert isinstance(g, elm.FunctionDef)
    assert g.fluent


def test_one_object_stands_for_a_list_of_one_and_the_other_way_round():
    exists = expression({"type": "Exists", "operand": [ONE]})
    assert isinstance(exists.operand, elm.Literal)
    coalesce = expression({"type": "Coalesce", "operand": ONE})
    assert [type(o) for o in coalesce.operand] == [elm.Literal]
    single = library(usings={"def": {"localIdentifier": "System", "uri": "urn:hl7-org:elm-types:r1"}})
    assert elm.read_library(single).usings[0].local_identifier == "System"


def test_the_deprecated_type_of_tuple_elements_and_choices_is_read():
    named = {"type": "NamedTypeSpecifier", "name": INTEGER}
    cast = expression(
        {
            "type": "As",
            "operand": ONE,
            "asTypeSpecifier": {"type": "TupleTypeSpecifier", "element": [{"name": "a", "type": named}]},
        }
    )
    assert cast.as_type_specifier.element[0].element_type.name == INTEGER
    cast = expression({"type": "As", "operand": ONE, "asTypeSpecifier": {"type": [named, named]}})
    assert isinstance(cast.as_type_specifier, elm.ChoiceTypeSpecifier)
    assert len(cast.as_type_specifier.choice) == 2


def test_defaults_of_the_schema_hold_where_nothing_is_written():
    interval = expression({"type": "Interval", "low": ONE, "high": ONE})
    assert interval.low_closed
    assert interval.high_closed
    query = expression(
        {"type": "Query", "source": [{"alias": "A", "expression": ONE}], "return": {"expression": ONE}}
    )
    assert query.return_.distinct
    assert expression({"type": "As", "operand": ONE}).strict is False
    assert elm.read_library(library({"name": "X", "expression": ONE})).statements[0].access_level == "Public"


def test_annotations_of_definitions_are_kept_only_on_request(official_elm):
    data = next(iter(official_elm.values()))
    assert all(definition.annotation == () for definition in elm.read_library(data).statements)
    kept = elm.read_library(data, annotations=True)
    assert any(definition.annotation for definition in kept.statements)
    assert elm.read_library(data).annotation == kept.annotation != ()


def test_an_unknown_node_names_library_definition_and_line():
    body = {"type": "Not", "locator": "12:3-12:9", "operand": {"type": "Frobnicate"}}
    with pytest.raises(ContentError) as caught:
        elm.read_library(library({"name": "Numerator", "expression": body}), source="a.json")
    assert str(caught.value).startswith(
        'a.json: library Sample 1.0.0, definition "Numerator", line 12: ELM r1 has no "Frobnicate".'
    )


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"type": "Not"}, "a Not lacks its operand"),
        ({"type": "Retrieve"}, "a Retrieve lacks its dataType"),
        (
            {"type": "Not", "operand": {"type": "ListTypeSpecifier", "elementType": ONE}},
            "a ListTypeSpecifier stands",
        ),
        ({"type": "Not", "operand": {"value": "1"}}, "a node without a type stands"),
        ({"type": "Not", "operand": "x"}, "'x' stands where"),
        ({"type": "BinaryExpression", "operand": [ONE, ONE]}, 'ELM r1 has no "BinaryExpression"'),
        ({"type": "Quantity", "value": "many"}, "'many' is not a decimal"),
        ({"type": "As", "operand": ONE, "strict": "maybe"}, "'maybe' is not a boolean"),
    ],
)
def test_what_elm_does_not_allow_is_refused(body, what):
    with pytest.raises(ContentError, match='definition "X"') as caught:
        expression(body)
    assert what in str(caught.value)


def test_what_is_not_elm_is_refused_with_the_place():
    with pytest.raises(ContentError, match=r"x\.json: the ELM is not valid JSON"):
        elm.read_library(b'{"library": {', source="x.json")
    with pytest.raises(ContentError, match="not an ELM library"):
        elm.read_library({"resourceType": "Patient"})
    with pytest.raises(ContentError, match="not a JSON object"):
        elm.read_library(b"[]")


def test_nesting_beyond_measure_is_an_error_and_not_a_crash():
    body = ONE
    for _ in range(20_000):
        body = {"type": "Not", "operand": body}
    with pytest.raises(ContentError, match="nested too deeply"):
        expression(body)
