"""Whatever the text, the parser, the formatter and the translator answer with a result or with a CQL error.

Texts are made of real libraries: words and whole definitions are taken out, put in, doubled and exchanged.
The run lasts ``MEASUREWISE_FUZZ_SECONDS`` (CI sets a minute); a failure shows its seed and the text.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

from measurewise import cql_libraries
from measurewise.engine.compiler.program import compile_program
from measurewise.engine.cql.formatter import format_library
from measurewise.engine.cql.lexer import tokenize
from measurewise.engine.cql.parser import parse_library
from measurewise.engine.cql.words import KEYWORDS, PHRASES
from measurewise.engine.errors import MeasurewiseError, NotFoundError
from measurewise.engine.translator import Translator

SECONDS = float(os.environ.get("MEASUREWISE_FUZZ_SECONDS", "3"))
SEED = int(os.environ.get("MEASUREWISE_FUZZ_SEED", "20261122"))

SNIPPETS = """
define B: from ({1, 2}) X, ({'a'}) Y let z: X + 1 where z > 1 return distinct { x: X, y: Y } sort by x desc
define C: case when A is null then Interval[1, 10) else Interval(null, 5] end
define D: (4 'mg' + 3 'g') as System.Quantity
define E: if exists (A) then @2012-01-01T10:00 else null
define F: collapse { Interval[1, 2], Interval[3, 4] } per 1
define G: ({1, 2, 3}) N aggregate all R starting 0: R + N
define fluent function twice(a Integer): a * 2
define H: Length('abc') div 2
define I: singleton from ({ Tuple { a: 1, b: null } })
define J: @2012 3 days or less after start of Interval[@2012, @2013]
define K: First(A).period overlaps day of Interval[Now(), null]
define L: ToQuantity('5 mg') ~ 5 'mg' and not (1 = null) implies true
define M: Code '1' from "S" display 'x'
define N: convert 5 to String & 'a'
define O: maximum Integer + minimum Long
"""

BEGINNINGS = {"using", "include", "codesystem", "valueset", "parameter", "context", "define"}

HEADER = """library Fuzzed version '1'
using FHIR version '4.0.1'
include FHIRHelpers
codesystem "S": 'http://example.org/s'
valueset "V": 'http://example.org/v'
parameter P List<Choice<Integer, Tuple { a String }>> default null
context Patient
define A: [Encounter: "V"] E with [Condition] C such that C.recordedDate during E.period
"""


class _Shipped:
    """The shipped libraries, for includes."""

    def __init__(self) -> None:
        self.texts = {path.stem: path.read_text() for path in sorted(cql_libraries.FOLDER.glob("*/*.cql"))}

    def resolve_include(self, name: str, version: str | None, namespace: str | None) -> str:
        if name not in self.texts:
            raise NotFoundError(f"There is no library {name}.")
        return self.texts[name]


def words(text: str) -> list[str]:
    tokens = tokenize(text)
    return [tokens.spelling(i) for i in range(tokens.kinds.index("END"))]


def made_texts(chance: random.Random, texts: list[str]) -> Iterator[str]:
    """Texts without end: valid ones, and such as are nearly so."""
    lines = [line for line in SNIPPETS.splitlines() if line]
    vocabulary = sorted(KEYWORDS | PHRASES) + [
        "A",
        "B",
        "E",
        "X",
        "1",
        "'a'",
        "null",
        "(",
        ")",
        ".",
        "+",
        "[",
        "]",
    ]
    real = [words(text) for text in texts]
    while True:
        if chance.random() < 0.5:
            chosen = words(HEADER) + words("\n".join(chance.sample(lines, chance.randint(1, 6))))
        else:
            whole = chance.choice(real)
            chosen = whole[: chance.randint(20, min(len(whole), 400))]
        for _ in range(chance.choice((0, 1, 1, 2, 3, 6))):
            at = chance.randrange(len(chosen))
            span = chosen[at : at + chance.randint(1, 6)]
            change = chance.randrange(4)
            if change == 0:
                del chosen[at : at + len(span)]
            elif change == 1:
                chosen[at:at] = [chance.choice(vocabulary)]
            elif change == 2:
                other = chance.randrange(len(chosen))
                chosen[other:other] = span
            else:
                chosen[at] = chance.choice(chosen)
            chosen = chosen or ["library"]
        yield "".join(f"\n{word}" if word in BEGINNINGS else f" {word}" for word in chosen)


def check(text: str, translator: Translator) -> bool:
    """Run a text through all that reads CQL; whether it was translated without an error."""
    try:
        parse_library(text)
        format_library(text)
        translation = translator.translate(text)
    except MeasurewiseError:
        return False
    for issue in (*translation.errors, *translation.warnings):
        assert issue.message
        assert 0 <= issue.offset <= issue.end <= len(text)
    return not translation.errors


@pytest.mark.fuzz
def test_no_text_brings_the_translator_down():
    source = _Shipped()
    translator = Translator(source)
    ended = time.monotonic() + SECONDS
    texts = made_texts(random.Random(SEED), list(source.texts.values()))  # noqa: S311
    tried = whole = 0
    for text in texts:
        tried += 1
        try:
            whole += check(text, translator)
        except Exception as error:
            pytest.fail(f"text {tried} of seed {SEED} gave {type(error).__name__}: {error}\n{text}")
        if time.monotonic() > ended:
            break
    assert tried > 10
    assert whole > 0


def test_a_translated_text_compiles_or_says_why():
    translator = Translator(_Shipped())
    compiled = 0
    for text in [f"library One\n{line}" for line in SNIPPETS.splitlines() if line.startswith("define")]:
        translation = translator.translate(text)
        if not translation.errors:
            assert compile_program([translation.library], {("One", None): None}).source
            compiled += 1
    assert compiled > 5
