"""``$validate``: a resource held against the FHIR model (fhir.resources; its R4B, as it has no R4)."""

from __future__ import annotations

from typing import Any

from measurewise.api.fhir.outcomes import RequestError, information, outcome
from measurewise.engine.measure.reports.edge import to_json


def validated(resource_type: str, body: dict[str, Any]) -> dict[str, Any]:
    """An OperationOutcome with an issue for every element at fault, or one that says all is well.

    ``body`` is the resource, or Parameters that hold it as ``resource``.
    """
    resource = body
    if body["resourceType"] == "Parameters" and resource_type != "Parameters":
        held = [p.get("resource") for p in body.get("parameter", []) if p.get("name") == "resource"]
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


def _path(resource_type: str, location: tuple[int | str, ...]) -> str:
    path = resource_type
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path
