"""What a CQL text declares, without parsing it."""

from __future__ import annotations

from measurewise.engine.content.cql_outline import Include, outline

TEXT = r"""
/* library Wrong version '0'
   define "In a comment": 1 */
library my.guide."Good \"Name\"" version '1.2.3' // define "Here neither": 2

using QICore version '6.0.0'
include FHIRHelpers version '4.4.000' called FHIRHelpers
include Status
include hl7.fhir.us.Common version '1' called Shared
codesystem "LOINC": 'http://loinc.org'
valueset "Office Visit": 'http://x/ValueSet/1' version '2'
valueset Plain: 'urn:oid:1.2'
parameter "Measurement Period" Interval<DateTime>
context Patient

define "Initial Population":
  exists ["Encounter": "Office Visit"] E where E.include.define = 'define "In a string": \' include Nothing'
define private Secret: "define \""
define public fluent function toCode(a Integer): a
define fluent function "to code"(a Integer): a
define function "to code"(a String): a
define `Back tick`: X.library
"""


def test_the_declarations_of_a_library_are_found():
    found = outline(TEXT)
    assert (found.name, found.version) == ('my.guide.Good "Name"', "1.2.3")
    assert found.includes == [
        Include("FHIRHelpers", "4.4.000", "FHIRHelpers"),
        Include("Status", None, "Status"),
        Include("Common", "1", "Shared", "hl7.fhir.us"),
    ]
    assert found.value_sets == {"Office Visit": "http://x/ValueSet/1", "Plain": "urn:oid:1.2"}
    assert found.contexts == {"Patient"}
    assert found.expressions == {"Initial Population", "Secret", "Back tick"}
    assert found.functions == {"toCode": 1, "to code": 2}


def test_escapes_in_names_and_strings_are_resolved():
    found = outline(r"""define "a\"b\\c A": 1  valueset "v": 'it\'s' """)
    assert found.expressions == {'a"b\\c A'}
    assert found.value_sets == {"v": "it's"}


def test_a_text_without_a_header_has_no_name():
    found = outline("define One: 1")
    assert found.name is None
    assert found.expressions == {"One"}


def test_a_text_that_breaks_off_is_read_as_far_as_it_goes():
    assert outline("library A version").name == "A"
    assert outline("library A version '1' define ").expressions == set()
    assert outline("library A include ").includes == []
    assert outline("valueset X").value_sets == {}
