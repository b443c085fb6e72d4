"""ELM written by hand, and what the compiler makes of it for a patient."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from measurewise.engine import elm
from measurewise.engine.compiler.program import PatientEvaluation, Program, Run, compile_program
from measurewise.engine.record.record import Record
from measurewise.engine.runtime.datetime_parsing import parse_datetime
from measurewise.engine.runtime.values import Interval

Json = dict[str, Any]

SYSTEM = "{urn:hl7-org:elm-types:r1}"
FHIR = "{http://hl7.org/fhir}"
NAME = "Given"
PATIENT: Json = {"resourceType": "Patient", "id": "p1", "birthDate": "1980-02-29", "gender": "female"}


# ------------------------------------------------------------------------------------ nodes


def node(kind: str, *operands: Any, **attributes: Any) -> Json:
    """A node; one positional operand is ``operand``, several are its list."""
    found: Json = {"type": kind}
    if len(operands) == 1:
        found["operand"] = operands[0]
    elif operands:
        found["operand"] = list(operands)
    return found | attributes


def of(value: Any) -> Json:
    """A Python value as a literal, None as a null, a list as a list of literals; a node as it is."""
    if isinstance(value, dict):
        return value
    if value is None:
        return node("Null")
    if isinstance(value, list):
        return node("List", element=[of(item) for item in value])
    kind = {bool: "Boolean", int: "Integer", str: "String"}[type(value)]
    text = str(value).lower() if kind == "Boolean" else str(value)
    return node("Literal", valueType=SYSTEM + kind, value=text)


def op(kind: str, *operands: Any, **attributes: Any) -> Json:
    """An operator over literals or nodes."""
    return node(kind, *(of(operand) for operand in operands), **attributes)


def binary(kind: str, a: Any, b: Any, **attributes: Any) -> Json:
    return node(kind, of(a), of(b), **attributes)


def nary(kind: str, *operands: Any) -> Json:
    return {"type": kind, "operand": [of(operand) for operand in operands]}


def decimal(text: str) -> Json:
    return node("Literal", valueType=SYSTEM + "Decimal", value=text)


def datetime(*parts: int, zone: str | None = None) -> Json:
    names = ("year", "month", "day", "hour", "minute", "second", "millisecond")
    found = node("DateTime", **{name: of(part) for name, part in zip(names, parts, strict=False)})
    if zone is not None:
        found["timezoneOffset"] = decimal(zone)
    return found


def interval(low: Any, high: Any, low_closed: bool = True, high_closed: bool = True) -> Json:
    return node("Interval", low=of(low), high=of(high), lowClosed=low_closed, highClosed=high_closed)


def alias(name: str) -> Json:
    return node("AliasRef", name=name)


def let(name: str) -> Json:
    return node("QueryLetRef", name=name)


def operand(name: str) -> Json:
    return node("OperandRef", name=name)


def ref(name: str, library: str | None = None) -> Json:
    return _named("ExpressionRef", name, library)


def parameter(name: str, library: str | None = None) -> Json:
    return _named("ParameterRef", name, library)


def code(name: str) -> Json:
    return node("CodeRef", name=name)


def value_set(name: str) -> Json:
    return node("ValueSetRef", name=name, preserve=True)


def call(name: str, *operands: Any, library: str | None = None, **more: Any) -> Json:
    return _named("FunctionRef", name, library) | {"operand": [of(o) for o in operands]} | more


def _named(kind: str, name: str, library: str | None) -> Json:
    found = node(kind, name=name)
    return found if library is None else found | {"libraryName": library}


def property_of(source: str | Json, path: str) -> Json:
    """The element of an alias (by name) or of a node."""
    if isinstance(source, str):
        return node("Property", path=path, scope=source)
    return node("Property", path=path, source=source)


def text_of(source: str | Json, path: str) -> Json:
    """The System value of a primitive element."""
    return property_of(property_of(source, path), "value")


def period_of(source: str | Json, path: str = "period") -> Json:
    """A Period as an interval, written out as FHIRHelpers has it."""
    at = property_of(source, path)
    return node(
        "If",
        condition=op("IsNull", at),
        then=node("Null"),
        **{"else": interval(text_of(at, "start"), text_of(at, "end"))},
    )


def retrieve(kind: str, **attributes: Any) -> Json:
    return node("Retrieve", dataType=FHIR + kind, **attributes)


def coded(kind: str, name: str, path: str = "code", comparator: str = "in") -> Json:
    """``[kind: path in "name"]``."""
    return retrieve(kind, codes=value_set(name), codeProperty=path, codeComparator=comparator)


def source(name: str, expression: Any) -> Json:
    return {"alias": name, "expression": of(expression)}


def query(
    *sources: tuple[str, Any],
    let: Mapping[str, Any] | None = None,
    relationship: Iterable[Json] = (),
    where: Json | None = None,
    returning: Any = ...,
    distinct: bool = True,
    aggregate: Json | None = None,
    sort: Iterable[Json] | None = None,
) -> Json:
    found = node("Query", source=[source(*s) for s in sources], relationship=list(relationship))
    found["let"] = [{"identifier": n, "expression": of(e)} for n, e in (let or {}).items()]
    if where is not None:
        found["where"] = where
    if returning is not ...:
        found["return"] = {"expression": of(returning), "distinct": distinct}
    if aggregate is not None:
        found["aggregate"] = aggregate
    if sort is not None:
        found["sort"] = {"by": list(sort)}
    return found


def related(kind: str, name: str, expression: Json, such_that: Json) -> Json:
    """A ``With`` or ``Without`` clause."""
    return source(name, expression) | {"type": kind, "suchThat": such_that}


def if_(condition: Any, then: Any, otherwise: Any) -> Json:
    return node("If", condition=of(condition), then=of(then), **{"else": of(otherwise)})


def case(*items: tuple[Any, Any], otherwise: Any = None, comparand: Any = ...) -> Json:
    found = node("Case", caseItem=[{"when": of(w), "then": of(t)} for w, t in items])
    found["else"] = of(otherwise)
    return found if comparand is ... else found | {"comparand": of(comparand)}


def message(value: Any, severity: str, text: str, condition: Any = True) -> Json:
    return node(
        "Message",
        source=of(value),
        condition=of(condition),
        severity=of(severity),
        message=of(text),
        code=of("code"),
    )


def boom(text: str = "it was evaluated") -> Json:
    """A Boolean whose evaluation raises."""
    return message(True, "Error", text)


def seen(value: Any, text: str) -> Json:
    """A value whose evaluation is noted as a trace."""
    return message(value, "Trace", text)


def named_type(name: str) -> Json:
    return {"type": "NamedTypeSpecifier", "name": name if name.startswith("{") else SYSTEM + name}


def list_type(element: Json) -> Json:
    return {"type": "ListTypeSpecifier", "elementType": element}


def choice_type(*choices: Json) -> Json:
    return {"type": "ChoiceTypeSpecifier", "choice": list(choices)}


def function(name: str, operands: Mapping[str, Json], body: Json | None, **more: Any) -> Json:
    found: Json = {"type": "FunctionDef", "name": name, "context": "Patient", "accessLevel": "Public"}
    found["operand"] = [{"name": n, "operandTypeSpecifier": t} for n, t in operands.items()]
    return found | ({} if body is None else {"expression": body}) | more


# ------------------------------------------------------------------------------------ libraries

PATIENT_DEFINITION: Json = {
    "name": "Patient",
    "context": "Patient",
    "expression": node("SingletonFrom", retrieve("Patient")),
}


def library(
    definitions: Mapping[str, Any] | None = None,
    *,
    name: str = NAME,
    version: str | None = "1",
    functions: Iterable[Json] = (),
    includes: Mapping[str, tuple[str, str | None]] | None = None,
    parameters: Iterable[Json] = (),
    value_sets: Mapping[str, str] | None = None,
    codes: Mapping[str, tuple[str, str]] | None = None,
) -> elm.Library:
    """A library of some definitions; ``codes`` maps names to (system, code)."""
    codes = codes or {}
    systems = sorted({system for system, _ in codes.values()})
    identifier = {"id": name} | ({"version": version} if version else {})
    document: Json = {
        "identifier": identifier,
        "schemaIdentifier": {"id": "urn:hl7-org:elm", "version": "r1"},
        "usings": {"def": [{"localIdentifier": "FHIR", "uri": "http://hl7.org/fhir", "version": "4.0.1"}]},
        "includes": {
            "def": [
                {"localIdentifier": local, "path": path} | ({"version": v} if v else {})
                for local, (path, v) in (includes or {}).items()
            ]
        },
        "parameters": {"def": list(parameters)},
        "codeSystems": {"def": [{"name": s, "id": s} for s in systems]},
        "codes": {"def": [{"name": n, "id": c, "codeSystem": {"name": s}} for n, (s, c) in codes.items()]},
        "valueSets": {"def": [{"name": n, "id": url} for n, url in (value_sets or {}).items()]},
        "statements": {
            "def": [
                PATIENT_DEFINITION,
                *functions,
                *(
                    {"name": n, "context": "Patient", "accessLevel": "Public", "expression": of(e)}
                    for n, e in (definitions or {}).items()
                ),
            ]
        },
    }
    return elm.read_library({"library": document})


def fhir_helpers(*, start_unknown: bool = True) -> elm.Library:
    """As much of FHIRHelpers as tests need; its releases differ in what a Period without start means."""
    period = operand("period")
    whole = interval(text_of(period, "start"), text_of(period, "end"))
    opened = interval(text_of(period, "start"), text_of(period, "end"), low_closed=False)
    no_start = op("IsNull", text_of(period, "start"))
    known = if_(op("IsNull", period), None, if_(no_start, opened, whole) if start_unknown else whole)
    concept = named_type(FHIR + "CodeableConcept")
    return library(
        name="FHIRHelpers",
        version="4.0.1",
        functions=[
            function("ToInterval", {"period": named_type(FHIR + "Period")}, known),
            # The compiler has this conversion built in; its body is not read.
            function("ToConcept", {"concept": concept}, node("Concept", code=[])),
        ],
    )


def to_interval(period: Json) -> Json:
    return call("ToInterval", period, library="FHIRHelpers")


HELPERS = {"FHIRHelpers": ("FHIRHelpers", "4.0.1")}


class ValueSets:
    """Value sets by their URL, as sets of (system, code)."""

    def __init__(self, **members: set[tuple[str | None, str]]) -> None:
        self._members = {url: frozenset(codes) for url, codes in members.items()}

    def members(self, url: str, version: str | None = None) -> Any:
        return self._members[url]


class Everything:
    """Profiles that any resource of the type meets."""

    def predicate(self, template: str, resource_type: str) -> Callable[[Any], bool] | None:
        return None


NOW = "2026-12-31T23:59:59.999Z"
YEAR_2026 = Interval(
    parse_datetime("2026-01-01T00:00:00.000Z", 0),
    parse_datetime("2026-12-31T23:59:59.999Z", 0),
    True,
    True,
    "DateTime",
)


def compiled(*libraries: elm.Library, root: tuple[str, str | None] | None = None) -> Program:
    own = libraries[0].identifier
    return compile_program(libraries, {root or (own.id or "", own.version): None})


def bound(
    program: Program,
    *,
    value_sets: Any = None,
    profiles: Any = None,
    parameters: Mapping[str, Any] | None = None,
    messages: Any = None,
    zone: int = 0,
) -> Run:
    now = parse_datetime(NOW, 0)
    assert now is not None
    return program.bind(
        parameters or {},
        value_sets or ValueSets(),
        profiles or Everything(),
        now=now,
        zone=zone,
        messages=messages,
    )


def patient(run: Run, *resources: Json, of_patient: Json | None = None) -> PatientEvaluation:
    return run.patient(Record([of_patient or PATIENT, *resources]))


def evaluated(expression: Any, *resources: Json, functions: Iterable[Json] = (), **more: Any) -> Any:
    """The value of one expression for a patient with some resources."""
    keep = {k: more.pop(k) for k in ("value_sets", "codes", "parameter_definitions") if k in more}
    lib = library(
        {"X": expression},
        functions=functions,
        value_sets=keep.get("value_sets"),
        codes=keep.get("codes"),
        parameters=keep.get("parameter_definitions", ()),
    )
    members = more.pop("members", None)
    if members is not None:
        more["value_sets"] = ValueSets(**members)
    return patient(bound(compiled(lib), **more), *resources).value(NAME, "X")


def traces(expression: Any, *resources: Json, **more: Any) -> tuple[Any, list[str]]:
    """A value, and the texts of the messages that evaluating it gave."""
    told: list[str] = []
    value = evaluated(expression, *resources, messages=lambda s, c, text, v: told.append(text), **more)
    return value, told
