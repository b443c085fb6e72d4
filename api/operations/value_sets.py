"""``ValueSet/$expand`` and ``ValueSet/$validate-code`` (FHIR R4), over the content.

https://hl7.org/fhir/R4/valueset-operation-expand.html,
https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from measurewise.api.fhir.arguments import Declared, missing, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.engine.runtime.values import Code
from measurewise.engine.terminology.value_sets import ValueSetIndex
from measurewise.store.resources import read

_MOST: Final = 50_000

_EXPAND: Final = (
    Declared("url", "uri", "The value set's canonical URL, with |version where wanted."),
    Declared("valueSetVersion", "string", "The value set's version."),
    Declared("valueSet", "ValueSet", "A value set in the request itself."),
    Declared("filter", "string", "Only codes whose code or display has this text."),
    Declared("count", "integer", "How many codes at most."),
    Declared("offset", "integer", "How many codes to pass over first."),
    Declared("includeDesignations", "boolean", "Only false is honoured.", codes=("false",)),
    Declared("activeOnly", "boolean", "Only false is honoured.", codes=("false",)),
)
_VALIDATE: Final = (
    Declared("url", "uri", "The value set's canonical URL, with |version where wanted."),
    Declared("valueSetVersion", "string", "The value set's version."),
    Declared("code", "code", "The code; with system."),
    Declared("system", "uri", "The code's system."),
    Declared("display", "string", "A display, which must be the code's own where the value set has one."),
    Declared("coding", "Coding", "The code and system as a Coding."),
    Declared("codeableConcept", "CodeableConcept", "Codes of which one must be a member."),
)


def expand(call: Call) -> Reply:
    """The value set with its expansion. Raises NotFoundError and ContentError."""
    arguments = call.arguments
    index, url, version = _value_set(call)
    codes = index.codes(url, version)
    text = arguments.text("filter")
    if text is not None:
        folded = text.casefold()
        codes = [
            c for c in codes if folded in (c.display or "").casefold() or folded in (c.code or "").casefold()
        ]
    offset, count = arguments.one("offset") or 0, arguments.one("count")
    for name, number in (("offset", offset), ("count", count)):
        if number is not None and number < 0:
            raise refused(name, "is less than 0")
    shown = codes[offset : offset + min(_MOST if count is None else count, _MOST)]
    identity = index.expansion_identity(url, version)
    expansion: dict[str, Any] = {
        "identifier": identity.identifier or f"{identity.url}|{identity.version or ''}",
        "timestamp": identity.timestamp or datetime.now(UTC).isoformat(timespec="seconds"),
        "total": len(codes),
        "offset": offset,
        "contains": [_contained(code) for code in shown],
    }
    if not shown:
        del expansion["contains"]
    found = {key: value for key, value in index.get(url, version).items() if key != "expansion"}
    return Reply({**found, "expansion": expansion}, touched=(f"ValueSet/{found.get('id', url)}",))


def validate_code(call: Call) -> Reply:
    """Parameters with ``result``; ``message`` says why not. Raises NotFoundError and ContentError."""
    arguments = call.arguments
    index, url, version = _value_set(call)
    asked = _asked(call)
    members = {(c.system, c.code): c for c in index.codes(url, version)}
    for coding in asked:
        member = members.get((coding.get("system"), coding.get("code")))
        if member is not None:
            display = coding.get("display")
            if display and member.display and display.casefold() != member.display.casefold():
                message = f"The display of {member.code} is '{member.display}', not '{display}'."
                return _verdict(False, message)
            parameters: list[dict[str, Any]] = [{"name": "result", "valueBoolean": True}]
            if member.display:
                parameters.append({"name": "display", "valueString": member.display})
            return Reply({"resourceType": "Parameters", "parameter": parameters})
    named = ", ".join(f"{coding.get('system')}|{coding.get('code')}" for coding in asked)
    message = f"The value set {url} does not have {named}."
    if arguments.text("code") and not arguments.text("system"):
        message += " A code without its system is never a member."
    return _verdict(False, message)


def _verdict(result: bool, message: str) -> Reply:
    parameters = [{"name": "result", "valueBoolean": result}, {"name": "message", "valueString": message}]
    return Reply({"resourceType": "Parameters", "parameter": parameters})


def _asked(call: Call) -> list[dict[str, Any]]:
    arguments = call.arguments
    given = [name for name in ("code", "coding", "codeableConcept") if name in arguments]
    if len(given) != 1:
        raise missing("code", "Give one of code (with system), coding and codeableConcept.")
    match given[0]:
        case "code":
            named = {name: arguments.text(name) for name in ("system", "code", "display")}
            return [named]
        case "coding":
            codings = [arguments.one("coding")]
        case _:
            codings = arguments.one("codeableConcept").get("coding") or []
    parts = ("system", "code", "display")
    if not isinstance(codings, list) or not all(
        isinstance(coding, dict) and all(isinstance(coding.get(part, ""), str) for part in parts)
        for coding in codings
    ):
        raise refused(given[0], "has codings that are not of the shape of FHIR")
    return codings


def _value_set(call: Call) -> tuple[ValueSetIndex, str, str | None]:
    """The index that has the value set, its URL and version."""
    arguments = call.arguments
    identity, url, version = call.target[1], arguments.text("url"), arguments.text("valueSetVersion")
    resource = arguments.one("valueSet")
    if sum(given is not None for given in (identity, url, resource)) != 1:
        raise missing("url", "Name one value set: by url, by id in the address, or as valueSet.")
    if resource is not None:
        named = {"url": "urn:uuid:request", **resource}
        content = call.services.catalog.content
        return ValueSetIndex([*content.value_sets, *content.code_systems, named]), named["url"], None
    if identity is not None:
        with call.services.database.read() as connection:
            stored = read(connection, call.access, "ValueSet", identity).parsed()
        url, version = str(stored.get("url", "")), stored.get("version")
    return call.services.catalog.value_sets, str(url), version


def _contained(code: Code) -> dict[str, Any]:
    written = {"system": code.system, "version": code.version, "code": code.code, "display": code.display}
    return {name: value for name, value in written.items() if value is not None}


OPERATIONS: Final = (
    Operation(
        "expand",
        "Expand a value set",
        "ValueSet",
        ("type", "instance"),
        _EXPAND,
        expand,
        definition="http://hl7.org/fhir/OperationDefinition/ValueSet-expand",
    ),
    Operation(
        "validate-code",
        "Whether a code is in a value set",
        "ValueSet",
        ("type", "instance"),
        _VALIDATE,
        validate_code,
        definition="http://hl7.org/fhir/OperationDefinition/ValueSet-validate-code",
    ),
)
