"""Assembling a program: the functions, constants, retrieves and value sets that some definitions need.

Only what is reached from the wanted definitions is compiled. A CQL function is compiled once for each set of
static argument types where its operands are declared as choices, so that ``is`` and ``as`` on them are
settled at compile time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from measurewise.engine import elm
from measurewise.engine.compiler import chapters
from measurewise.engine.compiler.constants import Constants
from measurewise.engine.compiler.emitter import Emitter, Names
from measurewise.engine.compiler.entries import Definition, Parameter, Variant
from measurewise.engine.compiler.freedom import Freedom
from measurewise.engine.compiler.inlining import Inlining
from measurewise.engine.compiler.readers import ChoiceReaders
from measurewise.engine.compiler.retrieval import CodeElement, Kind, Retrieval
from measurewise.engine.compiler.shapes import Shapes
from measurewise.engine.compiler.sharing import Sharing
from measurewise.engine.compiler.unit import Unit, link
from measurewise.engine.compiler.writer import Term, identifier
from measurewise.engine.errors import ContentError, NotFoundError
from measurewise.engine.models.model import Model
from measurewise.engine.models.types import (
    ANY,
    CODE,
    STRING,
    VALUESET,
    ChoiceType,
    DataType,
    IntervalType,
    ListType,
    NamedType,
)

__all__ = ["Assembly", "Definition", "Variant", "chapters"]

FIRST_SLOT = 2
"""Slot 0 holds the record, slot 1 the patient."""


WITHIN = {"interval_in_": "p", "interval_included_in": "i"}
"""What is asked of a parameter's interval, and how the tests of it are told apart by name."""


class Assembly:
    """The state of compiling one program."""

    def __init__(self, libraries: Iterable[elm.Library], model: Model | None = None) -> None:
        self.shapes = Shapes(model)
        self.units = link(list(libraries))
        self.constants = Constants(self)
        self.freedom = Freedom()
        self.sharing = Sharing(self)
        self.inlining = Inlining()
        self.readers = ChoiceReaders(self)
        self.prelude: list[str] = []
        self.functions: list[str] = []
        self.definitions: dict[tuple[Unit, str], Definition] = {}
        self.retrievals: dict[Retrieval, int] = {}
        self.value_sets: dict[tuple[str, str | None], str] = {}
        self.parameters: dict[tuple[Unit, str], Parameter] = {}
        self.slots = FIRST_SLOT
        self._open: list[tuple[Unit, str]] = []
        self._variants: dict[tuple[int, tuple[DataType, ...], tuple[bool, ...]], Variant] = {}
        self._named: dict[str, Term] = {}
        self._within: dict[str, str] = {}
        self._keys: dict[int, Any] = {}
        self._twins: dict[tuple[Any, ...], Definition] = {}
        self._function_count = 0

    # ------------------------------------------------------------------ libraries

    def unit(self, name: str, version: str | None = None) -> Unit:
        """A library by name, and by version where several are there."""
        found = [u for u in self.units.values() if u.name == name and version in (None, u.version)]
        if not found:
            raise NotFoundError(f"There is no library {name}{' ' + version if version else ''}.")
        return found[-1]

    def unit_named(self, unit: Unit, alias: str | None, node: elm.Element) -> Unit:
        """The library that a reference means: an included one by its local name, or the library itself."""
        if alias is None:
            return unit
        found = unit.includes.get(alias)
        if found is None:
            raise ContentError(
                f"It uses the library '{alias}' at {node.locator or 'an unknown place'}, not included.",
                where=f"library {unit.label}",
            )
        return found

    # ---------------------------------------------------------------- definitions

    def definition(
        self, unit: Unit, name: str, node: elm.Element | None = None, em: Any = None
    ) -> Definition:
        """An expression definition, compiled the first time it is asked for."""
        found = self.definitions.get((unit, name))
        if found is not None:
            return found
        if (unit, name) in self._open:
            cycle = [n for u, n in self._open[self._open.index((unit, name)) :]] + [name]
            raise ContentError(
                f"The definition is recursive: {' → '.join(cycle)}.", where=f"library {unit.label}"
            )
        source = unit.definition(name)
        where = f"library {unit.label}, definition '{name}'"
        if source.expression is None:
            raise ContentError("The definition has no expression.", where=where)
        if _is_patient(source.expression):
            kind = self.shapes.named(source.expression.operand.data_type)  # type: ignore[attr-defined]
            found = Definition("", 1, kind, nullable=False, is_patient=True)
            self.definitions[unit, name] = found
            return found
        same = (unit, self.key(source.expression), self.shapes.declared(source))
        twin = self._twins.get(same)
        if twin is not None:
            self.definitions[unit, name] = twin
            return twin
        self._open.append((unit, name))
        slot = self.slot()
        function = f"d{slot}_{identifier(name)}"
        emitter = Emitter(self, unit, where)
        term = self.settled(emitter.expr(source.expression), self.shapes.declared(source))
        emitter.w.emit(f"s[{slot}] = v = {term.text}")
        emitter.w.emit("return v")
        self._open.pop()
        self.function_text(f"def {function}(s):", f"{unit.name}.{name}", emitter)
        found = Definition(function, slot, term.type, term.nullable, term.two_valued, term.solid)
        self.definitions[unit, name] = self._twins[same] = found
        return found

    def settled(self, term: Term, declared: DataType | None) -> Term:
        """A body under its own type, or the declared one where its own says nothing."""
        if declared is None or declared == term.type:
            return term
        if _vague(term.type) or (self.shapes.is_fhir(declared) and self.shapes.is_open(term.type)):
            return self.shapes.coerce(term, declared)
        return term

    def next_number(self) -> int:
        """A number for the name of a function."""
        self._function_count += 1
        return self._function_count

    def slot(self) -> int:
        """A new slot."""
        self.slots += 1
        return self.slots - 1

    def function_text(self, header: str, comment: str, emitter: Emitter) -> None:
        """Add a function to the program: its ``def`` line, a comment above it, the body written so far."""
        self.functions.append(f"# {comment}\n{header}\n{emitter.w.text()}")

    # ------------------------------------------------------------------ functions

    def function(
        self, unit: Unit, node: elm.FunctionRef, arguments: list[Term], em: Emitter
    ) -> tuple[Variant, list[Term]]:
        """The function a reference calls, compiled for these argument types, and the arguments as it takes
        them."""
        source = self.overload(unit, node, arguments, em)
        kinds: list[DataType] = []
        for operand, argument in zip(source.operand, arguments, strict=True):
            declared = self.operand_type(operand)
            narrower = self.shapes.is_open(declared) and not self.shapes.is_open(argument.type)
            kinds.append(argument.type if narrower and not _vague(argument.type) else declared)
        solid = tuple(a.solid for a in arguments)
        variant = self.variant(unit, source, tuple(kinds), solid)
        return variant, [self.shapes.coerce(a, k) for a, k in zip(arguments, variant.operands, strict=True)]

    def variant(
        self,
        unit: Unit,
        source: elm.FunctionDef,
        kinds: tuple[DataType, ...],
        solid: tuple[bool, ...] = (),
    ) -> Variant:
        """A function compiled for operands of these types; ``solid`` tells which are lists without nulls."""
        solid = solid or (False,) * len(kinds)
        found = self._variants.get((id(source), kinds, solid))
        if found is not None:
            return found
        where = f"library {unit.label}, function '{source.name}'"
        name = f"f{self.next_number()}_{identifier(source.name)}"
        declared = self.shapes.declared(source)
        variant = Variant(name, kinds, declared or ANY)
        self._variants[id(source), kinds, solid] = variant
        names = Names()
        arguments = []
        for number, (operand, kind) in enumerate(zip(source.operand, kinds, strict=True)):
            argument = f"a{number}_{identifier(operand.name)}"
            arguments.append(argument)
            names.operands[operand.name] = Term(argument, kind, atomic=True, solid=solid[number])
        emitter = Emitter(self, unit, where, names)
        emitter.repeated = 1
        remembered = self.sharing.remembering(unit, source, kinds, arguments)
        if remembered is not None:
            memo, found_key, kept = remembered
            emitter.w.emit(f"m = s[{memo}]")
            with emitter.w.block("if m is U"):
                emitter.w.emit(f"m = s[{memo}] = {{}}")
            emitter.w.emit(f"k = {found_key}")
            emitter.w.emit("known = m.get(k)")
            with emitter.w.block("if known is not None"):
                emitter.w.emit("return known[0]")
        if source.expression is None or source.external:
            emitter.w.emit(f"raise external_function({unit.label!r}, {source.name!r})")
        else:
            term = self.settled(emitter.expr(source.expression), declared)
            if remembered is not None:
                emitter.w.emit(f"v = {term.text}")
                emitter.w.emit(f"m[k] = (v, {kept})")
                emitter.w.emit("return v")
            else:
                emitter.w.emit(f"return {term.text}")
            variant.type, variant.nullable, variant.solid = term.type, term.nullable, term.solid
        header = f"def {name}({', '.join(['s', *arguments])}):"
        listed = ", ".join(map(str, kinds))
        self.function_text(header, f"{unit.name}.{source.name}({listed})", emitter)
        return variant

    def overload(
        self, unit: Unit, node: elm.FunctionRef, arguments: list[Term], em: Emitter
    ) -> elm.FunctionDef:
        """The overload of a function that fits a call: by its signature where written, else by types."""
        candidates = unit.functions(node.name, len(arguments))
        if not candidates:
            raise em.unsupported(
                node, f"{unit.label} has no function {node.name} of {len(arguments)} operands."
            )
        if len(candidates) == 1:
            return candidates[0]
        if node.signature:
            wanted = [self.shapes.of_specifier(s) for s in node.signature]
            for candidate in candidates:
                if [self.operand_type(o) for o in candidate.operand] == wanted:
                    return candidate
        scored = []
        for order, candidate in enumerate(candidates):
            costs = [
                self._cost(a.type, self.operand_type(o))
                for a, o in zip(arguments, candidate.operand, strict=True)
            ]
            if None not in costs:
                scored.append((sum(c for c in costs if c is not None), order, candidate))
        if not scored:
            kinds = ", ".join(str(a.type) for a in arguments)
            raise em.unsupported(node, f"{unit.label} has no function {node.name}({kinds}).")
        return min(scored, key=lambda s: s[:2])[2]

    def _cost(self, given: DataType, wanted: DataType) -> int | None:
        if given == wanted:
            return 0
        if given == ANY or wanted == ANY:
            return 8
        if self.shapes.model.is_subtype(given, wanted):
            return 2 if isinstance(wanted, ChoiceType) else 1
        if isinstance(given, ChoiceType) and isinstance(wanted, ChoiceType):
            return 5 if set(given.choices) & set(wanted.choices) else None
        if isinstance(given, ChoiceType):
            return 6 if any(self.shapes.model.is_subtype(m, wanted) for m in given.choices) else None
        if isinstance(given, ListType) and isinstance(wanted, ListType):
            return self._cost(given.element, wanted.element)
        if isinstance(given, IntervalType) and isinstance(wanted, IntervalType):
            return self._cost(given.point, wanted.point)
        return None

    def operand_type(self, operand: elm.OperandDef) -> DataType:
        """The declared type of an operand."""
        if operand.operand_type_specifier is not None:
            return self.shapes.of_specifier(operand.operand_type_specifier)
        if operand.operand_type is not None:
            return self.shapes.named(operand.operand_type)
        return ANY

    # ------------------------------------------------------------ constants, sets

    def constant(self, text: str, kind: DataType, origin: Any = None) -> Term:
        """A value spelled out by the CQL text, made once for the program."""
        found = self._named.get(text)
        if found is None:
            name = f"C{len(self._named) + 1}"
            self.prelude.append(f"{name} = {text}")
            found = self._named[text] = Term(name, kind, atomic=True, nullable=False, origin=origin)
        return replace(found, type=kind, origin=origin or found.origin)

    def code_set(self, codes: tuple[tuple[str | None, str], ...]) -> str:
        """The name of a frozenset of (system, code)."""
        return self.constant(f"frozenset({sorted(codes, key=repr)!r})", ANY).text

    def name_set(self, names: list[str]) -> str:
        """The name of a frozenset of type names."""
        return self.constant(f"frozenset({sorted(names)!r})", ANY).text

    def forms(self, forms: tuple[tuple[str, NamedType], ...]) -> str:
        """The name of a table from JSON property to type name for a choice element."""
        table = {name: kind.name for name, kind in forms}
        return self.constant(repr(table), ANY).text

    def literal_set(self, node: elm.Expression) -> str | None:
        """The name of a frozenset for a list of String or Integer literals, or None for any other list."""
        if not isinstance(node, elm.List) or not node.element:
            return None
        values = []
        for element in node.element:
            if not isinstance(element, elm.Literal) or element.value is None:
                return None
            kind = self.shapes.named(element.value_type)
            if kind == STRING:
                values.append(repr(element.value))
            elif kind.name == "Integer":
                values.append(str(int(element.value)))
            else:
                return None
        return self.constant(f"frozenset([{', '.join(sorted(set(values)))}])", ANY).text

    def parameter(self, unit: Unit, name: str, node: elm.Element) -> Term:
        """The global that holds a parameter's value."""
        found = self.parameters.get((unit, name))
        if found is None:
            source = unit.parameter(name)
            kind: DataType = ANY
            if source.parameter_type_specifier is not None:
                kind = self.shapes.of_specifier(source.parameter_type_specifier)
            elif source.parameter_type is not None:
                kind = self.shapes.named(source.parameter_type)
            elif source.default is not None:
                kind = self.shapes.declared(source.default) or ANY
            default = None
            em = Emitter(self, unit, f"library {unit.label}, parameter '{name}'")
            value = None
            if source.default is not None:
                # A default is settled before run constants are, so it must not lean on them.
                with self.constants.inline():
                    value = em.expr(source.default)
            variable = f"P{len(self.parameters) + 1}"
            if value is not None:
                default = f"default_{variable}"
                em.w.emit(f"return {value.text}")
                self.prelude.insert(0, f"def {default}():\n{em.w.text()}")
                kind = value.type if kind == ANY else kind
            found = Parameter(unit.name, name, variable, kind, default)
            self.parameters[unit, name] = found
        return Term(found.variable, found.type, atomic=True)

    def held_to(self, period: Term, name: str, precision: int | None) -> str | None:
        """The global that holds times to a parameter's interval (``during day of "Measurement Period"``)."""
        if name not in WITHIN or all(period.text != p.variable for p in self.parameters.values()):
            return None
        made = f"within_tests({period.text}, {precision})"
        if made not in self._within:
            name_of = self._within[made] = f"W{len(self._within) + 1}"
            self.prelude.append(f"{name_of}p, {name_of}i = {made}")
        return f"{self._within[made]}{WITHIN[name]}"

    # -------------------------------------------------------- retrieves, terminology

    def retrieve(self, retrieval: Retrieval) -> tuple[int, str]:
        """The slot and function of a retrieve, shared by all that ask the same."""
        slot = self.retrievals.get(retrieval)
        if slot is None:
            slot = self.retrievals[retrieval] = self.slot()
        return slot, f"R{slot}"

    def value_set_identity(self, unit: Unit, node: elm.ValueSetRef) -> tuple[str, str | None]:
        """The canonical URL and version that a reference names."""
        found = self.unit_named(unit, node.library_name, node).value_set(node.name)
        url, bar, version = found.id.partition("|")
        return url, found.version or (version if bar else None)

    def members(self, unit: Unit, node: elm.ValueSetRef) -> str:
        """The global that holds a value set's (system, code) pairs."""
        identity = self.value_set_identity(unit, node)
        return self.value_sets.setdefault(identity, f"V{len(self.value_sets) + 1}")

    def value_set(self, unit: Unit, node: elm.ValueSetRef) -> Term:
        """A value set as a value: a reference since CQL 1.5 (``preserve``), its codes before."""
        url, version = self.value_set_identity(unit, node)
        term = self.constant(f"ValueSet({url!r}, {version!r}, {node.name!r})", VALUESET)
        if node.preserve:
            return term
        return Term(f"expand_value_set({term.text}, VALUE_SETS)", ListType(CODE))

    def code_elements(self, kind: NamedType, path: str) -> tuple[CodeElement, ...]:
        """The JSON properties behind a code path and how codes stand in them."""
        model = self.shapes.model
        forms: Iterable[tuple[str, DataType]] = model.choice_properties(kind, path)
        if not forms:
            element = model.element_type(kind, path)
            if element is None:
                raise ContentError(f"{kind} has no element '{path}' to retrieve by.")
            forms = ((path, element),)
        found = []
        for name, form in forms:
            repeats = isinstance(form, ListType)
            inner = form.element if isinstance(form, ListType) else form
            how = self._coded(inner)
            if how is not None:
                found.append(CodeElement(name, how, repeats))
        return tuple(found)

    def _coded(self, kind: DataType) -> Kind | None:
        if kind == NamedType("FHIR", "CodeableConcept"):
            return "CodeableConcept"
        if kind == NamedType("FHIR", "Coding"):
            return "Coding"
        return "code" if self.shapes.primitive(kind) == STRING else None

    def context_paths(self, kind: NamedType) -> tuple[str, ...]:
        """The elements by which resources of a type refer to their patient."""
        names = ("patient", "subject", "beneficiary", "individual", "actor", "member", "for")
        return tuple(n for n in names if self.shapes.model.element_type(kind, n) is not None)

    def resource_names(self, kind: NamedType) -> list[str]:
        """The names of a class and of all classes based on it."""
        model = self.shapes.model
        return [
            name
            for name in model.class_names()
            if name == kind.name or model.is_subtype(NamedType(kind.model, name), kind)
        ]

    def element_names(self, kind: NamedType) -> list[str]:
        """As :meth:`resource_names`, for elements."""
        return self.resource_names(kind)

    # ------------------------------------------------------------------------ keys

    def key(self, node: elm.Expression) -> Any:
        """A hashable that two nodes share when they say the same thing."""
        found = self._keys.get(id(node))
        if found is None:
            found = self._keys[id(node)] = elm.structure_key(node)
        return found


def _is_patient(node: elm.Expression) -> bool:
    return (
        isinstance(node, elm.SingletonFrom)
        and isinstance(node.operand, elm.Retrieve)
        and node.operand.data_type.endswith("}Patient")
        and node.operand.codes is None
        and not node.operand.code_filter
    )


def _vague(kind: DataType) -> bool:
    if kind == ANY:
        return True
    if isinstance(kind, ListType):
        return _vague(kind.element)
    return isinstance(kind, IntervalType) and _vague(kind.point)
