"""What is computed once for a patient though the CQL asks for it in many places.

Closed expressions are lifted out of loops and functions, lists that joins walk get an index, and functions
that look around the record remember what they found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from measurewise.engine import elm
from measurewise.engine.compiler.emitter import Emitter
from measurewise.engine.compiler.entries import Definition
from measurewise.engine.compiler.unit import Unit
from measurewise.engine.compiler.writer import Term
from measurewise.engine.models.types import ANY, STRING, VALUESET, DataType, ListType

if TYPE_CHECKING:
    from measurewise.engine.compiler.assembly import Assembly

E = TypeVar("E", bound=elm.Element)

COSTLY = 60
"""From how many nodes on a function of one part of the record is worth remembering."""


class Sharing:
    """The shared parts of one program."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._kept: list[elm.Element] = []
        self._indexes: dict[tuple[Any, ...], str] = {}
        self._lifted: dict[tuple[Unit, Any], Definition] = {}

    def lifted(self, unit: Unit, node: elm.Expression, where: str) -> Term | None:
        """A closed expression as a definition of its own, shared by all places that say the same."""
        key = (unit, self._assembly.key(node))
        found = self._lifted.get(key)
        if found is None:
            slot = self._assembly.slot()
            emitter = Emitter(self._assembly, unit, where)
            term = emitter.expr(node)
            if term.atomic and not term.text.startswith(("v", "r", "x", "t", "b", "q")):
                return term
            function = f"h{slot}"
            emitter.w.emit(f"s[{slot}] = v = {term.text}")
            emitter.w.emit("return v")
            self._assembly.function_text(f"def {function}(s):", f"part of {where}", emitter)
            found = Definition(function, slot, term.type, term.nullable, term.two_valued, term.solid)
            self._lifted[key] = found
        slot = found.slot
        return Term(
            f"(e{slot} if (e{slot} := s[{slot}]) is not U else {found.function}(s))",
            found.type,
            nullable=found.nullable,
            two_valued=found.two_valued,
            solid=found.solid,
        )

    def kept(self, node: E) -> E:
        """A node made by the compiler, kept alive so that tables keyed by identity stay right."""
        self._kept.append(node)
        return node

    def equality_table(
        self, unit: Unit, listed: elm.Expression, alias: str, key: elm.Expression, where: str
    ) -> str:
        """Text of a table of a closed list's rows by the value of an expression on the row."""
        return self._index(
            unit,
            listed,
            alias,
            key,
            where,
            timed=False,
        )

    def time_index(
        self, unit: Unit, listed: elm.Expression, alias: str, key: elm.Expression, where: str
    ) -> str:
        """Text of a :class:`TimeIndex` of a closed list's rows by a time on the row."""
        return self._index(unit, listed, alias, key, where, timed=True)

    def _index(
        self, unit: Unit, listed: elm.Expression, alias: str, key: elm.Expression, where: str, *, timed: bool
    ) -> str:
        identity = (unit, self._assembly.key(listed), alias, self._assembly.key(key), timed)
        found = self._indexes.get(identity)
        if found is None:
            slot = self._assembly.slot()
            emitter = Emitter(self._assembly, unit, where)
            with emitter.looping():
                rows = emitter.expr(listed)
            element = rows.type.element if isinstance(rows.type, ListType) else ANY
            emitter.names.aliases[alias] = Term("row", element, atomic=True, nullable=not rows.solid)
            text = f"({rows.text} or ())" if rows.nullable else rows.text
            if timed:
                with emitter.w.block("def key(row)"), emitter.looping():
                    emitter.w.emit(f"return {emitter.expr(key).text}")
                emitter.w.emit(f"i = TimeIndex({text}, key)")
            else:
                emitter.w.emit("i = {}")
                with emitter.w.block(f"for row in {text}"), emitter.looping():
                    emitter.w.emit(f"k = {emitter.expr(key).text}")
                    with emitter.w.block("if k is not None"):
                        emitter.w.emit("i.setdefault(k, []).append(row)")
            emitter.w.emit(f"s[{slot}] = i")
            emitter.w.emit("return i")
            self._assembly.function_text(f"def i{slot}(s):", f"index for {where}", emitter)
            found = f"(e{slot} if (e{slot} := s[{slot}]) is not U else i{slot}(s))"
            self._indexes[identity] = found
        return found

    def remembering(
        self, unit: Unit, source: elm.FunctionDef, kinds: tuple[DataType, ...], arguments: list[str]
    ) -> tuple[int, str, str] | None:
        """How a function that looks around the record remembers its results for a patient.

        Only where every operand is a part of the record or a string; the memo holds on to its operands, so
        that an identity cannot be taken over by another object. Gives the slot, the key and what to hold on
        to."""
        costly = len(arguments) == 1 and self._assembly.freedom.size(source) > COSTLY
        if not arguments or not (costly or self._assembly.freedom.heavy(unit, source)):
            return None
        keys = []
        for kind, argument in zip(kinds, arguments, strict=True):
            if self._assembly.shapes.is_fhir(kind) and self._assembly.shapes.primitive(kind) is None:
                keys.append(f"id({argument})")
            elif kind in (STRING, VALUESET) or self._assembly.shapes.primitive(kind) == STRING:
                keys.append(argument)
            else:
                return None
        key = keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
        return self._assembly.slot(), key, ", ".join(arguments)
