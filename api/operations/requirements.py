"""``$data-requirements`` of measures and libraries, and ``Measure/$package`` (QM IG, DEQM, CRMI)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from measurewise.api.fhir.arguments import Declared
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.api.operations.evaluate import MEASURES
from measurewise.api.operations.logic import library_named
from measurewise.api.services.measures import measures_named
from measurewise.api.services.packaging import package
from measurewise.api.services.requirements import (
    library_requirements,
    measure_requirements,
    module_definition,
)
from measurewise.engine import Period

_PERIOD: Final = (
    Declared("periodStart", "date", "The first day of the measurement period."),
    Declared("periodEnd", "date", "The last day of the measurement period, included."),
)
_NAMED: Final = (*MEASURES, Declared("measure", "canonical", "As measureUrl.", maximum=None))
_LIBRARY: Final = (
    Declared("url", "canonical", "The library's canonical URL, where the address has no id."),
    Declared("expression", "string", "A definition; all if none is given.", maximum=None),
)


def measure_data_requirements(call: Call) -> Reply:
    """A Library of type module-definition with the measures' data requirements."""
    loaded = call.services.catalog.loaded()
    period = _period(call)
    found = [measure_requirements(loaded, loaded.content.measure(name), period) for name in _measures(call)]
    asked = (call.arguments.text("periodStart"), call.arguments.text("periodEnd"))
    return Reply(module_definition(found, asked), touched=_touched(call))


def library_data_requirements(call: Call) -> Reply:
    """A Library of type module-definition with a library's data requirements."""
    arguments = call.arguments
    library = library_named(call, call.target[1], arguments.text("url"), None)
    names = [str(name) for name in arguments.all("expression")]
    required = library_requirements(call.services.catalog.loaded(), library, names)
    return Reply(module_definition([required]), touched=_touched(call))


def package_measures(call: Call) -> Reply:
    """A Bundle with the measures and all that they need."""
    loaded = call.services.catalog.loaded()
    period = _period(call)
    measures = [loaded.content.measure(name) for name in _measures(call)]
    required = [measure_requirements(loaded, measure, period) for measure in measures]
    with call.services.database.read() as connection:
        found = package(connection, call.access, measures, required)
    bundle: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": f"{call.base}/{stored.reference}", "resource": msgspec.Raw(stored.body)}
            for stored in found
        ],
    }
    return Reply(bundle, touched=tuple(stored.reference for stored in found))


def _measures(call: Call) -> tuple[str, ...]:
    arguments = call.arguments
    return measures_named(
        call.services.catalog,
        [*([call.target[1]] if call.target[1] else []), *arguments.all("measureId")],
        [*arguments.all("measureUrl"), *arguments.all("measure")],
        arguments.all("measureIdentifier"),
    )


def _period(call: Call) -> Period:
    """The period asked for; what is needed does not hang on it, so this year's will do."""
    year = datetime.now(UTC).year
    start = call.arguments.text("periodStart") or f"{year}-01-01"
    period = Period(start, call.arguments.text("periodEnd") or f"{start[:4]}-12-31")
    period.interval(call.services.settings.zone_minutes)
    return period


def _touched(call: Call) -> tuple[str, ...]:
    kind, identity = call.target
    return (f"{kind}/{identity}",) if identity else ()


OPERATIONS: Final = (
    Operation(
        "data-requirements",
        "What measures need",
        "Measure",
        ("type", "instance"),
        (*_PERIOD, *_NAMED),
        measure_data_requirements,
        definition="http://hl7.org/fhir/OperationDefinition/Measure-data-requirements",
    ),
    Operation(
        "data-requirements",
        "What a library needs",
        "Library",
        ("type", "instance"),
        _LIBRARY,
        library_data_requirements,
        definition="http://hl7.org/fhir/OperationDefinition/Library-data-requirements",
    ),
    Operation(
        "package",
        "Measures with all they need",
        "Measure",
        ("type", "instance"),
        _NAMED,
        package_measures,
        definition="http://hl7.org/fhir/uv/crmi/OperationDefinition/crmi-package",
    ),
)
