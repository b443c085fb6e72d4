"""What the server tells those who run it: who asked for what kind of thing, and never about whom."""

from __future__ import annotations

import io
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from deqm_data import DIABETES, patient
from fastapi.testclient import TestClient
from served import YEAR, put, start
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from measurewise.api import observing
from measurewise.api.fhir import resource_routes
from measurewise.api.jobs import evaluating, worker
from measurewise.api.settings import Settings
from measurewise.store.errors import NoSuchResourceError
from measurewise.store.tables import resources

NAME, TOKEN = "Zyxwvutson", "eyJhbGciOiJFUzM4NCJ9.c2VjcmV0.dG9rZW4"
PERSON = "zyx-0815"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is written to the log, as the server writes it in production."""
    stream = io.StringIO()
    root, known = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    monkeypatch.setattr("sys.stderr", stream)
    observing.configure_logs(as_json=True)
    structlog.configure(cache_logger_on_first_use=False)
    monkeypatch.setattr(observing, "_log", structlog.stdlib.get_logger("measurewise.request"))
    yield stream
    root.handlers, root.level = handlers, level
    structlog.configure(**known)


@pytest.fixture
def client(lines: io.StringIO, tmp_path: Path) -> Iterator[TestClient]:
    for served in start(Settings(data_folder=tmp_path, _env_file=None)):  # type: ignore[call-arg]
        served.headers["authorization"] = f"Bearer {TOKEN}"
        yield served


def logged(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_logs_name_routes_and_requests_but_nobody(client: TestClient, lines: io.StringIO) -> None:
    put(client, *patient(PERSON, name=[{"family": NAME}]))
    about = f"Patient/{PERSON}"
    client.get(f"/fhir/Patient?name={NAME}")
    client.get(f"/fhir/Patient/{PERSON}/$everything")
    client.post("/fhir/Patient/_search", data={"family": NAME})
    client.get(f"/fhir/Measure/{DIABETES}/$evaluate-measure", params={**YEAR, "subject": about})
    client.get(f"/fhir/Measure/{DIABETES}/$evaluate", params={**YEAR, "subject": about},
               headers={"prefer": "respond-async"})  # fmt: skip
    client.get("/fhir/Measure/$care-gaps", params={**YEAR, "measureId": DIABETES, "subject": about})
    client.post(
        "/fhir/$cql",
        json={"resourceType": "Parameters", "parameter": [
            {"name": "expression", "valueString": f"'{NAME}' + 1"}, {"name": "subject", "valueString": about},
        ]},
    )  # fmt: skip
    client.post("/fhir/Patient", content=f'{{"resourceType":"Patient","name":"{NAME}"')
    client.get(f"/fhir/Patient/{NAME}/{PERSON}/nothing")
    client.put(f"/fhir/{NAME}/{PERSON}", json={"resourceType": NAME, "id": PERSON})
    client.delete(f"/fhir/{about}")
    client.get(f"/fhir/{about}")
    told = [line for line in logged(lines) if line["event"] == "request"]
    assert len(told) == 16
    for line in told:
        assert set(line) >= {"request_id", "method", "route", "status", "milliseconds", "timestamp", "level"}
    assert "/Measure/{identity}/$evaluate-measure" in {line["route"] for line in told}
    text = lines.getvalue()
    for secret in (NAME, PERSON, TOKEN, TOKEN.partition(".")[2], about):
        assert secret not in text, secret


def test_a_request_keeps_the_id_that_its_client_gave(client: TestClient, lines: io.StringIO) -> None:
    answer = client.get("/fhir/metadata", headers={"x-request-id": "order-66.a_b"})
    assert answer.headers["x-request-id"] == "order-66.a_b"
    assert logged(lines)[-1]["request_id"] == "order-66.a_b"
    for unsound in ("a b", "x" * 65, '"', "a\tb"):
        given = client.get("/health", headers={"x-request-id": unsound}).headers["x-request-id"]
        assert re.fullmatch(r"[0-9a-f-]{36}", given), unsound


def test_a_fault_is_told_in_the_log_and_not_to_the_client(
    client: TestClient, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("inner workings")

    monkeypatch.setattr(resource_routes, "find", broken)
    quiet = TestClient(client.app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)
    answer = quiet.get("/fhir/Patient", headers={"x-request-id": "broken-1"})
    assert answer.status_code == 500
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert (outcome["issue"][0]["severity"], outcome["issue"][0]["code"]) == ("fatal", "exception")
    assert "broken-1" in outcome["issue"][0]["details"]["text"]
    assert answer.headers["x-request-id"] == "broken-1"
    for inner in ("inner workings", "ZeroDivision", "Traceback", ".py"):
        assert inner not in answer.text
    (failed,) = [line for line in logged(lines) if line["event"] == "request failed"]
    assert failed["request_id"] == "broken-1"
    assert "ZeroDivisionError: inner workings" in failed["exception"]


def test_a_fault_of_the_store_is_told_without_the_data(client: TestClient) -> None:
    database = client.app.state.services.database  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError) as failed, database.write() as connection:
        connection.execute(insert(resources).values(id=PERSON, body=NAME.encode()))
    assert PERSON not in str(failed.value)
    assert NAME not in str(failed.value)


def test_a_job_that_fails_is_logged_without_saying_about_whom(
    client: TestClient, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_log", structlog.stdlib.get_logger("measurewise.worker"))
    put(client, *patient(PERSON))
    asked = {**YEAR, "subject": f"Patient/{PERSON}"}
    monkeypatch.setattr(evaluating, "find_subjects", _nobody)
    later = client.get(
        f"/fhir/Measure/{DIABETES}/$evaluate-measure", params=asked, headers={"prefer": "respond-async"}
    )
    assert later.status_code == 202
    until = time.monotonic() + 30
    while (answer := client.get(later.headers["content-location"])).status_code == 202:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert answer.status_code == 404
    assert PERSON in answer.text
    assert "job failed" in {line["event"] for line in logged(lines)}
    assert PERSON not in lines.getvalue()


def _nobody(*_: object) -> None:
    raise NoSuchResourceError(f"there is no Patient/{PERSON}.", where="Patient")


def test_labels_of_metrics_are_bounded(client: TestClient) -> None:
    def labels() -> set[str]:
        text = client.get("/metrics").text
        return {line.rpartition(" ")[0] for line in text.splitlines() if line.startswith("measurewise_req")}

    client.get("/metrics")
    for method in ("GET", "DELETE", "PUT", "BREW"):
        client.request(method, f"/fhir/Patient/{PERSON}", json={"resourceType": "Patient"})
        client.request(method, f"/{NAME}/{PERSON}")
    before = labels()
    for number in range(20):
        for method in ("GET", f"BREW{number}"):
            client.request(method, f"/fhir/Patient/{PERSON}-{number}")
            client.request(method, f"/fhir/Thing{number}")
            client.request(method, f"/{NAME}/{number}/{number}")
    after = labels()
    assert not [label for label in after if NAME in label or PERSON in label or "BREW" in label]
    # A search of an unknown type is refused under the same route as any other.
    assert len(after - before) <= 30, after - before
