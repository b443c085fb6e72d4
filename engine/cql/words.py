"""The words of CQL 1.5.3: keywords, those that may still be identifiers, and date/time precisions.

Grammar: https://cql.hl7.org/grammar.html, rules ``keyword``, ``reservedWord``, ``keywordIdentifier`` and
``functionIdentifier``. The two-word tokens whose first word is no keyword (``included in``, ``such that``,
``on or``, ``less than``, ``more than``) are tokens here, too; those that begin with ``or`` are read word by
word.
"""

from __future__ import annotations

RESERVED = frozenset(
    """
    aggregate all and as after before between case cast Code collapse Concept convert day days difference
    distinct duration during else exists expand false flatten from if in is hour hours Interval let List
    maximum millisecond milliseconds minimum minute minutes month months not null occurs of or per point
    properly return same second seconds singleton sort then to true Tuple week weeks when with within without
    year years """.split()  # noqa: SIM905
)

KEYWORD_IDENTIFIERS = frozenset(
    """
    asc ascending by called code codesystem codesystems concept contains context date default define desc
    descending display div end ends except fluent function implies include includes intersect library meets
    mod overlaps parameter predecessor private public start starting starts successor time timezoneoffset
    union using valueset version where width xor
    """.split()  # noqa: SIM905
)

PHRASES = frozenset({"included in", "such that", "on or", "less than", "more than"})

KEYWORDS = RESERVED | KEYWORD_IDENTIFIERS

TYPE_NAME_KEYWORDS = frozenset({"Code", "Concept", "date", "time"})

PRECISIONS = frozenset({"year", "month", "week", "day", "hour", "minute", "second", "millisecond"})
PLURAL_PRECISIONS = frozenset(word + "s" for word in PRECISIONS)
UNIT_WORDS = PRECISIONS | PLURAL_PRECISIONS
DATE_TIME_COMPONENTS = PRECISIONS | {"date", "time", "timezoneoffset"}

# Keywords that, where an expression should begin, begin none; naming them beats "expected an expression".
DECLARATION_WORDS = frozenset(
    {
        "define",
        "context",
        "parameter",
        "codesystem",
        "valueset",
        "code",
        "concept",
        "using",
        "include",
        "library",
    }
)
