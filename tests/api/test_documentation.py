"""The documentation page is whole without a network."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from fastapi.testclient import TestClient
from served import BASE

from measurewise.api.operations import OPERATIONS

SWAGGER_UI = Path(__file__).parents[2] / "api" / "swagger_ui"


def loaded(page: str) -> list[str]:
    """Every address that the page loads."""
    return [
        urljoin(f"{BASE}/docs", found) for found in re.findall(r'(?:src|href|data-openapi)="([^"]+)"', page)
    ]


def test_all_that_the_page_loads_comes_from_this_server(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    addresses = [address for address in loaded(page.text) if not address.startswith("data:")]
    assert len(addresses) == 4
    for address in addresses:
        assert urlsplit(address).netloc == urlsplit(BASE).netloc, address
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.content
        if address.endswith(".css"):
            assert not re.findall(r"@import|url\((?![\"']?data:)", answer.text)


def test_the_browser_is_told_to_ask_nobody_else(client: TestClient) -> None:
    policy = client.get("/docs").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_the_description_has_every_operation(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for operation in OPERATIONS:
        for _, path in operation.paths():
            assert f"/fhir{path}" in paths


def test_the_files_are_the_released_ones() -> None:
    hashes = re.findall(r"\| `([\w.-]+)` \| `([0-9a-f]{64})` \|", (SWAGGER_UI / "README.md").read_text())
    assert len(hashes) == 2
    for name, expected in hashes:
        assert hashlib.sha256((SWAGGER_UI / name).read_bytes()).hexdigest() == expected


def test_an_unknown_file_is_not_there(client: TestClient) -> None:
    assert client.get("/docs/README.md").status_code == 404


def test_metrics_tell_of_jobs_whichever_process_does_them(client: TestClient) -> None:
    path = "/fhir/Measure/DiabetesGlycemicControl/$evaluate-measure"
    asked = {"periodStart": "2026-01-01", "periodEnd": "2026-12-31"}
    accepted = client.get(path, params=asked, headers={"prefer": "respond-async"})
    where = accepted.headers["content-location"]
    for _ in range(600):
        if client.get(where).status_code != 202:
            break
        time.sleep(0.05)
    told = client.get("/metrics").text
    assert 'measurewise_jobs{kind="evaluate",state="completed"} 1.0' in told
    assert 'measurewise_oldest_job_seconds{state="running"} 0.0' in told
    assert 'measurewise_job_steps{state="waiting"} 0.0' in told
    assert '/Measure/{identity}/$evaluate-measure",status="202"} ' in told
