"""What the server says of itself: CapabilityStatement and OperationDefinitions, from what is really there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import measurewise
from measurewise.api.fhir.operation import Operation
from measurewise.api.fhir.patching import JSON_PATCH
from measurewise.api.fhir.types import STORED
from measurewise.api.security.settings import SecuritySettings
from measurewise.api.services.context import Services
from measurewise.store.search_conditions import reference_targets
from measurewise.store.search_index import ANY_TYPE, parameters, types_of_patients

_INTERACTIONS: Final = (
    "read", "vread", "history-instance", "history-type", "search-type", "create", "update", "patch", "delete",
)  # fmt: skip
_SYSTEM_INTERACTIONS: Final = ("transaction", "batch", "history-system")
_SECURITY: Final = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_PUBLISHED: Final = "2026-11-22"
_COMMON: Final = ({"name": "_id", "type": "token"}, {"name": "_lastUpdated", "type": "date"})
_PATIENT: Final = ({"name": "patient", "type": "reference"},)


def capability_statement(services: Services, base: str, operations: Iterable[Operation]) -> dict[str, Any]:
    """The CapabilityStatement (FHIR R4, 5.3)."""
    offered = tuple(operations)
    security = services.settings.security
    rest: dict[str, Any] = {
        "mode": "server",
        "documentation": "Measures, their content, patients' data and reports, by organisation.",
        "security": _security(security, base),
        "resource": [_resource(kind, base, offered) for kind in sorted(STORED)],
        "interaction": [{"code": code} for code in _SYSTEM_INTERACTIONS],
        "operation": [_offered(o, base) for o in offered if o.resource_type is None],
    }
    if not rest["operation"]:
        del rest["operation"]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _PUBLISHED,
        "kind": "instance",
        "instantiates": ["http://hl7.org/fhir/uv/bulkdata/CapabilityStatement/bulk-data"],
        "software": {"name": "Measurewise", "version": measurewise.__version__},
        "implementation": {"description": "Measurewise", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": [JSON_PATCH],
        "rest": [rest],
    }


def operation_definition(operation: Operation, base: str) -> dict[str, Any]:
    """The OperationDefinition of an operation (FHIR R4, 5.4)."""
    definition: dict[str, Any] = {
        "resourceType": "OperationDefinition",
        "id": operation.id,
        "url": operation.definition or f"{base}/OperationDefinition/{operation.id}",
        "name": "".join(part.capitalize() for part in operation.id.replace("$", "").split("-")),
        "title": operation.title,
        "status": "active",
        "kind": "operation",
        "affectsState": operation.affects_state,
        "code": operation.code,
        "system": "system" in operation.levels,
        "type": "type" in operation.levels,
        "instance": "instance" in operation.levels,
        "parameter": [
            {
                "name": parameter.name,
                "use": "in",
                "min": parameter.minimum,
                "max": "*" if parameter.maximum is None else str(parameter.maximum),
                "documentation": parameter.documentation,
                "type": {"Resource": "Any", "part": "Element"}.get(parameter.kind, parameter.kind),
            }
            for parameter in operation.parameters
        ],
    }
    if operation.resource_type is not None:
        definition["resource"] = [operation.resource_type]
    return definition


def _resource(kind: str, base: str, operations: tuple[Operation, ...]) -> dict[str, Any]:
    known = parameters(kind)
    described: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "searchInclude": [f"{kind}:{name}" for name in _references(kind)],
        "searchRevInclude": _referring_to(kind),
        "searchParam": [
            *_COMMON,
            *_PATIENT[: kind in types_of_patients()],
            *({"name": name, "type": parameter.kind} for name, parameter in sorted(known.items())),
        ],
    }
    offered = [_offered(operation, base) for operation in operations if operation.resource_type == kind]
    if offered:
        described["operation"] = offered
    return {name: value for name, value in described.items() if value != []}


def _references(kind: str) -> list[str]:
    """The references of a type that can be included."""
    named = {name for name, parameter in parameters(kind).items() if parameter.kind == "reference"}
    return sorted(named | {"patient"} if kind in types_of_patients() else named)


@cache
def _referring_to(kind: str) -> list[str]:
    """The references of every type that can refer to one."""
    return [
        f"{other}:{name}"
        for other in sorted(STORED)
        for name in _references(other)
        if {kind, ANY_TYPE} & set(reference_targets(other, name, "_revinclude"))
    ]


def _offered(operation: Operation, base: str) -> dict[str, str]:
    return {
        "name": operation.code,
        "definition": operation.definition or f"{base}/OperationDefinition/{operation.id}",
    }


def _security(settings: SecuritySettings, base: str) -> dict[str, Any]:
    described: dict[str, Any] = {"cors": bool(settings.browser_origins)}
    if settings.open:
        text = "Nobody signs in: the server listens on its own machine only."
        return {**described, "description": text}
    root = base.removesuffix("/fhir")
    return {
        **described,
        "service": [{"coding": [{"system": _SECURITY, "code": "SMART-on-FHIR"}]}],
        "description": f"OAuth 2.0 bearer tokens; see {root}/fhir/.well-known/smart-configuration.",
    }
