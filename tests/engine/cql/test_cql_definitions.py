"""Declarations and statements of a library, their comments and tags."""

from __future__ import annotations

from measurewise.engine.cql.parser import parse_library
from measurewise.engine.cql.tree import (
    CodeDefinition,
    CodeSystemDefinition,
    ConceptDefinition,
    ContextDefinition,
    ExpressionDefinition,
    FunctionDefinition,
    IncludeDefinition,
    ParameterDefinition,
    UsingDefinition,
    ValueSetDefinition,
)

TEXT = """\
// A header
library org.example."My Library" version '1.0.0'
using FHIR version '4.0.1'
using hl7.fhir.us.qicore.QICore called Q
include hl7.fhir.uv.cql.FHIRHelpers version '4.0.1' called FHIRHelpers
codesystem "S": 'http://s' version '1'
public valueset "V": 'http://v' version '2' codesystems { "S", FHIRHelpers."T" }
private code "C": 'c' from "S" display 'The c'
concept "K": { "C", FHIRHelpers."D" } display 'The k'
parameter "Measurement Period" default Interval[@2020, @2021]
parameter P List<Choice<Integer, String>>
context FHIR.Patient // the patient

/*
 @description: Counts
 and sums
 @deprecated
 @author: A. N. Other
*/
// not a tag: @nowhere
define private "E": 1
define public function exists(a Integer, "b c" List<Code>) returns Integer: a + 1
define fluent function F(): external
context Unfiltered
"""


def test_every_kind_of_definition_is_read() -> None:
    tree = parse_library(TEXT, "my.cql")
    assert tree.library is not None
    assert str(tree.library.name) == "org.example.My Library"
    assert tree.library.version == "1.0.0"
    using, qicore, include, system, value_set, code, concept, period, parameter, context = tree.definitions[
        :10
    ]
    assert isinstance(using, UsingDefinition)
    assert (str(using.name), using.version, using.alias) == ("FHIR", "4.0.1", None)
    assert isinstance(qicore, UsingDefinition)
    assert qicore.alias is not None
    assert isinstance(include, IncludeDefinition)
    assert str(include.name) == "hl7.fhir.uv.cql.FHIRHelpers"
    assert isinstance(system, CodeSystemDefinition)
    assert (system.id, system.version) == ("http://s", "1")
    assert isinstance(value_set, ValueSetDefinition)
    assert (value_set.access, [str(s) for s in value_set.codesystems]) == ("public", ["S", "FHIRHelpers.T"])
    assert isinstance(code, CodeDefinition)
    assert (code.access, code.id, str(code.system), code.display) == ("private", "c", "S", "The c")
    assert isinstance(concept, ConceptDefinition)
    assert len(concept.codes) == 2
    assert isinstance(period, ParameterDefinition)
    assert period.type is None
    assert isinstance(parameter, ParameterDefinition)
    assert parameter.default is None
    assert isinstance(context, ContextDefinition)
    assert context.model is not None


def test_statements_keep_access_fluency_operands_and_types() -> None:
    expression, function, external = parse_library(TEXT).definitions[10:13]
    assert isinstance(expression, ExpressionDefinition)
    assert expression.access == "private"
    assert isinstance(function, FunctionDefinition)
    assert (function.name.name, function.access, function.fluent) == ("exists", "public", False)
    assert [o.name.name for o in function.operands] == ["a", "b c"]
    assert function.returns is not None
    assert isinstance(external, FunctionDefinition)
    assert (external.fluent, external.body) == (True, None)


def test_comments_and_tags_belong_to_the_definition_they_stand_before() -> None:
    tree = parse_library(TEXT)
    definition = tree.definitions[10]
    assert [(tag.name, tag.value) for tag in definition.tags] == [
        ("description", "Counts\nand sums"),
        ("deprecated", ""),
        ("author", "A. N. Other"),
    ]
    assert len(definition.comments) == 2
    assert tree.definitions[9].comments == ()
    assert tree.library is not None
    assert [c.text for c in tree.library.comments] == ["// A header"]
    assert len(tree.comments) == 4


def test_locations_are_as_elm_writes_them() -> None:
    tree = parse_library(TEXT)
    assert str(tree.locate(tree.definitions[0])) == "3:1-3:26"
    assert str(tree.locate(tree.definitions[9])) == "12:1-12:20"
    assert tree.text_of(tree.definitions[10]) == 'define private "E": 1'
    one = tree.definitions[10]
    assert isinstance(one, ExpressionDefinition)
    assert str(tree.locate(one.expression)) == "21:21"


def test_an_empty_text_is_an_empty_library() -> None:
    tree = parse_library(" \n// nothing\n")
    assert (tree.library, tree.definitions) == (None, ())
