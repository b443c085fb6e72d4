"""``$cql`` and ``Library/$evaluate`` (FHIR Clinical Guidelines: cpg-cql, cpg-library-evaluate)."""

from __future__ import annotations

from typing import Any, Final

from measurewise.api.fhir.arguments import Declared, missing, refused
from measurewise.api.fhir.call import Call, Reply
from measurewise.api.fhir.operation import Operation
from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.services.logic import Included, evaluate_expression, evaluate_library
from measurewise.api.services.records import patient_records
from measurewise.engine import MeasurewiseError, Record, read_record
from measurewise.engine.content.library import LibraryContent
from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.record.record import record_of_bundle
from measurewise.engine.runner.cql_values import error_parameters, parameter, parameters
from measurewise.engine.runner.fhir_parameters import cql_parameters
from measurewise.store.resources import read

_COMMON: Final = (
    Declared("subject", "string", "Patient/[id]: whose data are there."),
    Declared("parameters", "Parameters", "Parameters of the logic, by their CQL names."),
    Declared("useServerData", "boolean", "Whether the subject's stored data are used; true if not given."),
    Declared("data", "Bundle", "Data of the subject, in place of or beside the stored ones."),
)
_CQL: Final = (
    Declared("expression", "string", "The CQL expression.", minimum=1),
    *_COMMON,
    Declared("library", "part", "A library to use: parts url and name.", maximum=None),
)
_LIBRARY: Final = (
    Declared("url", "canonical", "The library's canonical URL, where the address has no id."),
    Declared("library", "Library", "The library in the request itself."),
    Declared("expression", "string", "A definition to evaluate; all if none is given.", maximum=None),
    *_COMMON,
)


def cql(call: Call) -> Reply:
    """Parameters with the value as ``return``; an error of evaluation as ``evaluation error``."""
    arguments = call.arguments
    included = [_included(part) for part in arguments.all("library")]
    record = _record(call)
    zone = call.services.settings.zone_minutes
    given = arguments.one("parameters")
    try:
        value = evaluate_expression(
            call.services.catalog.loaded(),
            arguments.required("expression"),
            libraries=included,
            parameters=cql_parameters(given, zone) if given is not None else None,
            record=record,
            zone=zone,
        )
        found = parameters(value)
    except MeasurewiseError as error:
        found = error_parameters(error)
    return Reply(to_json(found), patients=_patients(call))


def library_evaluate(call: Call) -> Reply:
    """Parameters with one parameter a definition (repeated for a list), in the library's order.

    A definition that fails stands there as ``evaluation error``, which names it.
    """
    arguments = call.arguments
    loaded = call.services.catalog.loaded()
    zone = call.services.settings.zone_minutes
    given = arguments.one("parameters")
    found: list[dict[str, Any]] = []
    for name, value in evaluate_library(
        loaded,
        _library(call),
        [str(name) for name in arguments.all("expression")],
        parameters=cql_parameters(given, zone) if given is not None else None,
        record=_record(call),
        zone=zone,
    ):
        if isinstance(value, Exception):
            found += error_parameters(value, f"definition '{name}'")["parameter"]
        elif type(value) is list and value:
            found += [parameter(name, item) for item in value]
        else:
            found.append(parameter(name, value))
    answer: dict[str, Any] = {"resourceType": "Parameters"}
    if found:
        answer["parameter"] = found
    return Reply(to_json(answer), patients=_patients(call))


def _library(call: Call) -> LibraryContent:
    url, resource = call.arguments.text("url"), call.arguments.one("library")
    return library_named(call, call.target[1], url, resource)


def library_named(
    call: Call, identity: str | None, url: str | None, resource: dict[str, Any] | None
) -> LibraryContent:
    """The one library that a request names. Raises RequestError, NoSuchResourceError."""
    if sum(given is not None for given in (identity, url, resource)) != 1:
        raise missing("url", "Name one library: by id in the address, by url, or as library.")
    if identity is not None:
        with call.services.database.read() as connection:
            resource = read(connection, call.access, "Library", identity).parsed()
    if resource is not None:
        return LibraryContent.from_resource(resource)
    plain, _, version = str(url).partition("|")
    for library in call.services.catalog.content.libraries:
        if library.url == plain and version in ("", library.version):
            return library
    raise RequestError(f"there is no library {url}.", code="not-found", where="url")


def _record(call: Call) -> Record | None:
    """The subject's record: stored data, those of the request, or both; None where there is no subject."""
    arguments = call.arguments
    subject, data = arguments.text("subject"), arguments.one("data")
    call.principal.check_subject(subject if subject is not None or data is None else None)
    use_stored = arguments.one("useServerData") is not False
    if subject is None or not use_stored:
        return None if data is None else record_of_bundle(data, where="data")
    kind, _, identity = subject.rpartition("/")
    if kind not in ("", "Patient"):
        raise refused("subject", f"is '{subject}'", "Name a Patient.")
    with call.services.database.read() as connection:
        patient = read(connection, call.access, "Patient", identity)
        records = patient_records(connection, patient.organization, [identity])
    stored = read_record(records[identity], where=f"Patient/{identity}")
    if data is None:
        return stored
    added = _resources(data)
    names = {_name(one) for one in added}
    kept = [one for one in stored.resources() if _name(one) not in names]
    return Record([*kept, *added], where=f"Patient/{identity}")


def _resources(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    """The resources of a Bundle beside the stored data, which need not have the Patient again."""
    entries = bundle.get("entry") or []
    if not isinstance(entries, list):
        raise RequestError("the Bundle has no list of entries.", code="structure", where="data")
    found = [entry.get("resource") if isinstance(entry, dict) else None for entry in entries]
    if not all(isinstance(one, dict) and isinstance(one.get("resourceType"), str) for one in found):
        raise RequestError("the Bundle has entries without a resource.", code="structure", where="data")
    return [one for one in found if one is not None]


def _name(resource: dict[str, Any]) -> tuple[str, str]:
    return str(resource.get("resourceType")), str(resource.get("id"))


def _included(part: list[dict[str, Any]]) -> Included:
    values = {item.get("name"): item.get("valueCanonical") or item.get("valueString") for item in part}
    if not values.get("url"):
        raise missing("library", "Give its part 'url'.")
    return Included(str(values["url"]), values.get("name"))


def _patients(call: Call) -> tuple[str, ...]:
    subject = call.arguments.text("subject")
    return () if subject is None else (subject.rpartition("/")[2],)


OPERATIONS: Final = (
    Operation(
        "cql",
        "Evaluate a CQL expression",
        None,
        ("system",),
        _CQL,
        cql,
        definition="http://hl7.org/fhir/uv/cpg/OperationDefinition/cpg-cql",
    ),
    Operation(
        "evaluate",
        "Evaluate the definitions of a library",
        "Library",
        ("type", "instance"),
        _LIBRARY,
        library_evaluate,
        definition="http://hl7.org/fhir/uv/cpg/OperationDefinition/cpg-library-evaluate",
    ),
)
