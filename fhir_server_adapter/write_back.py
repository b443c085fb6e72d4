"""Writing MeasureReports, Measures, Libraries and ValueSets to a FHIR server, as transactions.

Each entry is a conditional update (https://hl7.org/fhir/R4/http.html#cond-update) by what identifies the
resource in the world, so that a second write changes the first's resources instead of adding to them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from measurewise.engine.measure.reports.edge import to_json
from measurewise.fhir_server_adapter.client import FHIR_JSON, FhirClient, read_json
from measurewise.fhir_server_adapter.faults import SourceError, outcome_text

_REPORT = uuid.UUID("0d9a4a57-3a0e-5c58-9c3d-6c3a3c1a8f0e")
"""The name space of the identifiers that reports get here."""
_CANONICAL = frozenset({"Measure", "Library", "ValueSet", "CodeSystem"})


def report_identifier(report: Mapping[str, Any]) -> dict[str, str]:
    """The identifier of a MeasureReport that has none: the same for the same question.

    The question is measure (with version), period, type, subject and reporter.
    """
    period = report.get("period") or {}
    asked = (
        report.get("measure"),
        period.get("start"),
        period.get("end"),
        report.get("type"),
        _target(report.get("subject")),
        _target(report.get("reporter")),
    )
    return {
        "system": "urn:ietf:rfc:3986",
        "value": f"urn:uuid:{uuid.uuid5(_REPORT, to_json({'asked': list(asked)}).decode())}",
    }


def transaction(resources: Iterable[Mapping[str, Any]], *, only_new: bool = False) -> dict[str, Any]:
    """A transaction Bundle of conditional updates, or with ``only_new`` of conditional creates.

    Measures, Libraries, ValueSets and CodeSystems are found by URL and version, MeasureReports by
    identifier; a report without one gets :func:`report_identifier`. Raises SourceError for a resource of
    another type, for one that nothing identifies, and for two of one identity, which no transaction may
    hold.
    """
    entries: list[dict[str, Any]] = []
    known: set[str] = set()
    for given in resources:
        kind = str(given.get("resourceType"))
        # the server gives the id: one of our own would clash with that of the resource it finds
        resource = {name: value for name, value in given.items() if name != "id"}
        condition = _condition(kind, resource)
        if condition in known:
            raise SourceError(
                "two resources have the same identity.",
                where=condition,
                mend="Send one of them.",
                code="duplicate",
            )
        known.add(condition)
        kind, _, query = condition.partition("?")
        if only_new:
            request = {"method": "POST", "url": kind, "ifNoneExist": query}
        else:
            request = {"method": "PUT", "url": condition}
        full_url = f"urn:uuid:{uuid.uuid5(_REPORT, condition)}"
        entries.append({"fullUrl": full_url, "resource": resource, "request": request})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def write_back(
    client: FhirClient, resources: Iterable[Mapping[str, Any]], *, only_new: bool = False, size: int = 200
) -> list[str]:
    """Write resources, ``size`` a transaction; what became of each, as ``201 MeasureReport/7``.

    A transaction whose answer was lost is sent again: it is the same the second time. Raises SourceError
    where a transaction fails; those before it stand.
    """
    done: list[str] = []
    for part in _parts(list(resources), size):
        bundle = transaction(part, only_new=only_new)
        response = await client.send(
            "POST",
            client.url(""),
            content=to_json(bundle),
            headers={"Content-Type": FHIR_JSON},
            again=True,
        )
        answer = read_json(response)
        entries = answer.get("entry") if type(answer) is dict else None
        answered = [e.get("response") or {} for e in entries or () if type(e) is dict]
        if len(answered) != len(bundle["entry"]):
            raise SourceError(
                f"the server answered {len(answered)} of {len(bundle['entry'])} entries of a transaction.",
                where=client.base_url,
                code="incomplete",
            )
        for entry, result in zip(bundle["entry"], answered, strict=True):
            status = str(result.get("status") or "")
            if not status.startswith("2"):
                said = outcome_text(result.get("outcome"))
                raise SourceError(
                    f"the server did not take it ({status or 'no status'}{': ' + said if said else ''}).",
                    where=entry["request"]["url"],
                )
            location = str(result.get("location") or entry["request"]["url"]).partition("/_history/")[0]
            done.append(f"{status[:3]} {'/'.join(location.split('/')[-2:])}")
    return done


def _condition(kind: str, resource: dict[str, Any]) -> str:
    if kind in _CANONICAL and resource.get("url"):
        query = f"url={quote(str(resource['url']), safe='')}"
        if resource.get("version"):
            query += f"&version={quote(str(resource['version']), safe='')}"
        return f"{kind}?{query}"
    if kind == "MeasureReport" and not resource.get("identifier"):
        resource["identifier"] = [report_identifier(resource)]
    if kind == "MeasureReport":
        for identifier in resource["identifier"]:
            if identifier.get("value"):
                token = f"{identifier.get('system') or ''}|{identifier['value']}"
                return f"{kind}?identifier={quote(token, safe='')}"
    raise SourceError(
        f"nothing identifies this {kind}.",
        where=str(resource.get("name") or resource.get("title") or kind),
        mend="Give a Measure, Library, ValueSet or CodeSystem a url, a MeasureReport an identifier.",
        code="required",
    )


def _target(reference: Any) -> Any:
    if type(reference) is not dict:
        return None
    return reference.get("reference") or reference.get("identifier")


def _parts(resources: list[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    for start in range(0, len(resources), size):
        yield resources[start : start + size]
