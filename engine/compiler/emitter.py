"""ELM expressions to Python: the part that every chapter shares.

A chapter (a module beside this one) registers how it emits the nodes of one chapter of the CQL logical
specification with :func:`emits`; what no chapter claims is emitted by ``chapters/operators.py`` as a call
of the run-time function of the same name. :func:`decides` registers a second way for Boolean nodes where
only "is it true" matters (where, if, exists): two-valued code is shorter and lets Python's own ``and``
short-cut."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from measurewise.engine import elm
from measurewise.engine.compiler.shapes import Shapes
from measurewise.engine.compiler.writer import Term, Writer
from measurewise.engine.errors import ContentError
from measurewise.engine.models.types import ANY, BOOLEAN, DataType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from measurewise.engine.compiler.assembly import Assembly
    from measurewise.engine.compiler.unit import Unit

EmitRule = Callable[["Emitter", Any], Term]
DecideRule = Callable[["Emitter", Any], str]

RULES: dict[type, EmitRule] = {}
DECISIONS: dict[type, DecideRule] = {}


def emits(*nodes: type) -> Callable[[EmitRule], EmitRule]:
    """Register a rule that gives the value of these nodes."""

    def register(rule: EmitRule) -> EmitRule:
        for node in nodes:
            RULES[node] = rule
        return rule

    return register


def decides(*nodes: type) -> Callable[[DecideRule], DecideRule]:
    """Register a rule that gives text which is truthy exactly when the node is true."""

    def register(rule: DecideRule) -> DecideRule:
        for node in nodes:
            DECISIONS[node] = rule
        return rule

    return register


LIFTED = (
    elm.Query,
    elm.FunctionRef,
    elm.Union,
    elm.Intersect,
    elm.Except,
    elm.Exists,
    elm.First,
    elm.Last,
    elm.SingletonFrom,
    elm.Flatten,
    elm.Distinct,
    elm.Collapse,
    elm.Expand,
    elm.Count,
    elm.Sum,
    elm.Min,
    elm.Max,
    elm.CalculateAgeAt,
    elm.ToDateTime,
)
"""Nodes that cost enough to be evaluated once for a patient when they are closed."""


@dataclass
class Names:
    """What names mean inside one function: aliases, lets, operands, and the row of a sort."""

    aliases: dict[str, Term] = field(default_factory=dict)
    lets: dict[str, tuple[elm.Expression, Names]] = field(default_factory=dict)
    operands: dict[str, Term] = field(default_factory=dict)
    row: Term | None = None
    iteration: Term | None = None
    index: Term | None = None
    total: Term | None = None

    def with_aliases(self, **more: Any) -> Names:
        """A copy that later additions do not reach back from."""
        return replace(self, aliases=dict(self.aliases), lets=dict(self.lets), **more)

    def signature(self) -> tuple[Any, ...]:
        """What a value may hang on besides its own expression, for recognising equal values."""
        return (
            tuple(t.text for t in self.aliases.values()),
            tuple(t.text for t in self.operands.values()),
            tuple(id(e) for e, _ in self.lets.values()),
            self.row.text if self.row else None,
            self.iteration.text if self.iteration else None,
            self.total.text if self.total else None,
        )


class Emitter:
    """Emits the body of one function of the assembled program.

    ``repeated`` counts what surrounds the place being written and may run it many times for a patient: loops,
    and the body of a CQL function. There a closed expression is lifted out to be evaluated once.
    """

    def __init__(self, assembly: Assembly, unit: Unit, where: str, names: Names | None = None) -> None:
        self.assembly = assembly
        self.unit = unit
        self.where = where
        self.shapes: Shapes = assembly.shapes
        self.w = Writer()
        self.names = names or Names()
        self.repeated = 0

    # ------------------------------------------------------------------- values

    def expr(self, node: elm.Expression) -> Term:
        """The value of a node; its text is to be put in one place only."""
        rule = RULES.get(type(node))
        if rule is None:
            raise self.unsupported(node)
        constant = self.assembly.constants.of(self.unit, node)
        if constant is not None:
            return constant
        if self.repeated and isinstance(node, LIFTED) and self.assembly.freedom.closed(node):
            lifted = self.assembly.sharing.lifted(self.unit, node, self.where)
            if lifted is not None:
                return lifted
        term = rule(self, node)
        if term.atomic:
            return term
        known = self.w.known(term.text)
        return term if known is None else replace(term, text=known.text, atomic=True)

    def atom(self, node: elm.Expression, stem: str = "t") -> Term:
        """The value of a node as a name or constant."""
        return self.w.atom(self.expr(node), stem)

    def truth(self, node: elm.Expression) -> str:
        """Text that is truthy exactly when the node is true."""
        rule = DECISIONS.get(type(node))
        if rule is not None and self.assembly.constants.of(self.unit, node) is None:
            return rule(self, node)
        return self.expr(node).text

    def coerced(self, node: elm.Expression, to: DataType) -> Term:
        """The value of a node as it travels under the type ``to``."""
        return self.shapes.coerce(self.expr(node), to)

    def declared(self, node: elm.Element, otherwise: DataType = ANY) -> DataType:
        """The result type written on a node, or the one inferred."""
        return self.shapes.declared(node) or otherwise

    @contextmanager
    def looping(self) -> Iterator[None]:
        """What is emitted inside may run many times for a patient."""
        self.repeated += 1
        yield
        self.repeated -= 1

    # ---------------------------------------------------------------- lazy parts

    def lazily(
        self, of: Callable[[elm.Expression], str], node: elm.Expression
    ) -> tuple[list[tuple[int, str]], str]:
        """The lines and the text that ``of`` makes of a node which must not run unless its turn comes."""
        with self.w.captured() as lines:
            text = of(node)
        return lines, text

    def place(self, header: str, lines: list[tuple[int, str]], *closing: str) -> None:
        """Put captured lines, and then closing ones, in a block."""
        with self.w.block(header):
            pass
        self.w.drop_pass()
        self.w.replay(lines)
        for line in closing:
            self.w.emit_inside(line)

    @contextmanager
    def scope(self, names: Names) -> Iterator[None]:
        """Other meanings of names for a while."""
        outer, self.names = self.names, names
        yield
        self.names = outer

    # -------------------------------------------------------------------- errors

    def unsupported(self, node: elm.Element, why: str = "") -> ContentError:
        """The error for a node that cannot be compiled."""
        place = f" at {node.locator}" if node.locator else ""
        return ContentError(
            f"{type(node).__name__}{place} cannot be compiled{': ' + why if why else '.'}",
            where=self.where,
            mend="Use an operator of CQL 1.5.",
        )


def boolean(text: str, *, two_valued: bool = False, folded: Any = ...) -> Term:
    """A Boolean term."""
    return Term(text, BOOLEAN, nullable=not two_valued, two_valued=two_valued, folded=folded)
