"""Comparing two ELM libraries node for node, and saying where they first differ.

Left out of the comparison, because nothing hangs on them: local ids, locators, annotations, result types, the
order of definitions, signatures where only one side has them, and values equal to the schema's default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_INCIDENTAL = frozenset(
    {"localId", "locator", "annotation", "resultTypeName", "resultTypeSpecifier", "schemaIdentifier"}
)
_DEFAULTS: dict[str, Any] = {
    "strict": False,
    "preserve": False,
    "accessLevel": "Public",
    "external": False,
    "fluent": False,
}
_SECTIONS = ("usings", "includes", "parameters", "codeSystems", "valueSets", "codes", "concepts", "contexts")


class Difference(NamedTuple):
    """A place where two libraries differ."""

    definition: str
    path: str
    ours: str
    theirs: str


def compare_libraries(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Difference]:
    """The first difference of each definition that differs; the arguments are ``{"library": ...}``."""
    mine, other = ours["library"], theirs["library"]
    found: list[Difference] = []
    for section in _SECTIONS:
        found += _compare_named(
            section, _defs(mine.get(section)), _defs(other.get(section)), lambda d: _label(d)
        )
    found += _compare_named(
        "", _defs(mine.get("statements")), _defs(other.get("statements")), lambda d: _overload(d)
    )
    return found


def _defs(section: Any) -> list[Any]:
    return [] if section is None else section.get("def", [])


def _label(definition: Any) -> str:
    return str(definition.get("name") or definition.get("localIdentifier"))


def _overload(definition: Any) -> str:
    operands = definition.get("operand")
    if definition.get("type") != "FunctionDef":
        return str(definition["name"])
    return f"{definition['name']}({', '.join(_type(o) for o in operands or ())})"


def _type(operand: Any) -> str:
    return str(normal(operand.get("operandTypeSpecifier", operand.get("operandType"))))


def _compare_named(section: str, ours: list[Any], theirs: list[Any], key: Any) -> Iterator[Difference]:  # type: ignore[misc]
    mine: dict[str, list[Any]] = {}
    for definition in ours:
        mine.setdefault(key(definition), []).append(definition)
    for definition in theirs:
        label = key(definition)
        name = f"{section} {label}".strip()
        known = mine.get(label)
        if not known:
            yield Difference(name, "", "missing", "present")
            continue
        match = known.pop(0)
        difference = first_difference(normal(match), normal(definition))
        if difference is not None:
            yield Difference(name, *difference)
    for label, rest in mine.items():
        for _ in rest:
            yield Difference(f"{section} {label}".strip(), "", "present", "missing")


def normal(node: Any) -> Any:
    """A node without what is incidental."""
    if isinstance(node, list):
        return [normal(item) for item in node]
    if not isinstance(node, Mapping):
        return node
    kept: dict[str, Any] = {}
    for name, value in node.items():
        if name in _INCIDENTAL or value == [] or value is None or _DEFAULTS.get(name, ...) == value:
            continue
        kept[name] = normal(value)
    if kept.get("type") == "Query" and kept.get("aggregate"):
        kept["aggregate"].setdefault("distinct", False)
    if kept.get("type") == "Case":
        # A choice of the same type twice, as instant and dateTime give, makes the same branch twice.
        kept["caseItem"] = [x for n, x in enumerate(kept["caseItem"]) if x not in kept["caseItem"][:n]]
    if kept.get("type") in ("ValueSetRef", "CodeSystemRef"):
        # Where only a reference may stand its class need not be named.
        kept.pop("type")
    if kept.get("type") == "TupleTypeSpecifier":
        kept["element"] = sorted(kept.get("element", ()), key=str)
    if kept.get("type") == "Interval":
        kept.setdefault("lowClosed", True)
        kept.setdefault("highClosed", True)
    if kept.get("type") == "ChoiceTypeSpecifier" and "choice" in kept:
        unique: list[Any] = []
        for member in kept["choice"]:
            if member not in unique:
                unique.append(member)
        kept["choice"] = sorted(unique, key=str)
    if kept.get("type") == "NamedTypeSpecifier":
        kept.pop("type")
    for name in ("as", "is", "to"):
        # A named type may stand as an attribute or as a specifier.
        specifier = kept.get(f"{name}TypeSpecifier")
        if isinstance(specifier, dict) and set(specifier) == {"name"}:
            kept.pop(f"{name}TypeSpecifier")
            kept[f"{name}Type"] = specifier["name"]
    if "return" in kept:
        kept["return"].setdefault("distinct", True)
    return kept


def first_difference(ours: Any, theirs: Any, path: str = "") -> tuple[str, str, str] | None:
    """Path and both values of the first difference below two normalised nodes."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if ours.get("type") != theirs.get("type"):
            return path, _brief(ours), _brief(theirs)
        for name in {**theirs, **ours}:
            if name == "signature" and not (ours.get(name) and theirs.get(name)):
                continue
            if name not in ours or name not in theirs:
                return f"{path}.{name}", _brief(ours.get(name)), _brief(theirs.get(name))
            found = first_difference(ours[name], theirs[name], f"{path}.{name}")
            if found is not None:
                return found
        return None
    if isinstance(ours, list) and isinstance(theirs, list):
        for number, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
            found = first_difference(mine, other, f"{path}[{number}]")
            if found is not None:
                return found
        if len(ours) != len(theirs):
            return path, f"{len(ours)} items", f"{len(theirs)} items"
        return None
    if _number(ours) != _number(theirs):
        return path, _brief(ours), _brief(theirs)
    return None


def _number(value: Any) -> Any:
    return value if isinstance(value, bool | str) or value is None else float(value)


def _brief(node: Any) -> str:
    if not isinstance(node, dict):
        return str(node)[:160]
    head = " ".join(f"{k}={v}" for k, v in node.items() if not isinstance(v, dict | list))
    inner = ", ".join(
        f"{k}: {_brief(v if isinstance(v, dict) else v[0])}"
        for k, v in node.items()
        if k in ("operand", "source", "expression") and v
    )
    return f"{head} ({inner})"[:300] if inner else head[:300]
