"""Implicit conversions: whether a type may stand where another is wanted, at what cost, by what ELM.

CQL 1.5.3 Author's Guide, "Conversion", and Developer's Guide, "Conversion Precedence": the lower the cost,
the better an overload fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from measurewise.engine import elm
from measurewise.engine.models.model import Model
from measurewise.engine.models.types import (
    ANY,
    CODE,
    CONCEPT,
    DATE,
    DATETIME,
    DECIMAL,
    INTEGER,
    LONG,
    QUANTITY,
    VALUESET,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
)
from measurewise.engine.translator.data_types import STRUCTURED, Types, canonical
from measurewise.engine.translator.operators import build
from measurewise.engine.translator.options import SignatureLevel, TranslatorOptions

Apply = Callable[[elm.Expression], elm.Expression]

EXACT, SUBTYPE, COMPATIBLE, CAST, SIMPLE, COMPLEX = 0, 1, 2, 3, 4, 5
# With room for the cost of bringing the single value to its type.
INTERVAL_PROMOTION, LIST_DEMOTION, INTERVAL_DEMOTION, LIST_PROMOTION = 10, 20, 30, 40


class Conversion(NamedTuple):
    """A way from one type to another; ``apply`` is None where the value stands as it is."""

    cost: int
    apply: Apply | None


IDENTITY = Conversion(EXACT, None)
_AS_IT_IS = Conversion(SUBTYPE, None)

_SIMPLE: dict[tuple[DataType, DataType], str] = {
    (INTEGER, LONG): "ToLong",
    (INTEGER, DECIMAL): "ToDecimal",
    (LONG, DECIMAL): "ToDecimal",
    (INTEGER, QUANTITY): "ToQuantity",
    (LONG, QUANTITY): "ToQuantity",
    (DECIMAL, QUANTITY): "ToQuantity",
    (DATE, DATETIME): "ToDateTime",
    (CODE, CONCEPT): "ToConcept",
    (VALUESET, ListType(CODE)): "ExpandValueSet",
}
_OVERLOADED_CONVERSIONS = frozenset({"ToLong", "ToDecimal", "ToQuantity", "ToDateTime", "ToConcept"})


class Conversions:
    """The conversions that the models and options of a library allow.

    ``by_type`` has, for a choice element whose members are reached in different ways, the way to each.

    ``helpers`` gives the local name of an included library (FHIRHelpers) and the result types of its
    functions' overloads; a model's conversion is found only where its library is included.
    """

    def __init__(
        self,
        types: Types,
        models: Mapping[str, Model],
        options: TranslatorOptions,
        helpers: Callable[[str], str | None],
        is_overloaded: Callable[[str, str], bool],
    ) -> None:
        self._types = types
        self._models = models
        self._options = options
        self._helpers = helpers
        self._is_overloaded = is_overloaded
        self.by_type: dict[elm.Element, dict[DataType, elm.Expression]] = {}
        self._known: dict[tuple[DataType, DataType], Conversion | None] = {}

    def find(self, source: DataType, target: DataType) -> Conversion | None:
        """The cheapest conversion, or None where there is none."""
        if source == target:
            return IDENTITY
        if target == ANY:
            return _AS_IT_IS
        key = (source, target)
        if key not in self._known:
            self._known[key] = None
            self._known[key] = self._find(source, target)
        return self._known[key]

    def targets(self, source: DataType) -> list[DataType]:
        """The types of System that a value of a model's class converts to implicitly."""
        if not isinstance(source, NamedType) or source.model == "System":
            return []
        found: list[DataType] = []
        for model in self._models.values():
            for conversion in model.conversions_from(source):
                target = canonical(conversion.target)
                if target not in found and self._helpers(conversion.function.rpartition(".")[0]) is not None:
                    found.append(target)
        return found

    def convert(self, node: elm.Expression, source: DataType, target: DataType) -> elm.Expression | None:
        """The node as a value of another type, or None where there is no conversion."""
        conversion = self.find(source, target)
        if conversion is None:
            return None
        return node if conversion.apply is None else conversion.apply(node)

    def _find(self, source: DataType, target: DataType) -> Conversion | None:
        if self._types.is_subtype(source, target):
            return _AS_IT_IS
        if source == ANY:
            return Conversion(COMPATIBLE, self._cast(target))
        found = (
            self._choice(source, target)
            or self._simple(source, target)
            or self._model(source, target)
            or self._generic(source, target)
        )
        return found or self._promotion(source, target)

    def _cast(self, target: DataType) -> Apply:
        types = self._types

        by_type = self.by_type

        def apply(node: elm.Expression) -> elm.Expression:
            known = by_type.get(node)
            if known is not None and target in known:
                return known[target]
            return implicit_cast(types, node, target)

        return apply

    # --- choices --------------------------------------------------------------------------------------------

    def _choice(self, source: DataType, target: DataType) -> Conversion | None:
        if isinstance(source, ChoiceType):
            if isinstance(target, ChoiceType):
                return self._choice_to_choice(source, target)
            return self._from_choice(source, target)
        if isinstance(target, ChoiceType):
            return self._to_choice(source, target)
        return None

    def _from_choice(self, source: ChoiceType, target: DataType) -> Conversion | None:
        if any(self._types.is_subtype(m, target) for m in source.choices):
            return Conversion(CAST, self._cast(target))
        if any(self._types.is_subtype(target, m) for m in source.choices):
            return Conversion(CAST, self._cast(target))
        ways = [(m, self.find(m, target)) for m in source.choices]
        possible = [(m, way) for m, way in ways if way is not None and way.cost < INTERVAL_PROMOTION]
        if not possible:
            return None
        types = self._types

        def one(node: elm.Expression, member: DataType, way: Conversion) -> elm.Expression:
            cast = implicit_cast(types, node, member)
            return cast if way.apply is None else way.apply(cast)

        def apply(node: elm.Expression) -> elm.Expression:
            if len(possible) == 1:
                return one(node, *possible[0])
            items = tuple(
                elm.CaseItem(when=type_test(types, node, member), then=one(node, member, way))
                for member, way in possible
            )
            return elm.Case(case_item=items, else_=implicit_cast(types, elm.Null(), target))

        return Conversion(COMPLEX, apply)

    def _to_choice(self, source: DataType, target: ChoiceType) -> Conversion | None:
        if any(self._types.is_subtype(source, m) for m in target.choices):
            return Conversion(CAST, self._cast(target))
        for member in target.choices:
            way = self.find(source, member)
            if way is None or way.apply is None or way.cost >= INTERVAL_PROMOTION:
                continue
            return Conversion(way.cost, self._cast_then(source, way.apply))
        return None

    def _cast_then(self, source: DataType, last: Apply) -> Apply:
        return lambda node: last(implicit_cast(self._types, node, source))

    def _choice_to_choice(self, source: ChoiceType, target: ChoiceType) -> Conversion | None:
        if set(target.choices) <= set(source.choices):
            return Conversion(CAST, self._cast(target))
        shared: list[tuple[DataType, DataType, Conversion]] = []
        for member in source.choices:
            for wanted in target.choices:
                way = self.find(member, wanted)
                if way is not None and way.cost <= SUBTYPE:
                    shared.append((member, wanted, way))
                    break
        if not shared:
            return None
        types = self._types

        def apply(node: elm.Expression) -> elm.Expression:
            if len(shared) == 1:
                return implicit_cast(types, implicit_cast(types, node, shared[0][0]), target)
            items = tuple(
                elm.CaseItem(
                    when=type_test(types, node, member),
                    then=implicit_cast(types, implicit_cast(types, node, member), target),
                )
                for member, _, _ in shared
            )
            return elm.Case(case_item=items, else_=elm.Null())

        return Conversion(CAST, apply)

    # --- conversions by operators and by functions of a model ----------------------------------------------

    def _simple(self, source: DataType, target: DataType) -> Conversion | None:
        operator = _SIMPLE.get((source, target))
        if operator is None:
            return None
        signature = self._signature(source) if operator in _OVERLOADED_CONVERSIONS else ()
        simple = isinstance(target, NamedType) and target.name not in STRUCTURED
        return Conversion(SIMPLE if simple else COMPLEX, lambda node: build(operator, (node,), signature))

    def _signature(self, *kinds: DataType) -> tuple[elm.TypeSpecifier, ...]:
        if self._options.signature_level in (SignatureLevel.NONE, SignatureLevel.DIFFERING):
            return ()
        return tuple(self._types.specifier(kind) for kind in kinds)

    def _model(self, source: DataType, target: DataType) -> Conversion | None:
        if isinstance(source, ChoiceType) or source.__class__ is not NamedType:
            return None
        for model in self._models.values():
            for conversion in model.conversions_from(source):
                if canonical(conversion.target) != target:
                    continue
                library, _, function = conversion.function.rpartition(".")
                local = self._helpers(library)
                if local is None:
                    continue
                return Conversion(COMPLEX, self._call(library, local, function, conversion.source))
        for model in self._models.values():
            for conversion in model.conversions_from(source):
                second = _SIMPLE.get((conversion.target, target))
                library, _, function = conversion.function.rpartition(".")
                local = self._helpers(library)
                if second is None or local is None:
                    continue
                first = self._call(library, local, function, conversion.source)
                then = self.find(conversion.target, target)
                if then is not None:
                    return Conversion(COMPLEX + 1, _then(first, then))
        return None

    def _call(self, library: str, local: str, function: str, source: DataType) -> Apply:
        overloaded = self._is_overloaded(library, function)
        signature = self._signature(source) if overloaded else ()

        def apply(node: elm.Expression) -> elm.Expression:
            # The source of a conversion stands in the signature; the result is the helper's.
            return elm.FunctionRef(
                name=function,
                library_name=local,
                operand=(node,),
                signature=signature,
            )

        return apply

    # --- lists and intervals --------------------------------------------------------------------------------

    def _generic(self, source: DataType, target: DataType) -> Conversion | None:
        if isinstance(source, ListType) and isinstance(target, ListType):
            inner = self.find(source.element, target.element)
            if inner is None or inner.cost >= INTERVAL_PROMOTION:
                return None
            if inner.apply is None:
                return inner
            if source.element == ANY:
                return Conversion(COMPATIBLE, self._cast(target))
            return Conversion(max(inner.cost, SIMPLE), _list_conversion(inner.apply))
        if isinstance(source, IntervalType) and isinstance(target, IntervalType):
            inner = self.find(source.point, target.point)
            if inner is None or inner.cost >= INTERVAL_PROMOTION:
                return None
            if inner.apply is None:
                return inner
            return Conversion(max(inner.cost, SIMPLE), _interval_conversion(inner.apply))
        return None

    def _promotion(self, source: DataType, target: DataType) -> Conversion | None:
        options = self._options
        if options.interval_demotion and isinstance(source, IntervalType):
            inner = self.find(source.point, target)
            if inner is not None and inner.cost <= SUBTYPE:
                return Conversion(INTERVAL_DEMOTION + inner.cost, lambda node: elm.PointFrom(operand=node))
        if options.list_demotion and isinstance(source, ListType):
            inner = self.find(source.element, target)
            if inner is not None and inner.cost < INTERVAL_PROMOTION:
                only = _then(lambda node: elm.SingletonFrom(operand=node), inner)
                return Conversion(LIST_DEMOTION + inner.cost, only)
        if options.interval_promotion and isinstance(target, IntervalType):
            inner = self.find(source, target.point)
            if inner is not None and inner.cost <= SUBTYPE:
                return Conversion(
                    INTERVAL_PROMOTION + inner.cost,
                    lambda node: elm.If(
                        condition=elm.IsNull(operand=node),
                        then=implicit_cast(self._types, elm.Null(), target),
                        else_=elm.Interval(low=node, high=node),
                    ),
                )
        if options.list_promotion and isinstance(target, ListType):
            inner = self.find(source, target.element)
            if inner is not None and inner.cost < INTERVAL_PROMOTION:
                first = inner.apply
                return Conversion(
                    LIST_PROMOTION + inner.cost,
                    lambda node: elm.ToList(operand=node if first is None else first(node)),
                )
        return None


def _then(first: Apply, second: Conversion) -> Apply:
    last = second.apply
    return first if last is None else lambda node: last(first(node))


def _list_conversion(inner: Apply) -> Apply:
    def apply(node: elm.Expression) -> elm.Expression:
        return elm.Query(
            source=(elm.AliasedQuerySource(alias="X", expression=node),),
            return_=elm.ReturnClause(expression=inner(elm.AliasRef(name="X")), distinct=False),
        )

    return apply


def _interval_conversion(inner: Apply) -> Apply:
    def apply(node: elm.Expression) -> elm.Expression:
        if (
            isinstance(node, elm.Interval)
            and node.low is not None
            and node.high is not None
            and node.low_closed_expression is None
            and node.high_closed_expression is None
        ):
            return elm.Interval(
                low=inner(node.low),
                high=inner(node.high),
                low_closed=node.low_closed,
                high_closed=node.high_closed,
            )
        return elm.Interval(
            low=inner(elm.Property(path="low", source=node)),
            low_closed_expression=elm.Property(path="lowClosed", source=node),
            high=inner(elm.Property(path="high", source=node)),
            high_closed_expression=elm.Property(path="highClosed", source=node),
        )

    return apply


def implicit_cast(types: Types, node: elm.Expression, target: DataType) -> elm.Expression:
    """``As`` the way a translator inserts it: not strict, a named type as an attribute."""
    if isinstance(target, NamedType):
        return elm.As(operand=node, as_type=types.qualified_name(target))
    return elm.As(operand=node, as_type_specifier=types.specifier(target))


def type_test(types: Types, node: elm.Expression, kind: DataType) -> elm.Expression:
    """``Is`` the way a translator inserts it."""
    if isinstance(kind, NamedType):
        return elm.Is(operand=node, is_type=types.qualified_name(kind))
    return elm.Is(operand=node, is_type_specifier=types.specifier(kind))
