"""What a server says that it can do: its CapabilityStatement, read once and respected.

https://hl7.org/fhir/R4/capabilitystatement.html. R4 has no element that says whether a server takes POST
``_search`` or ``code:in``: the client finds out about the first, the caller decides about the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.faults import SourceError

ExportLevel = Literal["system", "patient", "group"]


@dataclass(frozen=True, slots=True)
class TypeCapability:
    """What a server offers of one resource type; the names are those of the CapabilityStatement."""

    interactions: frozenset[str]
    searches: frozenset[str]
    includes: frozenset[str]
    revincludes: frozenset[str]
    operations: frozenset[str]
    conditional_update: bool
    conditional_create: bool

    @property
    def searchable(self) -> bool:
        """Whether resources of the type can be searched."""
        return "search-type" in self.interactions


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server offers: resource types, exports, the software's name for people."""

    fhir_version: str
    software: str
    types: Mapping[str, TypeCapability]
    exports: frozenset[ExportLevel]
    transaction: bool
    last_updated: frozenset[str]
    """The types that can be searched by ``_lastUpdated``."""
    history: bool = False
    """Whether the history of the whole system is offered (``history-system``)."""

    @property
    def everything(self) -> bool:
        """Whether ``Patient/$everything`` is offered."""
        patient = self.types.get("Patient")
        return patient is not None and "everything" in patient.operations

    def includes(self, resource_type: str, path: str) -> bool:
        """Whether ``_include=<path>`` works in a search; ``path`` is ``MedicationRequest:medication``."""
        known = self.types.get(resource_type)
        if known is None:
            return False
        return "*" in known.includes or path in known.includes

    def patient_parameter(self, resource_type: str) -> str | None:
        """The search parameter that names the patient of a resource type, or None where there is none."""
        known = self.types.get(resource_type)
        if known is None or not known.searchable:
            return None
        return next((name for name in ("patient", "subject", "beneficiary") if name in known.searches), None)


async def read_capabilities(client: FhirClient) -> Capabilities:
    """The capabilities of a server. Raises SourceError for a server that is not FHIR R4."""
    return capabilities_of(await client.get("metadata"), where=client.base_url)


def capabilities_of(statement: Any, *, where: str = "") -> Capabilities:
    """The capabilities in a CapabilityStatement. Raises SourceError for anything but R4."""
    if type(statement) is not dict or statement.get("resourceType") != "CapabilityStatement":
        raise SourceError(
            "its metadata is no CapabilityStatement.",
            where=where,
            mend="Give the base address of a FHIR R4 server.",
            code="structure",
        )
    version = str(statement.get("fhirVersion") or "")
    if not version.startswith("4.0"):
        raise SourceError(
            f"the server speaks FHIR {version or 'of a version it does not name'}, not R4 (4.0).",
            where=where,
            mend="Many servers serve R4 at another address.",
            code="not-supported",
        )
    types: dict[str, TypeCapability] = {}
    exports: set[ExportLevel] = set()
    last_updated: set[str] = set()
    transaction = False
    history = False
    for rest in _dicts(statement.get("rest")):
        if rest.get("mode") == "client":
            continue
        everywhere = {str(p.get("name")) for p in _dicts(rest.get("searchParam"))}
        transaction = transaction or any(
            i.get("code") == "transaction" for i in _dicts(rest.get("interaction"))
        )
        history = history or any(i.get("code") == "history-system" for i in _dicts(rest.get("interaction")))
        if "export" in _operations(rest):
            exports.add("system")
        for resource in _dicts(rest.get("resource")):
            name = str(resource.get("type"))
            known = _type(resource, everywhere)
            types[name] = known
            if "_lastUpdated" in known.searches:
                last_updated.add(name)
        # a definition by URL says at which level an export is, wherever a server lists it
        for operation in _all_operations(rest):
            definition = str(operation.get("definition") or "").partition("|")[0].rpartition("/")[2]
            for level, ending in (("patient", "patient-export"), ("group", "group-export")):
                if definition == ending:
                    exports.add(level)  # type: ignore[arg-type]
    for level, name in (("patient", "Patient"), ("group", "Group")):
        if name in types and "export" in types[name].operations:
            exports.add(level)  # type: ignore[arg-type]
    software = statement.get("software")
    return Capabilities(
        fhir_version=version,
        software=str(software.get("name") or "") if type(software) is dict else "",
        types=types,
        exports=frozenset(exports),
        transaction=transaction,
        last_updated=frozenset(last_updated),
        history=history,
    )


def _type(resource: Mapping[str, Any], everywhere: set[str]) -> TypeCapability:
    return TypeCapability(
        interactions=frozenset(str(i.get("code")) for i in _dicts(resource.get("interaction"))),
        searches=frozenset(str(p.get("name")) for p in _dicts(resource.get("searchParam"))) | everywhere,
        includes=frozenset(str(path) for path in resource.get("searchInclude") or ()),
        revincludes=frozenset(str(path) for path in resource.get("searchRevInclude") or ()),
        operations=frozenset(_operations(resource)),
        conditional_update=resource.get("conditionalUpdate") is True,
        conditional_create=resource.get("conditionalCreate") is True,
    )


def _operations(part: Mapping[str, Any]) -> set[str]:
    return {str(o.get("name")).lstrip("$") for o in _dicts(part.get("operation"))}


def _all_operations(rest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from _dicts(rest.get("operation"))
    for resource in _dicts(rest.get("resource")):
        yield from _dicts(resource.get("operation"))


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    for one in value if type(value) is list else ():
        if type(one) is dict:
            yield one
