"""Functions that read a choice element of the record: each form it may have, converted, in one probe.

``FHIRHelpers.ToValue(X.effective)`` becomes a function that tries ``effectiveDateTime``,
``effectivePeriod`` and so on. A CQL function of such a value (``latest(X.effective)``) becomes one function
of the place in the record, which remembers for the patient what it found there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from measurewise.engine import elm
from measurewise.engine.compiler.emitter import Emitter, Names
from measurewise.engine.compiler.unit import Unit
from measurewise.engine.compiler.writer import Term, identifier
from measurewise.engine.models.types import ANY, DataType, NamedType

if TYPE_CHECKING:
    from measurewise.engine.compiler.assembly import Assembly


class ChoiceReaders:
    """The readers of one program."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._readers: dict[tuple[Any, ...], tuple[str, DataType] | None] = {}

    def choice(
        self, unit: Unit, node: elm.FunctionRef, forms: tuple[tuple[str, NamedType], ...], em: Emitter
    ) -> tuple[str, DataType] | None:
        """A function that reads a choice element: each form it may have, converted by ``ToValue``."""
        key = (unit, forms)
        if key in self._readers:
            return self._readers[key]
        self._readers[key] = self._reader(unit, node, forms, f"{unit.name}.ToValue", None, em)
        return self._readers[key]

    def derived(
        self,
        unit: Unit,
        node: elm.FunctionRef,
        forms: tuple[tuple[str, NamedType], ...],
        inner: Any,
        em: Emitter,
    ) -> tuple[str, DataType] | None:
        """A function of a choice element's value, read and computed once for each place of the record.

        ``inner`` are the unit and call of ``ToValue`` that reads the element.
        """
        signature = tuple(self._assembly.shapes.of_specifier(t) for t in node.signature)
        key = (unit, node.name, signature, inner[0], inner[1].name, forms)
        if key not in self._readers:
            self._readers[key] = self._reader(unit, node, forms, f"{unit.name}.{node.name}", inner, em)
        return self._readers[key]

    def _reader(
        self,
        unit: Unit,
        node: elm.FunctionRef,
        forms: tuple[tuple[str, NamedType], ...],
        title: str,
        inner: Any,
        em: Emitter,
    ) -> tuple[str, DataType] | None:
        bodies = []
        kind: DataType = ANY
        for name, form in forms:
            body = Emitter(self._assembly, unit, f"{title} of {_stem(forms)}[x]")
            with body.w.block("if x is not None"):
                pass
            body.w.drop_pass()
            value = Term("x", form, atomic=True, nullable=False)
            with body.w.captured() as lines:
                if inner is None:
                    term = self._applied(body, unit, node, value)
                else:
                    read = body.w.atom(self._applied(body, inner[0], inner[1], value))
                    term = self._applied(body, unit, node, read)
            if term.text == "None":
                continue
            bodies.append((name, body, lines, term))
            kind = self._assembly.shapes.unify(kind, term.type)
        if not bodies:
            return None
        number = self._assembly.next_number()
        function = f"c{number}_{identifier(node.name if inner else '')}{_stem(forms)}"
        text = [f"# {title} of {_stem(forms)}[x]", f"def {function}(s, r):"]
        keep = "return "
        if inner is not None:
            memo = self._assembly.slot()
            text += [f"    m = s[{memo}]", "    if m is U:", f"        m = s[{memo}] = {{}}"]
            text += [
                "    known = m.get(id(r))",
                "    if known is not None:",
                "        return known[0]",
                "    v = None",
            ]
            keep = "v = "
        for number, (name, body, lines, term) in enumerate(bodies):
            text.append(
                f"    x = r.get({name!r})"
                + ("" if inner is None or number == 0 else " if x is None else None")
            )
            body.w.replay(lines)
            body.w.emit_inside(f"{keep}{self._assembly.shapes.coerce(term, kind).text}")
            text.append(body.w.text())
        text.append("    return None" if inner is None else "    m[id(r)] = (v, r)\n    return v")
        self._assembly.functions.append("\n".join(text))
        return function, kind

    def _applied(self, em: Emitter, unit: Unit, node: elm.FunctionRef, value: Term) -> Term:
        """The body of a function of one operand, written in place for this value."""
        source = self._assembly.overload(unit, node, [value], em)
        if source.expression is None:
            return Term("None", atomic=True)
        outer, em.unit = em.unit, unit
        operand = source.operand[0]
        declared = self._assembly.operand_type(operand)
        if not (self._assembly.shapes.is_open(declared) and not self._assembly.shapes.is_open(value.type)):
            value = self._assembly.shapes.coerce(value, declared)
        with em.scope(Names(operands={operand.name: value})):
            term = self._assembly.settled(em.expr(source.expression), self._assembly.shapes.declared(source))
        em.unit = outer
        return term


def _stem(forms: tuple[tuple[str, NamedType], ...]) -> str:
    name, kind = forms[0]
    return name[: len(name) - len(kind.name)] or name
