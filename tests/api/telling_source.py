"""Subscriptions for a source of the tests, which has none of its own: kept, and told of as tests want it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route


class Telling:
    """An ASGI application with Subscriptions around another. A Subscription becomes ``becomes`` when it is
    asked for; ``events`` are the references of the events that there were, the first of number 1."""

    def __init__(
        self, *, offered: bool = True, searchable: bool = True, operations: tuple[str, ...] = ()
    ) -> None:
        self.held: dict[str, dict[str, Any]] = {}
        self.writes: list[str] = []
        self.becomes = "active"
        self.refused: set[str] = set()
        self.events: list[str] = []
        self._offered = offered
        self._searchable = searchable
        self._operations = operations
        self._made = 0

    def around(self, app: Any) -> Starlette:
        """The application with the Subscriptions."""
        self._inner = app
        base = "/fhir/Subscription"
        return Starlette(
            routes=[
                Route("/fhir/metadata", self._metadata),
                Route(base, self._create, methods=["POST"]),
                Route(f"{base}/_search", self._search, methods=["POST"]),
                Route(f"{base}/{{identity}}/$status", self._status),
                Route(f"{base}/{{identity}}/$events", self._events),
                Route(f"{base}/{{identity}}", self._one, methods=["GET", "PUT", "DELETE"]),
                Mount("/", app=app),
            ]
        )

    def by_criteria(self) -> dict[str, dict[str, Any]]:
        return {one["criteria"]: one for one in self.held.values()}

    async def _metadata(self, request: Request) -> Response:
        transport = httpx.ASGITransport(self._inner)
        async with httpx.AsyncClient(transport=transport, base_url=str(request.base_url)) as inner:
            statement = (await inner.get("/fhir/metadata")).json()
        codes = ("create", "read", "update", "delete", *(("search-type",) if self._searchable else ()))
        kinds = statement["rest"][0]["resource"]
        kinds[:] = [kind for kind in kinds if kind["type"] != "Subscription"]
        if not self._offered:
            return JSONResponse(statement)
        kinds.append(
            {
                "type": "Subscription",
                "interaction": [{"code": code} for code in codes],
                "searchParam": [{"name": "url", "type": "uri"}] if self._searchable else [],
                "operation": [{"name": name, "definition": name} for name in self._operations],
            }
        )
        return JSONResponse(statement)

    async def _create(self, request: Request) -> Response:
        resource = await request.json()
        if resource["criteria"] in self.refused:
            issue = {"severity": "error", "code": "not-supported", "diagnostics": "no such criteria here"}
            return JSONResponse({"resourceType": "OperationOutcome", "issue": [issue]}, 422)
        self._made += 1
        identity = f"s{self._made}"
        return JSONResponse(self._kept("POST", identity, resource), 201)

    def _kept(self, method: str, identity: str, resource: dict[str, Any]) -> dict[str, Any]:
        self.writes.append(f"{method} {resource['criteria']}")
        assert resource["status"] == "requested"
        self.held[identity] = {**resource, "id": identity, "status": self.becomes}
        return self.held[identity]

    async def _search(self, request: Request) -> Response:
        (wanted,) = parse_qs((await request.body()).decode())["url"]
        found = [one for one in self.held.values() if one["channel"]["endpoint"] == wanted]
        return JSONResponse(
            {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in found]}
        )

    async def _one(self, request: Request) -> Response:
        identity = request.path_params["identity"]
        if request.method == "PUT":
            return JSONResponse(self._kept("PUT", identity, await request.json()))
        known = self.held.get(identity)
        if known is None:
            return JSONResponse({"resourceType": "OperationOutcome", "issue": []}, 404)
        if request.method == "DELETE":
            self.writes.append(f"DELETE {known['criteria']}")
            del self.held[identity]
            return Response(status_code=204)
        return JSONResponse(known)

    async def _status(self, request: Request) -> Response:
        entry = {"resource": self._parameters(request.path_params["identity"], "query-status")}
        return JSONResponse({"resourceType": "Bundle", "type": "searchset", "entry": [entry]})

    async def _events(self, request: Request) -> Response:
        first = int(request.query_params["eventsSinceNumber"])
        last = int(request.query_params["eventsUntilNumber"])
        identity = request.path_params["identity"]
        return JSONResponse(self.notification(identity, first, last, kind="query-event"))

    def notification(
        self, identity: str, first: int, last: int, kind: str = "event-notification"
    ) -> dict[str, Any]:
        """The Bundle that tells of the events of these numbers, ids alone."""
        status = self._parameters(identity, kind)
        for number in range(first, min(last, len(self.events)) + 1):
            parts = [
                {"name": "event-number", "valueString": str(number)},
                {"name": "focus", "valueReference": {"reference": self.events[number - 1]}},
            ]
            status["parameter"].append({"name": "notification-event", "part": parts})
        return {"resourceType": "Bundle", "type": "history", "entry": [{"resource": status}]}

    def _parameters(self, identity: str, kind: str) -> dict[str, Any]:
        return {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "subscription", "valueReference": {"reference": f"Subscription/{identity}"}},
                {"name": "status", "valueCode": self.held[identity]["status"]},
                {"name": "type", "valueCode": kind},
                {"name": "events-since-subscription-start", "valueString": str(len(self.events))},
            ],
        }
