"""A FHIR R4 server in memory, as far as a client sees one: searches in pages, ``$everything``, Bulk Data,
transactions, tokens. ``before`` sees each request first and may answer it: that is how faults are made."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import httpx
import msgspec

from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.retrying import Retries
from measurewise.fhir_server_adapter.signin import SignIn

_ENCODER = msgspec.json.Encoder(decimal_format="number")
ORIGIN = "https://fhir.example.org"
BASE = ORIGIN + "/r4"
Resource = dict[str, Any]

SEARCHES = {
    "Patient": [],
    "Condition": ["patient", "code"],
    "Encounter": ["patient", "type"],
    "MedicationRequest": ["patient", "code"],
    "Observation": ["subject", "code", "_lastUpdated"],
    "Medication": ["code"],
}


def statement(**changes: Any) -> Resource:
    """The server's CapabilityStatement."""
    resources: list[Resource] = [
        {
            "type": kind,
            "interaction": [{"code": "read"}, {"code": "search-type"}],
            "searchParam": [{"name": name, "type": "token"} for name in names],
        }
        for kind, names in SEARCHES.items()
    ]
    resources[0]["operation"] = [{"name": "everything"}, {"name": "$export"}]
    resources.append({"type": "Group", "operation": [{"name": "export"}]})
    return {
        "resourceType": "CapabilityStatement",
        "fhirVersion": "4.0.1",
        "software": {"name": "Example FHIR"},
        "rest": [{"mode": "server", "resource": resources, "interaction": [{"code": "transaction"}]}],
        **changes,
    }


def outcome(code: str, said: str) -> Resource:
    """An OperationOutcome of one error."""
    issue = {"severity": "error", "code": code, "diagnostics": said}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


class FakeServer:
    """``requests`` keeps what came, ``slept`` the seconds the client waited between attempts."""

    def __init__(self, resources: list[Resource], *, page: int = 2) -> None:
        self.resources = resources
        self.page = page
        self.relative_links = False
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda request: None
        self.statement = statement()
        self.stored: dict[str, Resource] = {}

    def client(self, *, sign_in: SignIn | None = None, concurrency: int = 3, attempts: int = 4) -> FhirClient:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        return FhirClient(
            BASE,
            sign_in=sign_in,
            concurrency=concurrency,
            retries=Retries(attempts=attempts),
            transport=httpx.MockTransport(self.answer),
            sleep=sleep,
        )

    def paths(self, method: str = "") -> list[str]:
        return [r.url.path for r in self.requests if method in ("", r.method)]

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        early = self.before(request)
        if early is not None:
            return early
        path = request.url.path.removeprefix("/r4").strip("/")
        query = parse_qsl(request.url.query.decode())
        if path == "metadata":
            return reply(self.statement)
        if path == "" and request.method == "POST":
            return self.transact(json.loads(request.content))
        if path.endswith("/_search"):
            query += parse_qsl(request.content.decode())
            return self.searched(path.removesuffix("/_search"), query)
        kind, _, rest = path.partition("/")
        if rest.endswith("$everything"):
            return self.searched("", [*query, ("everything", rest.split("/")[0])], path)
        if rest:
            for resource in self.resources:
                if resource["resourceType"] == kind and resource["id"] == rest:
                    return reply(resource)
            return reply(outcome("not-found", "no such resource"), 404)
        return self.searched(kind, query)

    def searched(self, kind: str, query: list[tuple[str, str]], path: str = "") -> httpx.Response:
        wanted = dict(query)
        found = [r for r in self.resources if _meets(r, kind, wanted)]
        start = int(wanted.pop("_start", 0))
        bundle: Resource = {
            "resourceType": "Bundle",
            "type": "searchset",
            "entry": [{"resource": r} for r in found[start : start + self.page]],
        }
        if start + self.page < len(found):
            wanted.pop("everything", None)
            parameters = httpx.QueryParams({**wanted, "_start": str(start + self.page)})
            link = f"{path or kind}?{parameters}"
            bundle["link"] = [
                {"relation": "self", "url": BASE},
                {"relation": "next", "url": link if self.relative_links else f"{BASE}/{link}"},
            ]
        return reply(bundle)

    def transact(self, bundle: Resource) -> httpx.Response:
        assert bundle["type"] == "transaction"
        results = []
        for entry in bundle["entry"]:
            request, resource = entry["request"], entry["resource"]
            assert "id" not in resource
            kind = resource["resourceType"]
            condition = request.get("ifNoneExist") or request["url"].partition("?")[2]
            key = f"{kind}?{condition}"
            status = "200" if key in self.stored else "201"
            if request["method"] == "PUT" or key not in self.stored:
                self.stored[key] = resource
            place = list(self.stored).index(key)
            results.append({"response": {"status": status, "location": f"{kind}/{place}/_history/1"}})
        return reply({"resourceType": "Bundle", "type": "transaction-response", "entry": results})


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
    """A JSON response."""
    return httpx.Response(status, content=_ENCODER.encode(value), headers=headers)


def _meets(resource: Resource, kind: str, wanted: dict[str, str]) -> bool:
    if "everything" in wanted:
        patient = f"Patient/{wanted['everything']}"
        return f"{resource['resourceType']}/{resource['id']}" == patient or _patient(resource) == patient
    if resource["resourceType"] != kind:
        return False
    if "_id" in wanted and resource["id"] not in wanted["_id"].split(","):
        return False
    patient = wanted.get("patient") or wanted.get("subject")
    if patient and _patient(resource) not in patient.split(","):
        return False
    for parameter, elements in CODED.items():
        if parameter in wanted and not _codes(resource, elements) & set(wanted[parameter].split(",")):
            return False
    return True


CODED = {
    "code": ("code", "codeCodeableConcept", "medicationCodeableConcept"),
    "type": ("type",),
    "category": ("category",),
    "vaccine-code": ("vaccineCode",),
}


def _codes(resource: Resource, elements: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    for name in elements:
        concepts = resource.get(name) or []
        for concept in concepts if isinstance(concepts, list) else [concepts]:
            found.update(coding.get("code") for coding in concept.get("coding", ()))
    return found


def _patient(resource: Resource) -> str | None:
    elements = (resource.get(name) for name in ("subject", "patient", "beneficiary"))
    return next((element["reference"] for element in elements if element), None)


def patient(identity: str) -> Resource:
    return {"resourceType": "Patient", "id": identity}


def about(kind: str, identity: str, of: str, code: str = "", **more: Any) -> Resource:
    """A resource about a patient, with a SNOMED CT code."""
    resource = {"resourceType": kind, "id": identity, "subject": {"reference": f"Patient/{of}"}, **more}
    if code:
        resource["code"] = {"coding": [{"system": "http://snomed.info/sct", "code": code}]}
    return resource
