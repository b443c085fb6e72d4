"""Bulk Data: waiting, fetching, resuming, expired links, partial failures."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_server import BASE, ORIGIN, FakeServer, about, outcome, patient, reply, statement

from measurewise.fhir_server_adapter.bulk import BulkPatients, ExportRequest
from measurewise.fhir_server_adapter.capabilities import capabilities_of
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.signin import Bearer

FILES = {
    "patients": [patient("p1"), patient("p2")],
    "conditions": [
        about("Condition", "c1", "p1"),
        about("Condition", "c2", "p2"),
        about("Condition", "c3", "p2"),
    ],
}
WHOLE = {"p1": {"p1", "c1"}, "p2": {"p2", "c2", "c3"}}


class Exporter:
    """The export side of a server; ``answers`` are given instead of a file, one by one."""

    def __init__(self, waits: int = 1) -> None:
        self.server = FakeServer([])
        self.server.before = self.before
        self.waits = waits
        self.polled = 0
        self.kick_offs: list[httpx.Request] = []
        self.answers: dict[str, list[httpx.Response | Exception]] = {}
        self.manifest: dict[str, Any] = {
            "transactionTime": "2026-03-01T00:00:00Z",
            "requiresAccessToken": True,
            "output": [
                {"type": "Patient", "url": f"{ORIGIN}/files/patients", "count": 2},
                {"type": "Condition", "url": f"{ORIGIN}/files/conditions"},
            ],
            "error": [],
        }

    def before(self, request: httpx.Request) -> httpx.Response | None:
        path = request.url.path
        if path.endswith("$export"):
            self.kick_offs.append(request)
            self.polled = 0
            return httpx.Response(202, headers={"Content-Location": f"{BASE}/status/{len(self.kick_offs)}"})
        waiting = self.answers.get(path)
        if waiting:
            answer = waiting.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if path.startswith("/r4/status/"):
            if request.method == "DELETE":
                return httpx.Response(202)
            self.polled += 1
            if self.polled <= self.waits:
                return httpx.Response(202, headers={"Retry-After": "9", "X-Progress": "half"})
            return reply(self.manifest)
        name = path.removeprefix("/files/")
        if name in FILES:
            return httpx.Response(200, content="".join(json.dumps(r) + "\n" for r in FILES[name]))
        return None


def pulled(source: BulkPatients) -> dict[str, set[str]]:
    async def run() -> dict[str, set[str]]:
        return {p.patient_id: {r["id"] for r in p.resources} async for p in source.patients()}

    return asyncio.run(run())


def bulk(exporter: Exporter, folder: Path, **options: Any) -> BulkPatients:
    request = options.pop("request", ExportRequest())
    return BulkPatients(exporter.server.client(sign_in=Bearer("sesame")), request, folder, **options)


def test_an_export_is_asked_for_waited_for_fetched_and_released(tmp_path: Path) -> None:
    exporter = Exporter(waits=2)
    told: list[str] = []
    request = ExportRequest(
        "group",
        "g1",
        ("Patient", "Condition"),
        "2026-01-01T00:00:00Z",
        ("Condition?code=1,2", "Condition?code=3"),
    )
    source = bulk(exporter, tmp_path, request=request, progress=told.append)
    assert pulled(source) == WHOLE
    (kick_off,) = exporter.kick_offs
    assert kick_off.url.path == "/r4/Group/g1/$export"
    assert kick_off.headers["Prefer"] == "respond-async"
    assert kick_off.url.params["_type"] == "Patient,Condition"
    assert kick_off.url.params["_since"] == "2026-01-01T00:00:00Z"
    assert kick_off.url.params.get_list("_typeFilter") == ["Condition?code=1,2", "Condition?code=3"]
    assert told == ["half", "half"]
    assert exporter.server.slept == [9.0, 9.0]
    assert exporter.server.paths("DELETE") == ["/r4/status/1"]
    assert source.transaction_time == "2026-03-01T00:00:00Z"
    assert source.faults == []


@pytest.mark.parametrize("expired", [403, 404, 410])
def test_an_expired_file_makes_the_export_begin_anew(tmp_path: Path, expired: int) -> None:
    exporter = Exporter()
    exporter.answers["/files/conditions"] = [httpx.Response(expired)]
    assert pulled(bulk(exporter, tmp_path)) == WHOLE
    assert len(exporter.kick_offs) == 2
    assert exporter.server.paths().count("/files/patients") == 2


def test_an_export_that_keeps_expiring_is_given_up(tmp_path: Path) -> None:
    exporter = Exporter()
    exporter.answers["/files/conditions"] = [httpx.Response(410) for _ in range(9)]
    with pytest.raises(SourceError, match="expired 3 times"):
        pulled(bulk(exporter, tmp_path))
    assert len(exporter.kick_offs) == 3


def test_after_a_crash_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    exporter = Exporter()
    exporter.answers["/files/conditions"] = [httpx.ReadError("gone") for _ in range(4)]
    with pytest.raises(SourceError, match="cannot be reached"):
        pulled(bulk(exporter, tmp_path))
    assert pulled(bulk(exporter, tmp_path)) == WHOLE
    assert len(exporter.kick_offs) == 1
    assert exporter.server.paths().count("/files/patients") == 1
    assert "sesame" not in (tmp_path / "export.json").read_text()


def test_a_crash_while_waiting_goes_on_waiting_for_the_same_export(tmp_path: Path) -> None:
    exporter = Exporter(waits=50)
    with pytest.raises(SourceError, match="did not become ready"):
        pulled(bulk(exporter, tmp_path, polls=3))
    exporter.waits = 0
    assert pulled(bulk(exporter, tmp_path)) == WHOLE
    assert len(exporter.kick_offs) == 1


def test_a_status_that_is_gone_makes_the_export_begin_anew(tmp_path: Path) -> None:
    exporter = Exporter()
    exporter.answers["/r4/status/1"] = [reply(outcome("not-found", "no such job"), 404)]
    assert pulled(bulk(exporter, tmp_path)) == WHOLE
    assert len(exporter.kick_offs) == 2


def test_another_exports_folder_is_refused(tmp_path: Path) -> None:
    exporter = Exporter()
    pulled(bulk(exporter, tmp_path))
    with pytest.raises(SourceError, match="another export"):
        pulled(bulk(exporter, tmp_path, request=ExportRequest(types=("Patient",))))


def test_a_connection_that_breaks_within_a_file_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async def half() -> Any:
        yield json.dumps(FILES["conditions"][0]).encode() + b"\n"
        raise httpx.RemoteProtocolError("peer closed connection")

    exporter = Exporter()
    exporter.answers["/files/conditions"] = [httpx.Response(200, content=half())]
    assert pulled(bulk(exporter, tmp_path)) == WHOLE
    lines = (tmp_path / "resources" / "Condition.1.ndjson").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["c1", "c2", "c3"]


def test_what_the_server_could_not_export_is_reported(tmp_path: Path) -> None:
    exporter = Exporter()
    exporter.manifest["error"] = [{"type": "OperationOutcome", "url": f"{ORIGIN}/files/errors"}]
    exporter.manifest["deleted"] = [{"type": "Bundle", "url": f"{ORIGIN}/files/deleted"}]
    gone = {"resourceType": "Bundle", "entry": [{"request": {"method": "DELETE", "url": "Patient/p9"}}]}
    exporter.answers["/files/errors"] = [reply(outcome("exception", "Observation shard 3 is offline"))]
    exporter.answers["/files/deleted"] = [reply(gone)]
    source = bulk(exporter, tmp_path)
    assert pulled(source) == WHOLE
    assert source.faults == ["The server could not export all: exception: Observation shard 3 is offline"]
    assert source.deleted == ["Patient/p9"]


def test_a_file_shorter_than_the_manifest_says_is_an_error(tmp_path: Path) -> None:
    exporter = Exporter()
    exporter.manifest["output"][0]["count"] = 3
    with pytest.raises(SourceError, match="2 lines where the manifest says 3"):
        pulled(bulk(exporter, tmp_path))


def test_an_export_of_nothing_has_no_patients(tmp_path: Path) -> None:
    exporter = Exporter()
    exporter.manifest["output"] = []
    assert pulled(bulk(exporter, tmp_path)) == {}


def test_credentials_go_only_where_the_manifest_and_the_origin_allow(tmp_path: Path) -> None:
    exporter = Exporter()
    exporter.manifest["requiresAccessToken"] = False
    exporter.manifest["output"][1]["url"] = "https://storage.example.net/files/conditions"
    assert pulled(bulk(exporter, tmp_path / "a")) == WHOLE
    files = [r for r in exporter.server.requests if r.url.path.startswith("/files/")]
    assert [r.headers.get("Authorization") for r in files] == [None, None]
    exporter.manifest["requiresAccessToken"] = True
    with pytest.raises(SourceError, match="another origin"):
        pulled(bulk(exporter, tmp_path / "b"))


def test_an_export_that_the_server_does_not_offer_is_refused_before_any_request(tmp_path: Path) -> None:
    exporter = Exporter()
    offered = capabilities_of(statement())
    with pytest.raises(SourceError, match="offers no system export"):
        bulk(exporter, tmp_path, request=ExportRequest("system"), capabilities=offered)
    with pytest.raises(SourceError, match="group's id"):
        bulk(exporter, tmp_path, request=ExportRequest("group"))
    assert exporter.server.requests == []
