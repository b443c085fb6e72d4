"""Many clients that write the same resources at once: each is served, none is answered with a fault."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from over_http import Serving, serving
from postgresql_server import new_database
from served import YEAR

from measurewise.api.settings import Settings

MEASURE = "DiabetesGlycemicControl"
CLIENTS = 6


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Serving]:
    url = new_database(request, tmp_path, request.param)
    with serving(Settings(data_folder=tmp_path, database=url, _env_file=None)) as found:  # type: ignore[call-arg]
        yield found


def observation(number: int, value: int) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": "final",
        "code": {"text": "anything"},
        "subject": {"reference": f"Patient/p{number}"},
        "valueInteger": value,
    }


def entry(resource: dict[str, Any]) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url}}


def write_in_turns(site: Serving, client: int) -> list[int]:
    """What a client gets who writes ten resources again and again, each client in an order of its own."""
    statuses = []
    for turn in range(2):
        numbers = [(start * (client % 2 * 2 - 1)) % 10 for start in range(10)]
        value = 100 * client + turn
        bundle = {"resourceType": "Bundle", "entry": [entry(observation(n, value)) for n in numbers]}
        for kind in ("transaction", "batch"):
            answer = site.client.post("", json={**bundle, "type": kind})
            statuses.append(answer.status_code)
            statuses += [int(one["response"]["status"]) for one in answer.json()["entry"]]
        alone = observation(turn, value)
        statuses.append(site.client.put(f"/Observation/{alone['id']}", json=alone).status_code)
        subject = {"measureId": MEASURE, "reportType": "summary"}
        statuses.append(site.client.get("/Measure/$evaluate", params={**YEAR, **subject}).status_code)
    return statuses


def test_clients_that_write_the_same_at_once_are_all_served(site: Serving) -> None:
    people = [entry({"resourceType": "Patient", "id": f"p{number}"}) for number in range(10)]
    written = site.client.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": people})
    assert written.status_code == 200
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(lambda client: write_in_turns(site, client), range(CLIENTS)))
    assert {status for statuses in found for status in statuses} <= {200, 201}
    history = site.client.get("/Observation/o5/_history").json()["entry"]
    versions = [int(one["resource"]["meta"]["versionId"]) for one in history]
    assert sorted(versions) == list(range(1, len(versions) + 1))


def test_of_those_who_change_one_version_one_succeeds(site: Serving) -> None:
    site.client.put("/Observation/o1", json=observation(1, 0))

    def change(client: int) -> int:
        matching = {"If-Match": 'W/"1"'}
        return site.client.put(
            "/Observation/o1", json=observation(1, client + 1), headers=matching
        ).status_code

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = sorted(pool.map(change, range(CLIENTS)))
    assert statuses == [200] + [412] * (CLIENTS - 1)


def test_of_those_who_make_one_resource_at_once_one_makes_it(site: Serving) -> None:
    def make(client: int) -> int:
        return site.client.put("/Observation/o1", json=observation(1, client)).status_code

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = sorted(pool.map(make, range(CLIENTS)))
    assert statuses == [200] * (CLIENTS - 1) + [201]
