"""CMS's submissions API in memory, as its documentation tells of it.

Bearer tokens of organisations (a registry) and of users; measurement sets that find or make their submission;
one set of a category, method and programme in a submission (409); organisations see and change only their own
sets and may not write submissions (401); fields that are missing or wrong (422, ``details`` with ``path``);
the rates that the API computes; scores. ``faults`` are answers given once each before anything else:
``(status, headers, body)``, or an exception to raise in place of an answer.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

BASE = "https://preview.qpp.cms.gov/api/submissions"
REGISTRY_TOKEN, OTHER_REGISTRY_TOKEN, USER_TOKEN = (
    f"{who}-secret-token" for who in ("registry", "other-registry", "user")
)
WHO = {
    REGISTRY_TOKEN: ("organization", "registry-1"),
    OTHER_REGISTRY_TOKEN: ("organization", "registry-2"),
    USER_TOKEN: ("user", "user-1"),
}
IDENTITY = (
    "entityType",
    "entityId",
    "taxpayerIdentificationNumber",
    "nationalProviderIdentifier",
    "performanceYear",
)
Answer = tuple[int, Mapping[str, str], Any]


class _RefusedError(Exception):
    def __init__(
        self, status: int, kind: str, message: str, details: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        error: dict[str, Any] = {"type": kind, "message": message}
        if details:
            error["details"] = details
        self.status = status
        self.body = {"error": error}


class FakeSubmissionsApi:
    """``requests`` keeps what came: method, path, query, headers, body."""

    def __init__(self) -> None:
        self.submissions: dict[str, dict[str, Any]] = {}
        self.sets: dict[str, dict[str, Any]] = {}
        self.faults: deque[Answer | Exception] = deque()
        self.requests: list[tuple[str, str, dict[str, str], dict[str, str], Any]] = []

    def transport(self) -> httpx.MockTransport:
        """For a client in the same process."""

        def handle(request: httpx.Request) -> httpx.Response:
            path = request.url.path.removeprefix(urlsplit(BASE).path)
            query = dict(request.url.params)
            status, headers, body = self.answer(
                request.method, path, query, dict(request.headers), request.content
            )
            content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            return httpx.Response(status, headers=dict(headers), content=content)

        return httpx.MockTransport(handle)

    @contextmanager
    def serve(self) -> Iterator[str]:
        """For a client in any process: the base URL of a server on this machine."""
        double = self

        class Handler(BaseHTTPRequestHandler):
            def _handle(self) -> None:
                parts = urlsplit(self.path)
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, more, body = double.answer(
                    self.command, parts.path, dict(parse_qsl(parts.query)), headers, content
                )
                sent = b"" if body is None else json.dumps(body).encode()
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            do_GET = do_POST = do_PUT = do_DELETE = _handle

            def log_message(self, format: str, *args: Any) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], content: bytes
    ) -> Answer:
        body = json.loads(content) if content else None
        self.requests.append((method, path, query, headers, body))
        if self.faults:
            fault = self.faults.popleft()
            if isinstance(fault, Exception):
                raise fault
            return fault
        try:
            return self._routed(method, path, query, headers, body)
        except _RefusedError as refused:
            return refused.status, {}, refused.body

    def _routed(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: Any
    ) -> Answer:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token not in WHO:
            raise _RefusedError(401, "Unauthorized", "invalid token")
        who = WHO[token]
        match method, path.strip("/").split("/"):
            case "GET", ["submissions"]:
                found = self._found(who, query, headers.get("qpp-taxpayer-identification-number"))
                return 200, {}, {"data": {"submissions": found}}
            case "POST", ["submissions", "score-preview"]:
                return 200, {}, {"data": {"score": _score(body.get("measurementSets") or [])}}
            case "POST", ["submissions"]:
                return 201, {}, {"data": {"submission": self._create_submission(who, body)}}
            case "GET", ["submissions", name, "score"]:
                sets = self._seen(who, self._submission(name))["measurementSets"]
                wanted = query.get("program")
                return (
                    200,
                    {},
                    {"data": {"score": _score([s for s in sets if wanted in (None, s["programName"])])}},
                )
            case "GET", ["submissions", name]:
                return 200, {}, {"data": {"submission": self._seen(who, self._submission(name))}}
            case "PUT", ["submissions", name]:
                self._delete_submission(who, name)
                return 200, {}, {"data": {"submission": self._create_submission(who, body, name)}}
            case "DELETE", ["submissions", name]:
                self._delete_submission(who, name)
                return 204, {}, None
            case "GET", ["measurement-sets"]:
                own = [one for one in self.sets.values() if one["submitterId"] == who[1]]
                return 200, {}, {"data": {"measurementSets": own}}
            case "POST", ["measurement-sets"]:
                return 201, {}, {"data": {"measurementSet": self._create_set(who, body), "warnings": []}}
            case "GET", ["measurement-sets", name]:
                return 200, {}, {"data": {"measurementSet": self._own(who, name)}}
            case "PUT", ["measurement-sets", name]:
                old = self._own(who, name)
                return (
                    200,
                    {},
                    {"data": {"measurementSet": self._store(who, body, old["submissionId"], name)}},
                )
            case "DELETE", ["measurement-sets", name]:
                self._own(who, name)
                del self.sets[name]
                return 204, {}, None
        raise _RefusedError(404, "NotFound", "no such resource")

    def _found(self, who: tuple[str, str], query: dict[str, str], tin: str | None) -> list[dict[str, Any]]:
        wanted = {**query, **({"taxpayerIdentificationNumber": tin} if tin else {})}
        fitting = [
            one
            for one in self.submissions.values()
            if all(str(one.get(name, "")) == value for name, value in wanted.items())
        ]
        seen = [self._seen(who, one) for one in fitting]
        return [one for one in seen if one["measurementSets"] or tin]

    def _seen(self, who: tuple[str, str], submission: dict[str, Any]) -> dict[str, Any]:
        sets = [
            one
            for one in self.sets.values()
            if one["submissionId"] == submission["id"] and (who[0] == "user" or one["submitterId"] == who[1])
        ]
        return {**submission, "measurementSets": sets}

    def _submission(self, name: str) -> dict[str, Any]:
        if name not in self.submissions:
            raise _RefusedError(404, "NotFound", "submission not found")
        return self.submissions[name]

    def _own(self, who: tuple[str, str], name: str) -> dict[str, Any]:
        one = self.sets.get(name)
        if one is None or (who[0] == "organization" and one["submitterId"] != who[1]):
            raise _RefusedError(404, "NotFound", "measurement set not found")
        return one

    def _create_submission(
        self, who: tuple[str, str], body: dict[str, Any], name: str | None = None
    ) -> dict[str, Any]:
        if who[0] != "user":
            raise _RefusedError(401, "Unauthorized", "Current user cannot create this object")
        if self._same(body) is not None:
            raise _RefusedError(409, "Conflict", "duplicate entry: the submission exists")
        made = self._make_submission(body, name)
        for one in body.get("measurementSets") or []:
            self._store(who, one, made["id"])
        return self._seen(who, made)

    def _delete_submission(self, who: tuple[str, str], name: str) -> None:
        if who[0] != "user":
            raise _RefusedError(401, "Unauthorized", "Current user cannot delete this object")
        self._submission(name)
        del self.submissions[name]
        self.sets = {key: one for key, one in self.sets.items() if one["submissionId"] != name}

    def _same(self, body: dict[str, Any]) -> dict[str, Any] | None:
        key = [body.get(name) for name in IDENTITY]
        fitting = (one for one in self.submissions.values() if [one.get(n) for n in IDENTITY] == key)
        return next(fitting, None)

    def _make_submission(self, body: dict[str, Any], name: str | None = None) -> dict[str, Any]:
        missing = [n for n in ("entityType", "performanceYear") if n not in body]
        if missing:
            raise _invalid("submission", [(n, f"$.{n}") for n in missing])
        made = {"id": name or str(uuid.uuid4()), **{n: body[n] for n in IDENTITY if n in body}}
        self.submissions[made["id"]] = made
        return made

    def _create_set(self, who: tuple[str, str], body: dict[str, Any]) -> dict[str, Any]:
        named = body.get("submission")
        if not isinstance(named, dict):
            raise _invalid("measurementSet", [("submission", "$.submission")])
        _check_set(body)
        submission = self._same(named) or self._make_submission(named)
        return self._store(who, body, submission["id"])

    def _store(
        self, who: tuple[str, str], body: dict[str, Any], submission: str, name: str | None = None
    ) -> dict[str, Any]:
        _check_set(body)
        programme = body.get("programName") or "mips"
        key = (submission, body["category"], body["submissionMethod"], programme)
        for other in self.sets.values():
            if other["id"] != name and _key(other) == key:
                raise _RefusedError(409, "Conflict", "duplicate entry: the measurement set exists")
        made = name or str(uuid.uuid4())
        content = {key: value for key, value in body.items() if key != "submission"}
        measurements = [
            {
                **one,
                "id": str(uuid.uuid4()),
                "measurementSetId": made,
                "value": _computed(one["value"]),
            }
            for one in body.get("measurements") or []
        ]
        self.sets[made] = {
            "measureSet": None,
            "cehrtId": None,
            **content,
            "id": made,
            "createdAt": "2026-01-15T15:18:00Z",
            "updatedAt": "2026-01-15T15:18:00Z",
            "submissionId": submission,
            "submitterId": who[1],
            "submitterType": who[0],
            "programName": programme,
            "measurements": measurements,
        }
        return self.sets[made]


def _key(one: dict[str, Any]) -> tuple[str, str, str, str]:
    return one["submissionId"], one["category"], one["submissionMethod"], one["programName"]


def _check_set(body: dict[str, Any]) -> None:
    required = ("category", "submissionMethod", "performanceStart", "performanceEnd")
    missing = [(name, f"$.{name}") for name in required if not body.get(name)]
    for number, one in enumerate(body.get("measurements") or []):
        at = f"$.measurements[{number}]"
        value = one.get("value")
        if value is None:
            missing.append(("value", f"{at}.value"))
        elif isinstance(value, dict) and "performanceMet" in value and "eligiblePopulation" not in value:
            missing.append(("eligiblePopulation", f"{at}.value.eligiblePopulation"))
    if missing:
        raise _invalid("measurementSet", missing)


def _invalid(kind: str, missing: list[tuple[str, str]]) -> _RefusedError:
    details = [
        {"message": f"field '{name}' in {path.rpartition('.')[0]} is missing", "path": path}
        for name, path in missing
    ]
    return _RefusedError(422, "ValidationError", f"invalid {kind} object", details)


def _computed(value: Any) -> Any:
    """The rates that the API adds to a value with one rate."""
    if not isinstance(value, dict) or "performanceMet" not in value:
        return value
    met, missed = value["performanceMet"], value.get("performanceNotMet") or 0
    parts = met + missed
    left = (value.get("eligiblePopulationExclusion") or 0) + (value.get("eligiblePopulationException") or 0)
    eligible = value["eligiblePopulation"]
    return {
        **value,
        "performanceRate": round(100 * met / parts, 2) if parts else None,
        "reportingRate": round(100 * (parts + left) / eligible, 2) if eligible else None,
    }


def _score(sets: list[dict[str, Any]]) -> dict[str, Any]:
    """A score in the API's shape: a tree of parts, one a category; its value is of no meaning."""
    parts = [
        {"name": one["category"], "value": 1.0, "parts": [], "metadata": {}}
        for one in sets
        if one.get("measurements")
    ]
    return {
        "name": "total",
        "title": "Total Score",
        "value": float(len(parts)),
        "parts": parts,
        "warnings": ["Disclaimer: Scoring is subject to change."],
        "errors": [],
    }
