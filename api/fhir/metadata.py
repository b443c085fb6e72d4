"""What the server says of itself: CapabilityStatement and OperationDefinitions, from what is really there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import measurewise
from measurewise.api.fhir.operation import Operation
from measurewise.api.fhir.types import STORED
from measurewise.api.services.context import Services
from measurewise.store.search_index import parameters

_INTERACTIONS: Final = ("read", "vread", "history-instance", "search-type", "create", "update", "delete")
_SECURITY: Final = "http://terminology.hl7.org/CodeSystem/restful-security-service"
_PUBLISHED: Final = "2026-11-22"
_COMMON: Final = ({"name": "_id", "type": "token"}, {"name": "_lastUpdated", "type": "date"})


def capability_statement(services: Services, base: str, operations: Iterable[Operation]) -> dict[str, Any]:
    """The CapabilityStatement (FHIR R4, 5.3)."""
    offered = tuple(operations)
    security = services.settings.security
    rest: dict[str, Any] = {
        "mode": "server",
        "documentation": "Measures, their content, patients' data and reports, by organisation.",
        "security": _security(base, open_to_all=security.open),
        "resource": [_resource(kind, base, offered) for kind in sorted(STORED)],
        "interaction": [{"code": "transaction"}, {"code": "batch"}],
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
    patient = () if "patient" in known else ({"name": "patient", "type": "reference"},)
    described: dict[str, Any] = {
        "type": kind,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "not-match",
        "conditionalUpdate": True,
        "conditionalDelete": "not-supported",
        "searchInclude": [f"{kind}:{name}" for name, p in known.items() if p.kind == "reference"],
        "searchParam": [
            *_COMMON,
            *patient,
            *({"name": name, "type": parameter.kind} for name, parameter in sorted(known.items())),
        ],
    }
    if not described["searchInclude"]:
        del described["searchInclude"]
    offered = [_offered(operation, base) for operation in operations if operation.resource_type == kind]
    if offered:
        described["operation"] = offered
    return described


def _offered(operation: Operation, base: str) -> dict[str, str]:
    return {
        "name": operation.code,
        "definition": operation.definition or f"{base}/OperationDefinition/{operation.id}",
    }


def _security(base: str, *, open_to_all: bool) -> dict[str, Any]:
    if open_to_all:
        return {"description": "Nobody signs in: the server listens on its own machine only."}
    root = base.removesuffix("/fhir")
    return {
        "cors": True,
        "service": [{"coding": [{"system": _SECURITY, "code": "SMART-on-FHIR"}]}],
        "description": f"OAuth 2.0 bearer tokens; see {root}/fhir/.well-known/smart-configuration.",
    }
