"""``$validate``: a resource held against the FHIR model (fhir.resources; its R4B, as it has no R4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from measurewise.api.fhir.outcomes import RequestError, information, outcome
from measurewise.api.fhir.types import RESOURCE_TYPES
from measurewise.engine.measure.reports.edge import to_json


def validated(resource_type: str, body: dict[str, Any]) -> dict[str, Any]:
    """An OperationOutcome with an issue for every element at fault, or one that says all is well.

    ``body`` is the resource, or Parameters that hold it as ``resource``.
    """
    resource = body
    if body["resourceType"] == "Parameters" and resource_type != "Parameters":
        parts = body.get("parameter")
        held = [
            part.get("resource")
            for part in (parts if isinstance(parts, list) else ())
            if isinstance(part, dict) and part.get("name") == "resource"
        ]
        if len(held) != 1 or not isinstance(held[0], dict):
            raise RequestError("the parameter 'resource' is missing.", code="required", where="Parameters")
        resource = held[0]
    if resource.get("resourceType") != resource_type:
        raise RequestError(
            f"the body is a {resource.get('resourceType')}, the address asks for a {resource_type}.",
            where="resourceType",
        )
    from fhir.resources.R4B import get_fhir_model_class
    from pydantic import ValidationError

    try:
        model = get_fhir_model_class(resource_type)
    except (KeyError, LookupError):
        raise RequestError(
            f"'{resource_type}' is no resource type.", code="not-supported", status=404
        ) from None
    unknown = list(_of_unknown_type(resource, resource_type))
    if unknown:
        return outcome(*unknown)
    try:
        model.model_validate_json(to_json(resource))
    except ValidationError as error:
        return outcome(
            *(
                {
                    "severity": "error",
                    "code": "required" if fault["type"] == "missing" else "structure",
                    "details": {"text": fault["msg"]},
                    "expression": [_path(resource_type, fault["loc"])],
                }
                for fault in error.errors()
            )
        )
    return information(f"The {resource_type} is valid.")


def _of_unknown_type(node: Any, path: str) -> Iterator[dict[str, Any]]:
    """An issue for each resource inside another whose type there is not, which the model cannot tell of."""
    if isinstance(node, dict):
        kind = node.get("resourceType")
        if "resourceType" in node and (not isinstance(kind, str) or kind not in RESOURCE_TYPES):
            text = f"'{kind}' is no resource type."
            yield {
                "severity": "error", "code": "structure", "details": {"text": text},
                "expression": [f"{path}.resourceType"],
            }  # fmt: skip
        for name, value in node.items():
            yield from _of_unknown_type(value, f"{path}.{name}")
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from _of_unknown_type(value, f"{path}[{position}]")


def _path(resource_type: str, location: tuple[int | str, ...]) -> str:
    path = resource_type
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path
