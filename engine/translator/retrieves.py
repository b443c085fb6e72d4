"""Retrieves: which class and profile is asked for, by which codes, in whose context.

CQL 1.5.3 Author's Guide, "Retrieve"; Developer's Guide, "Retrieves"; ELM, "External Data".
"""

from __future__ import annotations

from collections.abc import Callable

from measurewise.engine import elm
from measurewise.engine.cql import tree
from measurewise.engine.models.info import ClassInfo
from measurewise.engine.models.types import (
    CODE,
    CONCEPT,
    STRING,
    VALUESET,
    DataType,
    ListType,
    NamedType,
)
from measurewise.engine.translator.context import Context, Typed
from measurewise.engine.translator.data_types import alternatives, canonical
from measurewise.engine.translator.diagnostics import suggestion
from measurewise.engine.translator.members import element_names, element_of
from measurewise.engine.translator.operations import in_terminology
from measurewise.engine.translator.targets import STRING_TYPE
from measurewise.engine.translator.type_specifiers import resolve_named

_COMPARATORS = ("in", "~", "=")


def retrieve(c: Context, node: tree.Retrieve) -> Typed:
    """``[context -> Type: path comparator terminology]``."""
    kind = resolve_named(c, node.type)
    model = c.models[kind.model]
    info = model.class_of(kind)
    if info is None or not info.retrievable:
        known = [n for n in model.class_names() if (i := model.type(n)) is not None and i.retrievable]
        raise c.fail(
            node.type, f"{c.show(kind)} cannot be retrieved: it is no resource.", suggestion(kind.name, known)
        )
    context = None if node.context is None else c.expression(node.context).node
    data_type = c.types.qualified_name(kind)
    if node.terminology is None:
        plain = elm.Retrieve(data_type=data_type, template_id=info.identifier, context=context)
        return Typed(plain, ListType(kind))
    path = _code_path(c, node, info)
    codes = c.terminology(node.terminology, "value set")
    path_type = canonical(model.element_type(kind, path) or CODE)
    comparator = node.comparator or _comparator(codes.type)

    def filtered(by: str) -> elm.Retrieve:
        return elm.Retrieve(
            data_type=data_type,
            template_id=info.identifier,
            context=context,
            code_property=path,
            code_comparator=by,
            codes=_codes(c, node, codes, by),
        )

    whole = Typed(filtered(comparator), ListType(kind))
    if node.code_path is None and node.comparator is None and model.target_url is not None:
        return _alternatives(c, node, info, path, path_type, codes, whole, filtered)
    return whole


def _alternatives(
    c: Context,
    node: tree.Retrieve,
    info: ClassInfo,
    path: str,
    path_type: DataType,
    codes: Typed,
    whole: Typed,
    filtered: Callable[[str], elm.Retrieve],
) -> Typed:
    """The retrieve together with those by the other ways in which the code element can be told."""
    members = alternatives(path_type)
    if codes.type == VALUESET and VALUESET in members:
        # A negation may name the value set itself: what was not done is all of it, or one of its codes.
        return c.call("Union", (Typed(filtered("in"), whole.type), Typed(filtered("~"), whole.type)), node)
    referenced = c.models[info.model].type(path[:1].upper() + path[1:])
    if NamedType(info.model, "Reference") in members and referenced is not None and CONCEPT in members:
        return c.call("Union", (_by_reference(c, node, info, path, referenced, codes), whole), node)
    return whole


def _by_reference(
    c: Context, node: tree.Retrieve, info: ClassInfo, path: str, referenced: ClassInfo, codes: Typed
) -> Typed:
    """The resources whose code element refers to a resource (a Medication) with one of the codes."""
    code = element_of(
        c, Typed(elm.AliasRef(name="M"), referenced.type), referenced.primary_code_path or "code", node
    )
    referred = elm.Last(
        source=elm.Split(
            string_to_split=elm.Property(path=f"{path}.reference.value", scope="MR"),
            separator=elm.Literal(value_type=STRING_TYPE, value="/"),
        )
    )
    same = c.call(
        "Equal", (Typed(elm.Property(path="id.value", scope="M"), STRING), Typed(referred, STRING)), node
    )
    if codes.type == VALUESET:
        fits = in_terminology(c, node, code, codes)
    elif isinstance(codes.type, ListType):
        fits = c.call("In", (code, codes), node)
    else:
        fits = c.call("Equivalent", (code, codes), node)
    source = elm.Retrieve(data_type=c.types.qualified_name(info.type), template_id=info.identifier)
    others = elm.Retrieve(
        data_type=c.types.qualified_name(referenced.type), template_id=referenced.identifier
    )
    query = elm.Query(
        source=(elm.AliasedQuerySource(alias="MR", expression=source),),
        relationship=(
            elm.With(alias="M", expression=others, such_that=elm.And(operand=(same.node, fits.node))),
        ),
    )
    return Typed(query, ListType(info.type))


def _code_path(c: Context, node: tree.Retrieve, info: ClassInfo) -> str:
    model = c.models[info.model]
    if node.code_path is None:
        if info.primary_code_path is None:
            raise c.fail(
                node,
                f"{info.type} has no primary code path.",
                f'Name the element: [{node.type}: element in "Value Set"].',
            )
        return info.primary_code_path
    path = node.code_path.path
    first = path.split(".")[0].split("[")[0]
    if model.element(info.type, first) is None and info.search(path) is None:
        raise c.fail(
            node.code_path,
            f'{c.show(info.type)} has no element "{first}".',
            suggestion(first, element_names(c, info.type)),
        )
    return path


def _comparator(codes: DataType) -> str:
    if codes in (CODE, CONCEPT):
        return "~"
    return "in"


def _codes(c: Context, node: tree.Retrieve, codes: Typed, comparator: str) -> elm.Expression:
    at = node.terminology or node
    kind = codes.type
    if comparator == "in":
        if kind == CODE:
            raise c.fail(
                at, "A code has no members: 'in' wants a value set or a list of codes.", "Write '~'."
            )
        if kind == CONCEPT:
            return elm.Property(path="codes", source=codes.node)
        if kind == VALUESET or isinstance(codes.node, elm.CodeSystemRef):
            return codes.node
        return c.convert(codes, ListType(CODE), at, "What a retrieve filters by")
    if kind == CODE:
        return elm.ToList(operand=codes.node)
    if kind == CONCEPT:
        return elm.Property(path="codes", source=codes.node)
    if kind == VALUESET:
        return codes.node
    if kind == ListType(CODE):
        return codes.node
    return elm.ToList(operand=c.convert(codes, CODE, at, "What a retrieve filters by"))
