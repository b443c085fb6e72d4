"""Elements of models that map to another model: QI-Core's and US Core's elements in terms of FHIR.

A model info says for each element how it is reached in the target model, over ``%value`` (the element of that
name) or ``%parent`` (the instance): ``%value.value``, ``FHIRHelpers.ToConcept(%value)``,
``%parent.extension[url='...'].value``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.types import ChoiceType, DataType, ListType, NamedType
from measurewise.engine.translator.data_types import canonical
from measurewise.engine.translator.options import SignatureLevel

if TYPE_CHECKING:
    from measurewise.engine.translator.context import Context

STRING_TYPE = "{urn:hl7-org:elm-types:r1}String"
THIS = "$this"

_CALL = re.compile(r"([\w.]+)\.(\w+)\((.*)\)")
_STEP = re.compile(r"\.?([\w\[\]]+?)(?:\[((?:[\w.]+='[^']*',?)+)\])?(?=\.|$)")
_FILTER = re.compile(r"([\w.]+)='([^']*)'")


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a path with the conditions on its elements."""

    name: str
    conditions: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """How an element is reached: a path from ``value`` or ``parent``, through a function where named."""

    root: str
    steps: tuple[Step, ...]
    library: str | None = None
    function: str | None = None


@lru_cache(maxsize=8192)
def parse_target(text: str) -> Target:
    """Read a target expression; of several alternatives by type, the one over the element itself."""
    if ";" in text:
        parts = [part.partition(":")[2] for part in text.split(";")]
        return parse_target(next((p for p in parts if "%value" in p), parts[0]))
    call = _CALL.fullmatch(text)
    if call is not None:
        inner = parse_target(call[3])
        return Target(inner.root, inner.steps, call[1], call[2])
    root, _, rest = text[1:].partition(".")
    steps = []
    for name, conditions in _STEP.findall(rest):
        steps.append(Step(name.removesuffix("[x]"), tuple(_FILTER.findall(conditions))))
    return Target(root, tuple(steps))


def reach(
    c: Context,
    value: elm.Expression,
    parent: elm.Expression,
    kind: DataType,
    target_text: str,
    at: tree.Node,
) -> elm.Expression:
    """The element ``value`` of ``parent`` by way of its target; ``kind`` is the element's type."""
    node = _reach(c, value, parent, kind, parse_target(target_text), at)
    if ";" in target_text and isinstance(kind, ChoiceType):
        c.conversions.by_type[node] = _by_type(c, node, value, parent, kind, target_text, at)
    return node


def _by_type(
    c: Context,
    whole: elm.Expression,
    value: elm.Expression,
    parent: elm.Expression,
    kind: ChoiceType,
    text: str,
    at: tree.Node,
) -> dict[DataType, elm.Expression]:
    """The way to each member of a choice; only those whose function the included FHIRHelpers has."""
    ways: dict[DataType, elm.Expression] = {}
    for part in text.split(";"):
        name, _, expression = part.partition(":")
        target = parse_target(expression)
        member = next((m for m in kind.choices if str(m) == name), None)
        if member is None:
            continue
        local = c.helper(target.library or "")
        symbols = None if local is None else c.includes.get(local)
        if "%value" in expression:
            ways[member] = whole
        elif symbols is not None and target.function in symbols.functions:
            ways[member] = _reach(c, value, parent, member, target, at)
    return ways


def _reach(
    c: Context,
    value: elm.Expression,
    parent: elm.Expression,
    kind: DataType,
    target: Target,
    at: tree.Node,
) -> elm.Expression:
    many = isinstance(kind, ListType)
    if target.root == "value":
        path = ".".join(step.name for step in target.steps)
        if target.function is not None:
            return _through(c, value, kind, target, at)
        if not path:
            return value
        if not many:
            return elm.Property(path=path, source=value)
        return _each(value, elm.Property(path=path, scope=THIS))
    node = _from_parent(c, parent, target.steps, at)
    if not many and isinstance(node, elm.Query):
        node = elm.SingletonFrom(operand=node)
    return node if target.function is None else _through(c, node, kind, target, at)


def _each(source: elm.Expression, value: elm.Expression) -> elm.Query:
    return elm.Query(
        source=(elm.AliasedQuerySource(alias=THIS, expression=source),),
        return_=elm.ReturnClause(expression=value, distinct=False),
    )


def _through(
    c: Context, node: elm.Expression, kind: DataType, target: Target, at: tree.Node
) -> elm.Expression:
    if isinstance(kind, ListType):
        return _each(node, _helper(c, elm.AliasRef(name=THIS), kind.element, target, at))
    return _helper(c, node, kind, target, at)


def _helper(
    c: Context, node: elm.Expression, result: DataType, target: Target, at: tree.Node
) -> elm.FunctionRef:
    local = c.helper(target.library or "")
    if local is None:
        raise c.fail(
            at,
            f"This element is read with {target.library}.{target.function}.",
            f"Include the library {target.library}.",
        )
    function = target.function or ""
    symbols = c.includes.get(local)
    found = [] if symbols is None else symbols.functions.get(function, [])
    signature: tuple[elm.TypeSpecifier, ...] = ()
    if len(found) > 1 and c.options.signature_level in (SignatureLevel.OVERLOADS, SignatureLevel.ALL):
        fitting = [f for f in found if canonical(f.result) == result] or found
        signature = tuple(c.types.specifier(kind) for kind in fitting[0].operands)
    return elm.FunctionRef(name=function, library_name=local, operand=(node,), signature=signature)


def _from_parent(
    c: Context, parent: elm.Expression, steps: tuple[Step, ...], at: tree.Node
) -> elm.Expression:
    node = parent
    for number, step in enumerate(steps):
        if isinstance(node, elm.AliasRef) and not step.conditions:
            node = elm.Property(path=step.name, scope=node.name)
        else:
            node = elm.Property(path=step.name, source=node)
        if step.conditions:
            rest = ".".join(s.name for s in steps[number + 1 :])
            return elm.Query(
                source=(elm.AliasedQuerySource(alias=THIS, expression=node),),
                where=_conditions(c, step.conditions, at),
                return_=None
                if not rest
                else elm.ReturnClause(
                    expression=elm.Property(path=rest, source=elm.AliasRef(name=THIS)), distinct=False
                ),
            )
    return node


def _conditions(c: Context, conditions: tuple[tuple[str, str], ...], at: tree.Node) -> elm.Expression:
    tests: list[elm.Expression] = []
    for path, text in conditions:
        kind = NamedType("FHIR", "uri" if path.endswith(("url", "system")) else "code")
        signature: tuple[elm.TypeSpecifier, ...] = ()
        if c.options.signature_level in (SignatureLevel.OVERLOADS, SignatureLevel.ALL):
            signature = (c.types.specifier(kind),)
        local = c.helper("FHIRHelpers")
        if local is None:
            raise c.fail(
                at, "This element is read with FHIRHelpers.ToString.", "Include the library FHIRHelpers."
            )
        value = elm.FunctionRef(
            name="ToString",
            library_name=local,
            operand=(elm.Property(path=path, scope=THIS),),
            signature=signature,
        )
        tests.append(elm.Equal(operand=(value, elm.Literal(value_type=STRING_TYPE, value=text))))
    whole = tests[0]
    for test in tests[1:]:
        whole = elm.And(operand=(whole, test))
    return whole
