"""Every operator that no other chapter claims: a call of the run-time function of its name.

The run-time function is called ``snake_case(ELM name)``; operands are passed in the order of the node's
attributes, an absent one as None.
"""

from __future__ import annotations

from measurewise.engine import elm
from measurewise.engine.compiler.chapters.timing import PRECISIONS
from measurewise.engine.compiler.emitter import RULES, Emitter
from measurewise.engine.compiler.writer import Term
from measurewise.engine.elm.schema import attributes, node_classes
from measurewise.engine.models.types import (
    ANY,
    BOOLEAN,
    DATE,
    DATETIME,
    DECIMAL,
    INTEGER,
    LONG,
    QUANTITY,
    RATIO,
    STRING,
    TIME,
    DataType,
    IntervalType,
    ListType,
)
from measurewise.engine.runtime.operators import OPERATORS

RESULTS: dict[str, DataType] = {
    "Length": INTEGER,
    "IndexOf": INTEGER,
    "PositionOf": INTEGER,
    "LastPositionOf": INTEGER,
    "Precision": INTEGER,
    "ToInteger": INTEGER,
    "Ceiling": INTEGER,
    "Floor": INTEGER,
    "Truncate": INTEGER,
    "ToLong": LONG,
    "Round": DECIMAL,
    "Ln": DECIMAL,
    "Exp": DECIMAL,
    "Log": DECIMAL,
    "Concatenate": STRING,
    "Combine": STRING,
    "Upper": STRING,
    "Lower": STRING,
    "Substring": STRING,
    "ReplaceMatches": STRING,
    "ToString": STRING,
    "Split": ListType(STRING),
    "SplitOnMatches": ListType(STRING),
    "ToChars": ListType(STRING),
    "Matches": BOOLEAN,
    "StartsWith": BOOLEAN,
    "EndsWith": BOOLEAN,
    "ToBoolean": BOOLEAN,
    "CanConvertQuantity": BOOLEAN,
    "ToDate": DATE,
    "ToTime": TIME,
    "ToDateTime": DATETIME,
    "ToQuantity": QUANTITY,
    "ConvertQuantity": QUANTITY,
    "ToRatio": RATIO,
}
"""Result types that do not hang on the operands'; other operators give their first operand's type."""


def call(em: Emitter, node: elm.Expression) -> Term:
    """https://cql.hl7.org/04-logicalspecification.html"""
    name = type(node).__name__
    terms: list[Term] = []
    arguments: list[str] = []
    for attribute in attributes(type(node)):
        if attribute.name in IGNORED:
            continue
        value = getattr(node, attribute.name)
        if attribute.name == "precision" and (value is None or isinstance(value, str)):
            if value is not None:
                arguments.append(str(PRECISIONS[value]))
            continue
        if isinstance(value, tuple):
            parts = [em.expr(v) for v in value]
            terms += parts
            arguments += [p.text for p in parts]
        elif isinstance(value, elm.Expression):
            term = em.expr(value)
            terms.append(term)
            arguments.append(term.text)
        elif value is None:
            arguments.append("None")
    return Term(f"{OPERATORS[name].__name__}({', '.join(arguments)})", _result(em, node, name, terms))


IGNORED = {"local_id", "locator", "result_type_name", "result_type_specifier", "signature", "order_by"}


def _result(em: Emitter, node: elm.Expression, name: str, terms: list[Term]) -> DataType:
    declared = em.shapes.declared(node)
    if declared is not None:
        return declared
    if name.startswith("ConvertsTo"):
        return BOOLEAN
    if name in RESULTS:
        return RESULTS[name]
    first = terms[0].type if terms else ANY
    if name in ("Width", "Size", "PointFrom") and isinstance(first, IntervalType):
        return first.point
    if name == "Indexer":
        return first.element if isinstance(first, ListType) else STRING
    return first


for _name, _class in node_classes().items():
    if issubclass(_class, elm.Expression) and _class not in RULES and _name in OPERATORS:
        RULES[_class] = call
