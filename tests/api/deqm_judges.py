"""Requests as the public DEQM test kit sends them, and what it asserts of an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

Check = Callable[[httpx.Client], None]
Judge = Callable[[httpx.Response], None]

HEADERS = {"Content-Type": "application/fhir+json"}


def sent(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(parts)}


def posted(path: str, judge: Judge, body: Any = None, method: str = "POST") -> Check:
    """A check of one request; the body of a GET becomes its query, as the kit's client does it."""

    def run(client: httpx.Client) -> None:
        if method == "GET":
            pairs = [(p["name"], v) for p in body["parameter"] for k, v in p.items() if k != "name"]
            judge(client.get(path, params=pairs))
        elif body is None:
            judge(client.post(path, headers=HEADERS))
        else:
            judge(client.post(path, json=body, headers=HEADERS))

    return run


def refused(status: int) -> Judge:
    def judge(answer: httpx.Response) -> None:
        assert answer.status_code == status, answer.text
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.json()["issue"][0]["severity"] == "error"

    return judge


def answered(kind: str) -> Judge:
    def judge(answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.text
        assert answer.json()["resourceType"] == kind

    return judge


def report(kind: str) -> Judge:
    def judge(answer: httpx.Response) -> None:
        answered("MeasureReport")(answer)
        assert (answer.json()["status"], answer.json()["type"]) == ("complete", kind)

    return judge


def bundles(count: int | None, reports: int, kind: str) -> Judge:
    """Parameters of so many Bundles (None: of some), each with so many reports of a kind."""

    def judge(answer: httpx.Response) -> None:
        answered("Parameters")(answer)
        parts = answer.json()["parameter"]
        assert len(parts) == count if count is not None else parts
        for part in parts:
            assert part["resource"]["resourceType"] == "Bundle"
            held = [entry["resource"] for entry in part["resource"]["entry"]]
            found = [one for one in held if one["resourceType"] == "MeasureReport"]
            assert len(found) == reports
            for one in found:
                assert (one["status"], one["type"]) == ("complete", kind)
                assert one["measure"]
                assert one["period"] == {"start": "2026-01-01", "end": "2026-12-31"}

    return judge
