"""Search by date as FHIR R4 has it (https://hl7.org/fhir/R4/search.html#date), over resources in memory."""

from __future__ import annotations

import calendar
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from measurewise.fhir_server_adapter.capabilities import Capabilities, capabilities_of
from measurewise.fhir_server_adapter.search_plan import TypeSearch

Json = dict[str, Any]
Span = tuple[datetime, datetime]

REGISTRY: Mapping[str, Mapping[str, list[str]]] = json.loads(
    (Path(__file__).parents[3] / "store" / "search_parameters.json").read_bytes()
)["parameters"]
"""R4's search parameters with their types and elements."""
ALWAYS = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def whole_server() -> Capabilities:
    """A server that searches all types by all of R4's parameters that the registry lists."""
    resources = [
        {
            "type": kind,
            "interaction": [{"code": "search-type"}],
            "searchParam": [{"name": name} for name in ("patient", "subject", *parameters)],
        }
        for kind, parameters in REGISTRY.items()
        if kind != "*"
    ]
    return capabilities_of(
        {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [{"resource": resources}]}
    )


def found(search: TypeSearch, resource: Json, zone: int) -> bool:
    """Whether a search gives a resource of its type back; ``zone`` is the server's own, in minutes."""
    return all(_meets(resource, parameter, value, zone) for parameter, value in search.dates) and (
        not search.code_chunks or any(_coded(resource, *chunk) for chunk in search.code_chunks)
    )


def left_out(searches: Iterable[TypeSearch], resources: Iterable[Json], zone: int) -> list[Json]:
    """The resources of the types that are searched for which no search gives back."""
    by_type: dict[str, list[TypeSearch]] = {}
    for search in searches:
        by_type.setdefault(search.resource_type, []).append(search)
    return [
        resource
        for resource in resources
        if (some := by_type.get(resource["resourceType"]))
        and not any(found(search, resource, zone) for search in some)
    ]


def _coded(resource: Json, parameter: str, value: str) -> bool:
    elements = REGISTRY[resource["resourceType"]][parameter][1].split("|")
    concepts: list[Json] = []
    for held in (resource.get(element) for element in elements):
        concepts += held if isinstance(held, list) else [held] if held else []
    codes = {str(coding.get("code")) for concept in concepts for coding in concept.get("coding", ())}
    return not codes.isdisjoint(value.split(","))


def _meets(resource: Json, parameter: str, value: str, zone: int) -> bool:
    kind, elements, *_ = REGISTRY[resource["resourceType"]][parameter]
    assert kind == "date"
    first, last = _text_span(value[2:], zone)
    for element in elements.split("|"):
        held = _element_span(resource.get(element), zone)
        if held is not None:
            return {"ge": held[1] >= first, "le": held[0] <= last}[value[:2]]
    return False


def _element_span(value: Any, zone: int) -> Span | None:
    if isinstance(value, str):
        return _text_span(value, zone)
    if not isinstance(value, dict) or not {"start", "end"} & value.keys():
        return None
    start = _text_span(value["start"], zone)[0] if "start" in value else ALWAYS[0]
    end = _text_span(value["end"], zone)[1] if "end" in value else ALWAYS[1]
    return start, end


def _text_span(text: str, zone: int) -> Span:
    """The first and last moment that a date or dateTime can mean."""
    day, _, clock = text.partition("T")
    parts = [int(part) for part in day.split("-")]
    own = timezone(timedelta(minutes=zone))
    if clock:
        moment = datetime.fromisoformat(text if len(clock) > 5 else text + ":00")
        moment = moment if moment.tzinfo else moment.replace(tzinfo=own)
        return moment, moment if "." in clock else moment + timedelta(seconds=0.999)
    year = parts[0]
    month_first, month_last = (parts[1], parts[1]) if len(parts) > 1 else (1, 12)
    month_days = calendar.monthrange(year, month_last)[1]
    day_first, day_last = (parts[2], parts[2]) if len(parts) > 2 else (1, month_days)
    start = datetime(year, month_first, day_first, tzinfo=own)
    return start, datetime(year, month_last, day_last, 23, 59, 59, 999999, tzinfo=own)
