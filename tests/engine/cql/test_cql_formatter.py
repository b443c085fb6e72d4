"""Formatting changes the layout and nothing else."""

from __future__ import annotations

import random

import pytest
from cql_decks import libraries, needs_libraries
from hypothesis import given, settings
from hypothesis import strategies as st

from measurewise.engine.cql.errors import CqlSyntaxError
from measurewise.engine.cql.formatter import format_library
from measurewise.engine.cql.lexer import tokenize
from measurewise.engine.cql.parser import parse_library

UNTIDY = """\
library X   version '1'
using FHIR version '4.0.1'
include   A.B version '2' called C
codesystem "S": 'http://s'


codesystem "T": 'http://t'
parameter P Interval < DateTime >
context   Patient
/* @description: first */
define "A":exists([Encounter:"VS"]E where E.status='finished'and E.period during day of P)
// own line

define B: { 1,2 , - 3 } // at the end
define function "F"(a Integer , b List< Integer >) returns Integer : a+b [ 0 ]
define Ratio: 1 'mg':2 'mL'
define Empty: { }
define Open: Interval ( 1 , 2 ]
define L: List < Integer > { 1 }
define D: if "A" then 'a very long string literal that fills the line' else if B
 is null then 'another long string' else null
define Q: from ["Condition": "A long value set name for the first"] C,
["Encounter": "A long value set name"] E
 let x: C.onset with [Observation] O such that O.x = x and O.y is not null /* why */ where C.a in E.b
 return Tuple { c: C, e: E } sort by c desc
"""

TIDY = """\
library X version '1'

using FHIR version '4.0.1'

include A.B version '2' called C

codesystem "S": 'http://s'

codesystem "T": 'http://t'

parameter P Interval<DateTime>

context Patient

/* @description: first */
define "A":
  exists ([Encounter: "VS"] E where E.status = 'finished' and E.period during day of P)

// own line

define B:
  { 1, 2, -3 } // at the end

define function "F"(a Integer, b List<Integer>) returns Integer:
  a + b[0]

define Ratio:
  1 'mg' : 2 'mL'

define Empty:
  { }

define Open:
  Interval(1, 2]

define L:
  List<Integer> { 1 }

define D:
  if "A" then
    'a very long string literal that fills the line'
  else if B is null then
    'another long string'
  else
    null

define Q:
  from ["Condition": "A long value set name for the first"] C,
    ["Encounter": "A long value set name"] E
    let x: C.onset
    with [Observation] O
      such that O.x = x and O.y is not null /* why */
    where C.a in E.b
    return Tuple { c: C, e: E }
    sort by c desc
"""


def test_an_untidy_library_becomes_tidy() -> None:
    assert format_library(UNTIDY) == TIDY


def test_a_tidy_library_stays_as_it_is() -> None:
    assert format_library(TIDY) == TIDY


def test_text_that_does_not_parse_is_refused() -> None:
    with pytest.raises(CqlSyntaxError, match=r"my\.cql:1:10"):
        format_library("define A:", "my.cql")


def test_comments_between_tokens_force_a_line_only_when_they_must() -> None:
    assert format_library("define A: a /* b */ + c") == "define A:\n  a /* b */\n    + c\n"
    assert format_library("define A: a. // b\nc") == "define A:\n  a. // b\n    c\n"


def same_comments(a: str, b: str) -> bool:
    return [a[s:e].split() for _, s, e in tokenize(a).comments] == [
        b[s:e].split() for _, s, e in tokenize(b).comments
    ]


@needs_libraries
def test_all_official_libraries_keep_their_meaning_and_comments_and_format_once() -> None:
    for library in libraries():
        formatted = format_library(library.cql, library.name)
        assert parse_library(formatted) == parse_library(library.cql), library.name
        assert same_comments(formatted, library.cql), library.name
        assert format_library(formatted) == formatted, library.name


NOISE = [
    " ",
    " ",
    " ",
    " ",
    "\n",
    "\n\n\n",
    "\r\n",
    "\t",
    " // c\n",
    " /* d\n e */ ",
    "\n// own\n",
    "\n/* own */ ",
]


@needs_libraries
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 69), st.integers(0, 2**32))
def test_layout_and_comments_between_tokens_change_no_meaning(number: int, seed: int) -> None:
    library = libraries()[number]
    tokens = tokenize(library.cql)
    last = tokens.kinds.index("END")
    chance = random.Random(seed)  # noqa: S311
    statements = [i for i in range(last) if tokens.kinds[i] == "define"]
    first = chance.choice(statements)
    after = min([i for i in statements if i > first], default=last)
    words = [tokens.spelling(i) for i in range(first, after)]
    plain = " ".join(words)
    noisy = "".join(word + chance.choice(NOISE) for word in words)
    assert parse_library(noisy) == parse_library(plain)
    formatted = format_library(noisy)
    assert parse_library(formatted) == parse_library(plain)
    assert same_comments(formatted, noisy)
    assert format_library(formatted) == formatted
