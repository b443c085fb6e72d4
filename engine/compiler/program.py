"""Programs and runs: from libraries to the value of a definition for one patient.

>>> program = compile_program(libraries, {("MyMeasure", None): None})   # once
>>> run = program.bind({"Measurement Period": period}, value_sets)      # once a period
>>> run.patient(record).value("MyMeasure", "Initial Population")        # once a patient
"""

from __future__ import annotations

import builtins
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from measurewise.engine import elm
from measurewise.engine.compiler.assembly import Assembly
from measurewise.engine.compiler.planner import ProfileMatching, Terminology, plan
from measurewise.engine.compiler.retrieval import Retrieval
from measurewise.engine.compiler.runtime_names import NAMES, U, date_filter
from measurewise.engine.errors import ContentError, EvaluationError, NotFoundError
from measurewise.engine.models.model import Model
from measurewise.engine.record.record import Record
from measurewise.engine.runtime.fhir import boxed_value_reader, datetime_reader, period_reader
from measurewise.engine.runtime.messages import MessageSink
from measurewise.engine.runtime.temporal import DateTime


@dataclass(frozen=True, slots=True)
class ParameterSlot:
    """A parameter as generated code names it."""

    library: str
    name: str
    variable: str
    default: str | None


@dataclass(frozen=True, slots=True)
class ProgramTables:
    """What a program needs besides its code; plain data, so that it can be kept in the code cache."""

    slots: int
    definitions: dict[tuple[str, str | None, str], tuple[int, str]]
    functions: dict[tuple[str, str | None, str, int], str]
    parameters: tuple[ParameterSlot, ...]
    retrievals: dict[Retrieval, int]
    value_sets: dict[tuple[str, str | None], str]
    libraries: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class Program:
    """Compiled libraries: ``source`` is the Python text that runs (``measurewise compile --show``)."""

    source: str
    code: CodeType = field(repr=False)
    tables: ProgramTables = field(repr=False)

    def bind(
        self,
        parameters: Mapping[str, Any],
        terminology: Terminology,
        profiles: ProfileMatching,
        *,
        now: DateTime,
        zone: int = 0,
        messages: MessageSink | None = None,
    ) -> Run:
        """The program for one set of parameters.

        ``parameters`` are CQL values by name, or by ``Library.Name`` where libraries differ; ``zone`` is the
        evaluation request's offset in minutes. Raises NotFoundError for a value set that nothing holds.
        """
        return Run(self, parameters, terminology, profiles, now=now, zone=zone, messages=messages)


class Run:
    """A program bound to parameters, value sets and a moment; evaluates any number of patients."""

    def __init__(
        self,
        program: Program,
        parameters: Mapping[str, Any],
        terminology: Terminology,
        profiles: ProfileMatching,
        *,
        now: DateTime,
        zone: int,
        messages: MessageSink | None,
    ) -> None:
        tables = program.tables
        self.program = program
        read_datetime = datetime_reader(zone)
        names: dict[str, Any] = dict(NAMES)
        names["__builtins__"] = builtins.__dict__
        names.update(
            NOW=now,
            ZONE=zone,
            MESSAGES=messages,
            VALUE_SETS=terminology,
            read_datetime=read_datetime,
            boxed_value=boxed_value_reader(read_datetime),
            read_period=period_reader(read_datetime, True),
            read_closed_period=period_reader(read_datetime, False),
        )
        names["with_dates"] = date_filter(read_datetime, names["read_period"])
        for (url, version), variable in tables.value_sets.items():
            names[variable] = terminology.members(url, version)
        functions, self._slots = plan(tables.retrievals, tables.slots, terminology, profiles)
        names.update(functions)
        defaults: list[ParameterSlot] = []
        for parameter in tables.parameters:
            qualified = f"{parameter.library}.{parameter.name}"
            if qualified in parameters:
                names[parameter.variable] = parameters[qualified]
            elif parameter.name in parameters:
                names[parameter.variable] = parameters[parameter.name]
            else:
                names[parameter.variable] = None
                if parameter.default is not None:
                    defaults.append(parameter)
        names["DEFAULTS"] = frozenset(p.variable for p in defaults)
        failed: dict[str, EvaluationError] = {}
        names.update(FAILED=failed, EvaluationError=EvaluationError)
        exec(program.code, names)  # noqa: S102  the compiler's own output
        if failed:
            _raise_where_used(names, failed)
        self._names = names
        self._blank: list[Any] = [U] * self._slots
        self._entries = {
            key: (slot, names[function] if function else None)
            for key, (slot, function) in tables.definitions.items()
        }
        self._by_name: dict[tuple[str, str], tuple[int, Any]] = {}
        for (library, version, name), entry in self._entries.items():
            self._by_name[library, name] = entry
            self._by_name[f"{library}|{version}", name] = entry
        self._functions: dict[tuple[str, str, int], Any] = {}
        for (library, version, name, arity), function in tables.functions.items():
            self._functions[library, name, arity] = names[function]
            self._functions[f"{library}|{version}", name, arity] = names[function]

    def patient(self, record: Record) -> PatientEvaluation:
        """The lazily evaluated definitions of one patient."""
        return PatientEvaluation(self, record)

    def entry(self, library: str, name: str) -> tuple[int, Any]:
        """The slot and function of a definition, for callers that evaluate the same ones for many
        patients."""
        try:
            return self._by_name[library, name]
        except KeyError:
            raise NotFoundError(f"There is no definition '{name}'.", where=f"library {library}") from None


def _raise_where_used(names: dict[str, Any], failed: Mapping[str, EvaluationError]) -> None:
    """Let the functions that use a run constant which could not be computed raise its error."""

    def raiser(error: EvaluationError) -> Callable[..., Any]:
        def fail(*_: Any) -> Any:
            raise error

        return fail

    for name, function in list(names.items()):
        code = getattr(function, "__code__", None)
        for constant in failed.keys() & set(code.co_names if code is not None else ()):
            names[name] = raiser(failed[constant])


class PatientEvaluation:
    """One patient under one run. A definition is evaluated at most once."""

    __slots__ = ("_run", "slots")

    def __init__(self, run: Run, record: Record) -> None:
        self._run = run
        self.slots = slots = run._blank.copy()
        slots[0] = record
        slots[1] = record.patient

    def value(self, library: str, name: str) -> Any:
        """The value of a definition of the library ``Name`` (or ``Name|version``).

        Raises NotFoundError, or EvaluationError as the CQL does.
        """
        slot, function = self._run.entry(library, name)
        value = self.slots[slot]
        return function(self.slots) if value is U else value

    def has(self, library: str, name: str) -> bool:
        """Whether there is a definition of this name."""
        return (library, name) in self._run._by_name

    def call(self, library: str, name: str, *arguments: Any) -> Any:
        """The value of a function of a library."""
        function = self._run._functions.get((library, name, len(arguments)))
        if function is None:
            raise NotFoundError(
                f"There is no function '{name}' of {len(arguments)} operands.", where=f"library {library}"
            )
        return function(self.slots, *arguments)

    def required_resources(self) -> Iterator[dict[str, Any]]:
        """The resources that the program's retrieves ask for, each once, whether or not the logic comes to
        them."""
        for slot in self._run.program.tables.retrievals.values():
            if self.slots[slot] is U:
                self._run._names[f"R{slot}"](self.slots)
        return self.evaluated_resources()

    def evaluated_resources(self) -> Iterator[dict[str, Any]]:
        """The resources that retrieves have given so far, each once."""
        seen: set[int] = set()
        for slot in self._run.program.tables.retrievals.values():
            found = self.slots[slot]
            if found is U:
                continue
            for resource in found:
                if id(resource) not in seen:
                    seen.add(id(resource))
                    yield resource


def compile_program(
    libraries: Iterable[elm.Library],
    roots: Mapping[tuple[str, str | None], Iterable[str] | None],
    *,
    model: Model | None = None,
) -> Program:
    """Compile what some libraries define, with all they reach.

    ``libraries`` is a closed set (every include is in it). ``roots`` maps name and version of each library
    whose definitions will be asked for to the names of these expressions and functions; None stands for
    all. Raises ContentError naming library, definition and place for what cannot be compiled.
    """
    assembly = Assembly(libraries, model)
    functions: dict[tuple[str, str | None, str, int], str] = {}
    for (name, version), definitions in roots.items():
        wanted = None if definitions is None else set(definitions)
        unit = assembly.unit(name, version)
        for definition in unit.definition_names():
            if wanted is None or definition in wanted:
                assembly.definition(unit, definition)
        for function in unit.function_names():
            if wanted is not None and function not in wanted:
                continue
            for overload in unit.functions(function):
                if overload.expression is None:
                    continue
                kinds = tuple(assembly.operand_type(o) for o in overload.operand)
                variant = assembly.variant(unit, overload, kinds)
                functions.setdefault((unit.name, unit.version, function, len(kinds)), variant.function)
    return _program(assembly, functions)


def _program(assembly: Assembly, functions: dict[tuple[str, str | None, str, int], str]) -> Program:
    parameters = tuple(
        ParameterSlot(p.library, p.name, p.variable, p.default) for p in assembly.parameters.values()
    )
    settle = [
        f"if {p.variable!r} in DEFAULTS:\n    {p.variable} = {p.default}()"
        for p in parameters
        if p.default is not None
    ]
    defaults = [line for line in assembly.prelude if line.startswith("def default_")]
    others = [line for line in assembly.prelude if not line.startswith("def default_")]
    constants = [line for line in others if line.startswith("C")]
    run_constants = [line for line in others if not line.startswith("C")]
    source = "\n\n".join(
        part
        for part in (
            "\n".join(constants),
            *defaults,
            "\n".join(settle),
            *assembly.functions,
            "\n".join(run_constants),
        )
        if part
    )
    names = ", ".join(u.name for u in assembly.units.values())
    with warnings.catch_warnings():
        # A literal tested for null reads oddly and runs rightly.
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            code = compile(source + "\n", f"<measurewise {names[:80]}>", "exec")
        except (SyntaxError, RecursionError, MemoryError) as error:
            # The writer's text is well-formed; Python has limits of its own to nesting.
            raise ContentError(
                f"A definition is too deeply nested to run ({error}).",
                where=names[:80],
                mend="Split it into several definitions.",
            ) from error
    tables = ProgramTables(
        slots=assembly.slots,
        definitions={
            (unit.name, unit.version, name): (d.slot, d.function)
            for (unit, name), d in assembly.definitions.items()
        },
        functions=functions,
        parameters=parameters,
        retrievals=dict(assembly.retrievals),
        value_sets=dict(assembly.value_sets),
        libraries=tuple(assembly.units),
    )
    return Program(source, code, tables)


__all__ = ["PatientEvaluation", "Program", "Run", "compile_program"]
