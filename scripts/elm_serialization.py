"""Bring the ELM of translator 3.x into the JSON form of the ELM r1 schema, which 5.x writes.

3.x names the class of every node in ``type``, polymorphic or not, and writes annotation narratives as the
JAXB objects that Java holds them in. The schema (https://cql.hl7.org/elm.html) has ``type`` only where a node
may be one of several classes, and ``{"r": ..., "s": [...]}`` for a narrative, its text in
``{"value": [...]}``.
"""

from __future__ import annotations

from typing import Any

IMPLIED_TYPES = frozenset(
    {
        "AliasedQuerySource",
        "CaseItem",
        "CodeDef",
        "CodeSystemDef",
        "ContextDef",
        "ExpressionDef",
        "IncludeDef",
        "InstanceElement",
        "Library",
        "OperandDef",
        "ParameterDef",
        "ReturnClause",
        "SortClause",
        "TupleElement",
        "TupleElementDefinition",
        "UsingDef",
        "ValueSetDef",
        "VersionedIdentifier",
    }
)


def standard_form(node: Any, held_by: str = "") -> Any:
    """The same ELM with types only where they tell something and narratives as plain JSON.

    ``held_by`` is the property that holds the node.
    """
    if isinstance(node, list):
        return [standard_form(item, held_by) for item in node]
    if not isinstance(node, dict):
        return node
    kind = node.get("type")
    if kind == "Annotation" and "s" in node:
        return {**node, "s": narrative(node["s"])}
    implied = isinstance(kind, str) and (
        kind in IMPLIED_TYPES or kind.startswith("Library$") or held_by == "codeSystem"
    )
    return {key: standard_form(value, key) for key, value in node.items() if not (implied and key == "type")}


def narrative(node: dict[str, Any]) -> dict[str, Any]:
    """A narrative as text parts (``{"value": [...]}``) and inner narratives, in their order."""
    parts: list[dict[str, Any]] = []
    for item in node.get("s", []):
        if isinstance(item, str):
            if not parts or "value" not in parts[-1]:
                parts.append({"value": []})
            parts[-1]["value"].append(item)
        else:
            parts.append(narrative(item["value"]))
    if "r" in node:
        return {"r": node["r"], "s": parts}
    return parts[0] if len(parts) == 1 and "value" in parts[0] else {"s": parts}
