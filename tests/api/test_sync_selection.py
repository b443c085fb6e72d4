"""Whose data are synced: a Group's, those whom a rule gives, those in files; and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from finished_jobs import finished, work_off
from served import YEAR, issue, start
from source_server import Watched, source_server
from synced_stores import added, contents, delete, our_store, put, queued, settled, stored, sync

from measurewise.api.jobs.worker import Worker
from measurewise.api.services.attribution import attribute
from measurewise.api.services.context import Services, open_services
from measurewise.api.settings import Settings
from measurewise.cli.app import run
from measurewise.engine import Period
from measurewise.engine.errors import MeasurewiseError
from measurewise.store import jobs, results
from measurewise.store.access import OPERATOR
from measurewise.store.resources import parse, write
from measurewise.synthetic import synthesize, write_ndjson

FEW = 6
NPI = "http://hl7.org/fhir/sid/us-npi"
DIABETES = "DiabetesGlycemicControl"


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[tuple[str, Watched]]:
    with source_server(tmp_path / "clinic", FEW) as found:
        settled()
        yield found


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Services]:
    yield from our_store(tmp_path / "ours")


@pytest.fixture
def in_either(database_url: str, tmp_path: Path) -> Iterator[Services]:
    """As ``ours``, once on SQLite and once on PostgreSQL."""
    services = open_services(
        Settings(data_folder=tmp_path / "either", database=database_url, _env_file=None)  # type: ignore[call-arg]
    )
    yield services
    services.database.close()


def names(watched: Watched) -> list[str]:
    return sorted(patient["id"] for patient in stored(watched, "Patient"))


def patients_in(services: Services) -> list[str]:
    return sorted(name.removeprefix("Patient/") for name in contents(services) if name.startswith("Patient/"))


def encounter(identity: str, of: str, practitioner: str, day: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter", "id": identity, "status": "finished", "class": {"code": "AMB"},
        "subject": {"reference": f"Patient/{of}"}, "period": {"start": day, "end": day},
        "participant": [{"individual": {"reference": f"Practitioner/{practitioner}"}}],
        "serviceProvider": {"reference": "Organization/practice"},
    }  # fmt: skip


def group(*members: str) -> dict[str, Any]:
    return {
        "resourceType": "Group", "id": "panel", "type": "person", "actual": True,
        "member": [{"entity": {"reference": f"Patient/{member}"}} for member in members],
    }  # fmt: skip


@pytest.mark.parametrize("way", ["searches", "bulk"])
def test_only_the_members_of_a_group_are_synced_and_new_members_come_whole(
    clinic: tuple[str, Watched], ours: Services, way: str
) -> None:
    url, watched = clinic
    everybody = names(watched)
    put(watched, group(*everybody[:2]))
    added(ours, url, way=way, group="panel")
    assert sync(ours)["read"] == 2
    assert patients_in(ours) == everybody[:2]
    settled()
    put(watched, group(*everybody[1:4]))
    put(watched, {**stored(watched, "Patient")[5], "active": True})
    # an export since a moment has of new members only what is new, unless it is asked for anew
    sync(ours, full=way == "bulk")
    assert patients_in(ours) == everybody[:4]
    own = contents(watched.services)
    assert all(own[name] == body for name, body in contents(ours).items())


def test_a_rule_says_whose_patients_they_are(clinic: tuple[str, Watched], ours: Services) -> None:
    url, watched = clinic
    one, two, three, *_ = names(watched)
    put(watched, {"resourceType": "Practitioner", "id": "dr", "identifier": [{"system": NPI, "value": "1"}]})
    put(watched, {"resourceType": "Practitioner", "id": "other"})
    put(watched, encounter("e1", one, "dr", "2026-03-01"))
    put(watched, encounter("e2", two, "dr", "2026-03-01"))
    put(watched, encounter("e3", two, "other", "2026-04-01"))
    put(watched, encounter("e4", two, "other", "2026-05-01"))
    put(watched, encounter("e5", three, "dr", "2024-03-01"))
    added(
        ours, url, way="everything", rule="most-visits", provider=(f"{NPI}|1",),
        start="2026-01-01", end="2026-12-31",
    )  # fmt: skip
    report = sync(ours)
    assert (report["written"], report["skipped"]) == (1, FEW - 1)
    assert patients_in(ours) == [one]
    settled()
    put(watched, encounter("e6", three, "dr", "2026-06-01"))
    assert sync(ours)["written"] == 1
    assert patients_in(ours) == [one, three]


def test_what_belongs_to_no_patient_is_synced_by_itself(
    clinic: tuple[str, Watched], in_either: Services
) -> None:
    ours = in_either
    url, watched = clinic
    one = names(watched)[0]
    put(watched, {"resourceType": "Practitioner", "id": "dr"})
    put(watched, {"resourceType": "Practitioner", "id": "nobody"})
    put(watched, encounter("e1", one, "dr", "2026-03-01"))
    settled()
    added(ours, url, way="everything")
    sync(ours)
    settled()
    put(watched, {"resourceType": "Practitioner", "id": "dr", "active": True})
    put(watched, {"resourceType": "Practitioner", "id": "nobody", "active": True})
    put(watched, {"resourceType": "Organization", "id": "practice"})
    watched.asked.clear()
    report = sync(ours)
    assert (report["read"], report["created_resources"], report["updated_resources"]) == (0, 1, 1)
    assert watched.named(names(watched)) == set()
    assert parse(contents(ours)["Practitioner/dr"])["active"] is True
    assert "Organization/practice" in contents(ours)
    assert "Practitioner/nobody" not in contents(ours)


def test_a_sync_that_lacks_something_asks_again_from_where_it_was(
    clinic: tuple[str, Watched], ours: Services
) -> None:
    url, watched = clinic
    put(watched, {"resourceType": "Practitioner", "id": "unreadable"})
    put(watched, encounter("e1", names(watched)[0], "unreadable", "2026-03-01"))
    settled()
    added(ours, url, way="everything")
    first = sync(ours)
    settled()
    put(watched, {"resourceType": "Practitioner", "id": "unreadable", "active": True})
    watched.failing = {"Practitioner/unreadable"}
    second = sync(ours)
    assert second["incomplete"] is True
    assert any("answered 500" in one["diagnostics"] for one in second["issues"]["issue"])
    assert second["synced"] == first["synced"]
    watched.failing = set()
    assert sync(ours)["updated_resources"] == 1
    assert parse(contents(ours)["Practitioner/unreadable"])["active"] is True


def test_files_are_read_whole_and_only_what_differs_is_written(ours: Services, tmp_path: Path) -> None:
    file = tmp_path / "patients.ndjson"

    def written(bundles: list[dict[str, Any]]) -> None:
        with file.open("wb") as out:
            write_ndjson(iter(bundles), out)

    bundles = list(synthesize(FEW, 1, 2026))
    written(bundles)
    added(ours, str(file), way="files")
    assert sync(ours)["written"] == FEW
    before = contents(ours)
    assert sync(ours)["unchanged"] == FEW
    bundles[1]["entry"][0]["resource"]["active"] = False
    written(bundles[:-1])
    report = sync(ours)
    assert (report["written"], report["unchanged"], report["removed"]) == (1, FEW - 2, 1)
    changed = {name for name, body in contents(ours).items() if before[name] != body}
    assert changed == {f"Patient/{bundles[1]['entry'][0]['resource']['id']}"}
    written([])
    assert finished(ours, queued(ours)).state == "failed"
    assert len(patients_in(ours)) == FEW - 1


def test_only_the_results_of_the_patients_who_changed_become_stale_and_are_computed_again(
    clinic: tuple[str, Watched], in_either: Services
) -> None:
    ours = in_either
    url, watched = clinic
    added(ours, url, way="searches")
    sync(ours)
    for client in start(ours.settings):
        assert _population(client) == 200
    with ours.database.read() as connection:
        assert results.counts(connection, "default") == (FEW, 0)
    settled()
    one = names(watched)[2]
    patient = next(p for p in stored(watched, "Patient") if p["id"] == one)
    put(watched, {**patient, "birthDate": "1950-01-01"})
    job = queued(ours)
    worker = Worker(ours)
    while not _ended(ours, job):
        assert worker.work_once()
    with ours.database.read() as connection:
        assert results.counts(connection, "default") == (FEW, 1)
    work_off(worker)
    with ours.database.read() as connection:
        assert results.counts(connection, "default") == (FEW, 0)


def _ended(services: Services, job: str) -> bool:
    with services.database.read() as connection:
        return jobs.read(connection, OPERATOR, job).ended


def _population(client: TestClient, **more: str) -> int:
    parameters = {**YEAR, "reportType": "population", **more}
    answer = client.get(f"/fhir/Measure/{DIABETES}/$evaluate-measure", params=parameters)
    return int(answer.status_code)


def test_a_rule_makes_a_group_that_measures_take(ours: Services) -> None:
    with ours.database.write() as connection:
        for name in ("one", "two", "three"):
            write(connection, "default", {"resourceType": "Patient", "id": name, "birthDate": "1960-01-01"})
        write(connection, "default", {"resourceType": "Practitioner", "id": "dr",
                                      "identifier": [{"system": NPI, "value": "1"}]})  # fmt: skip
        write(connection, "default", encounter("e1", "one", "dr", "2026-03-01"))
        write(connection, "default", encounter("e2", "two", "dr", "2025-03-01"))
        write(connection, "default", encounter("e3", "three", "other", "2026-03-01"))
        write(connection, "elsewhere", {"resourceType": "Patient", "id": "far"})
        write(connection, "elsewhere", encounter("e1", "far", "dr", "2026-03-01"))
    year = Period.parse("2026")
    made = attribute(ours.database, "default", "encounter-participant", year, provider=[f"{NPI}|1"])
    found = made.parsed()
    assert [member["entity"]["reference"] for member in found["member"]] == ["Patient/one"]
    assert found["member"][0]["period"] == {"start": "2026-01-01", "end": "2026-12-31"}
    (why,) = found["characteristic"]
    assert why["code"]["coding"] == [{"code": "encounter-participant"}]
    assert why["valueReference"] == {"identifier": {"system": NPI, "value": "1"}}
    again = attribute(ours.database, "default", "encounter-participant", year, provider=[f"{NPI}|1"])
    assert (again.id, again.version) == (made.id, 1)
    practice = attribute(
        ours.database,
        "default",
        "encounter-participant",
        year,
        practice=["Organization/practice"],
        identity="tin",
    )
    assert practice.parsed()["quantity"] == 2
    for client in start(ours.settings):
        assert (
            client.post("/fhir/Group/$validate", json=found).json()["issue"][0]["severity"] == "information"
        )
        report = client.get(
            f"/fhir/Measure/{DIABETES}/$evaluate-measure",
            params={**YEAR, "reportType": "subject-list", "subject": f"Group/{made.id}"},
        )
        assert report.status_code == 200, report.text
        assert issue(client.get("/fhir/Group/none"))["code"] == "not-found"
    for rule, name, said in (
        ("nearest", "Practitioner/1", "no rule"),
        ("most-visits", "dr", "names nobody"),
    ):
        with pytest.raises(MeasurewiseError, match=said):
            attribute(ours.database, "default", rule, year, provider=[name])
    with pytest.raises(MeasurewiseError, match="nobody is named"):
        attribute(ours.database, "default", "most-visits", year)


def test_the_commands_do_all_of_it(
    clinic: tuple[str, Watched],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, watched = clinic
    monkeypatch.setenv("MEASUREWISE_DATA_FOLDER", str(tmp_path / "theirs"))
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, status: int = 0) -> Any:
        assert run([*arguments, "--json"]) == status
        return json.loads(capsys.readouterr().out)

    kept = command("source", "add", "clinic", url, "--way", "searches", "--overlap", "1")
    assert (kept["settings"]["way"], kept["settings"]["overlap"]) == ("searches", 1.0)
    assert command("sync", "clinic")["written"] == FEW
    one = names(watched)[0]
    settled()
    put(watched, {**stored(watched, "Patient")[0], "generalPractitioner": [{"reference": "Practitioner/dr"}]})
    assert command("sync", "clinic")["written"] == 1
    group = command(
        "attribute", "--rule", "general-practitioner", "--provider", "Practitioner/dr", "--period", "2026"
    )
    assert group["members"] == 1
    assert command("sync", "clinic", "--patient", one)["unchanged"] == 1
    delete(watched, f"Patient/{one}")
    assert command("sync", "clinic", "--full")["removed"] == 1
    (listed,) = command("source", "list")["sources"]
    assert (listed["name"], listed["held"], listed["failed"]) == ("clinic", FEW - 1, 0)
    assert run(["source", "list"]) == 0
    assert run(["sync", "clinic"]) == 0
    assert "0 failed" in capsys.readouterr().out
    assert command("sync", "nobody", status=2)["error"]["what"] == "there is no source 'nobody'."
    assert command("source", "remove", "clinic", "--with-data")["deleted"] > 100
    assert command("source", "list")["sources"] == []


def test_a_missing_secret_is_named_and_no_secret_is_shown(
    clinic: tuple[str, Watched],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, watched = clinic
    folder = tmp_path / "theirs"
    monkeypatch.setenv("MEASUREWISE_DATA_FOLDER", str(folder))
    monkeypatch.chdir(tmp_path)
    assert run(["source", "add", "east-clinic", url, "--sign-in", "bearer"]) == 0
    assert run(["sync", "east-clinic"]) == 2
    assert "MEASUREWISE_SOURCES__EAST_CLINIC__TOKEN" in capsys.readouterr().err
    monkeypatch.setenv("MEASUREWISE_SOURCES__EAST_CLINIC__TOKEN", "hush-hush-token")
    assert run(["sync", "east-clinic"]) == 0
    shown = capsys.readouterr()
    assert "hush-hush" not in shown.out + shown.err
    assert all(b"hush-hush" not in file.read_bytes() for file in folder.rglob("*") if file.is_file())
    assert len(watched.asked) > 10
