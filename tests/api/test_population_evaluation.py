"""Live results: what is kept is reused as long as it is right, and nothing else is computed again."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from finished_jobs import work_off
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postgresql_server import new_database
from sqlalchemy import Connection, select
from stored_patients import load, resources_of

from measurewise.api.jobs.refreshing import queue_refresh
from measurewise.api.jobs.worker import Worker
from measurewise.api.services.context import Services, open_services
from measurewise.api.services.evaluation import (
    Evaluated,
    EvaluationRequest,
    evaluate_request,
    evaluate_stored,
    from_shares,
    prepare,
    reports,
    to_share,
)
from measurewise.api.settings import Settings
from measurewise.store import jobs
from measurewise.store.access import OPERATOR, Access
from measurewise.store.bulk_writing import write_many
from measurewise.store.resources import compartment, patients, read, remove, write
from measurewise.store.results import counts
from measurewise.store.tables import resources as rows

MEASURES = ("DiabetesGlycemicControl", "HighBloodPressureFollowUp", "HospitalFollowUpInterval")
REQUEST = EvaluationRequest(MEASURES, "2026-01-01", "2026-12-31", "summary")
TYPES = {
    "DiabetesGlycemicControl": {
        "Condition", "Coverage", "Encounter", "Observation", "Procedure", "ServiceRequest",
    },
    "HighBloodPressureFollowUp": {
        "Condition", "Coverage", "Encounter", "Medication", "MedicationRequest", "Observation", "Procedure",
        "ServiceRequest",
    },
    "HospitalFollowUpInterval": {"Encounter"},
}  # fmt: skip
_numbers = count(1)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder: Path = tmp_path_factory.mktemp("live")
    url = new_database(request, folder, request.param)
    opened = open_services(Settings(data_folder=folder, database=url, _env_file=None))  # type: ignore[call-arg]
    yield opened
    opened.database.close()


@pytest.fixture
def home() -> str:
    """An organisation of its own for one test."""
    return f"home-{next(_numbers)}"


def put(services: Services, home: str, *given: dict[str, Any]) -> None:
    with services.database.write() as connection:
        for resource in given:
            write(connection, home, resource)


def everybody(services: Services, home: str) -> list[tuple[str, str]]:
    with services.database.read() as connection:
        return list(patients(connection, Access(frozenset({home}))))


def evaluate(services: Services, home: str, request: EvaluationRequest = REQUEST) -> Evaluated:
    """With kept results."""
    prepared = prepare(services, request)
    return evaluate_request(services, request, prepared, everybody(services, home))


def rendered(services: Services, found: Evaluated, request: EvaluationRequest) -> bytes:
    """The reports, without what differs each time."""
    with services.database.read() as connection:
        made = reports(connection, services, prepare(services, request), request, found)
    for report in made:
        del report["id"], report["date"]
        report.pop("contained", None)
    return msgspec.json.encode(made, order="sorted")


def assert_as_from_scratch(services: Services, home: str) -> int:
    """The reports of kept results are those of no kept results; how many were computed."""
    prepared = prepare(services, REQUEST)
    computed = evaluate(services, home).computed
    scratch = evaluate_stored(services, prepared, everybody(services, home))
    for kind in ("summary", "subject-list"):
        request = msgspec.structs.replace(REQUEST, kind=kind)
        reused = evaluate(services, home, request)
        assert reused.computed == 0
        handed_on = from_shares(prepared, request, [to_share(prepared, request, reused)])
        expected = rendered(services, scratch, request)
        assert rendered(services, reused, request) == expected
        assert rendered(services, handed_on, request) == expected
    return computed


def patient_named(number: int) -> str:
    return f"synthetic-1-{number + 1:06d}"


def test_nothing_is_computed_twice(services: Services, home: str) -> None:
    load(services, home, *range(20))
    assert assert_as_from_scratch(services, home) == 60
    assert evaluate(services, home).computed == 0
    alone = EvaluationRequest(MEASURES[:1], "2026-01-01", "2026-12-31", "summary")
    assert evaluate(services, home, alone).computed == 0
    elsewhen = EvaluationRequest(MEASURES, "2025-01-01", "2025-12-31", "summary")
    assert evaluate(services, home, elsewhen).computed == 60


@pytest.mark.parametrize(
    ("resource_type", "measures"),
    [("Encounter", 3), ("Observation", 2), ("MedicationRequest", 1), ("Immunization", 0)],
)
def test_a_change_concerns_the_measures_that_retrieve_its_type(
    services: Services, home: str, resource_type: str, measures: int
) -> None:
    load(services, home, 0, 1, 2)
    evaluate(services, home)
    about = {"reference": f"Patient/{patient_named(1)}"}
    put(services, home, {"resourceType": resource_type, "id": "new", "subject": about, "patient": about})
    with services.database.read() as connection:
        assert counts(connection, home) == (9, measures)
    assert assert_as_from_scratch(services, home) == measures


def test_a_changed_patient_concerns_every_measure(services: Services, home: str) -> None:
    load(services, home, 0, 1, 2)
    evaluate(services, home)
    put(services, home, {**resources_of(1)[0], "birthDate": "1990-01-01"})
    assert assert_as_from_scratch(services, home) == 3


def test_what_belongs_to_nobody_concerns_all_who_may_refer_to_it(services: Services, home: str) -> None:
    load(services, home, 0, 1, 2)
    evaluate(services, home)
    put(services, home, {"resourceType": "Location", "id": "here"})
    assert evaluate(services, home).computed == 0
    put(services, home, {"resourceType": "Medication", "id": "shared"})
    assert assert_as_from_scratch(services, home) == 3


def test_what_a_resource_contains_or_refers_to_counts_as_a_change(services: Services, home: str) -> None:
    load(services, home, 0, 1)
    evaluate(services, home)
    about = {"reference": f"Patient/{patient_named(0)}"}
    dispense: dict[str, Any] = {"resourceType": "MedicationDispense", "id": "d", "subject": about}
    put(services, home, dispense)
    assert evaluate(services, home).computed == 0
    put(services, home, {**dispense, "medicationReference": {"reference": "Medication/shared"}})
    assert assert_as_from_scratch(services, home) == 1
    put(services, home, {**dispense, "contained": [{"resourceType": "Procedure", "id": "p"}]})
    assert assert_as_from_scratch(services, home) == 3


def test_changed_content_reuses_nothing_until_it_is_as_before(services: Services, home: str) -> None:
    load(services, home, 0, 1)
    evaluate(services, home)
    name = MEASURES[0]
    with services.database.read() as connection:
        measure = read(connection, OPERATOR, "Measure", name).parsed()
    dropped = {**measure, "group": [{**measure["group"][0], "population": [
        one for one in measure["group"][0]["population"]
        if one["code"]["coding"][0]["code"] != "denominator-exclusion"
    ]}]}  # fmt: skip
    assert dropped != measure
    try:
        put(services, home, dropped)
        assert assert_as_from_scratch(services, home) == 2
    finally:
        put(services, home, measure)
    assert assert_as_from_scratch(services, home) == 2


def test_data_that_change_while_they_are_evaluated_are_not_taken_for_what_was_evaluated(
    services: Services, home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(services, home, 0, 1)
    from measurewise.api.services import evaluation

    read_records = evaluation.patient_records

    def then_changed(*given: Any) -> dict[str, bytes]:
        records = read_records(*given)
        put(services, home, {**resources_of(1)[0], "birthDate": "1990-01-01"})
        return records

    monkeypatch.setattr(evaluation, "patient_records", then_changed)
    assert evaluate(services, home).computed == 6
    monkeypatch.undo()
    with services.database.read() as connection:
        assert counts(connection, home) == (3, 0)
    assert assert_as_from_scratch(services, home) == 3


def test_a_refresh_computes_what_is_stale(services: Services, home: str) -> None:
    assert queue_refresh(services, home) is None
    load(services, home, *range(4))
    evaluate(services, home)
    first = queue_refresh(services, home)
    assert queue_refresh(services, home) == first
    put(services, home, {**resources_of(1)[0], "birthDate": "1990-01-01"})
    load(services, home, 4)
    with services.database.write() as connection:
        remove(connection, Access(frozenset({home})), "Patient", patient_named(0))
    work_off(Worker(services))
    with services.database.read() as connection:
        job = jobs.read(connection, OPERATOR, str(first))
        assert counts(connection, home) == (12, 0)
    assert job.state == "completed"
    assert b"6 results were computed; 0 evaluations failed." in (job.result or b"")
    assert evaluate(services, home).computed == 0
    assert queue_refresh(services, home) != first
    work_off(Worker(services))


steps = st.lists(
    st.tuples(
        st.sampled_from(["load", "delete", "restore", "retype", "move", "medicate", "compound"]),
        st.integers(0, 3),
        st.integers(0, 60),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=st.lists(steps, min_size=1, max_size=4))
def test_kept_results_are_those_of_evaluating_from_scratch(
    services: Services, rounds: list[list[tuple[str, int, int, int]]]
) -> None:
    home = f"home-{next(_numbers)}"
    load(services, home, 0, 1)
    evaluate(services, home)
    for round_ in rounds:
        touched: set[tuple[str, str]] = set()
        for kind, number, place, other in round_:
            touched |= _do(services, home, kind, patient_named(number), number, place, patient_named(other))
        there = {identity for _, identity in everybody(services, home)}
        expected = {(patient, measure) for patient, measure in touched if patient in there}
        assert assert_as_from_scratch(services, home) == len(expected)


def _do(
    services: Services, home: str, kind: str, patient: str, number: int, place: int, other: str
) -> set[tuple[str, str]]:
    """Do one change; the patients and measures whose results it concerns."""
    with services.database.write() as connection:
        before = _held(connection, home)
        own = compartment(connection, home, patient)
        chosen = own[place % len(own)] if own else None
        about = {"reference": f"Patient/{patient}"}
        match kind:
            case "load":
                write_many(connection, home, resources_of(number))
            case "restore":
                original = resources_of(number)
                write(connection, home, original[place % len(original)])
            case "medicate":
                drug = {"reference": f"Medication/m{place % 2}"}
                write(connection, home, {
                    "resourceType": "MedicationRequest", "id": f"r-{patient}", "subject": about,
                    "medicationReference": drug, "status": "active", "intent": "order",
                })  # fmt: skip
            case "compound":
                part = {"itemReference": {"reference": f"Medication/m{(place + 1) % 2}"}}
                write(connection, home, {
                    "resourceType": "Medication", "id": f"m{place % 2}", "code": {"text": str(place)},
                    "ingredient": [part],
                })  # fmt: skip
            case "delete" if chosen is not None:
                remove(connection, Access(frozenset({home})), chosen.type, chosen.id)
            case "retype" if chosen is not None:
                write(connection, home, {**chosen.parsed(), "status": f"status-{place}"})
            case "move" if chosen is not None and chosen.type != "Patient":
                parsed = chosen.parsed()
                named = next(name for name in ("subject", "patient", "beneficiary") if name in parsed)
                write(connection, home, {**parsed, named: {"reference": f"Patient/{other}"}})
        after = _held(connection, home)
    found: set[tuple[str, str]] = set()
    everyone = [patient_named(each) for each in range(4)]
    for name in before.keys() | after.keys():
        was, is_now = before.get(name), after.get(name)
        if was != is_now:
            measures = [m for m, types in TYPES.items() if name[0] == "Patient" or name[0] in types]
            for whose in {each[1] for each in (was, is_now) if each is not None}:
                concerned = everyone if whose is None else [whose]
                found |= {(who, measure) for who in concerned for measure in measures}
    return found


def _held(connection: Connection, home: str) -> dict[tuple[str, str], tuple[int, str | None]]:
    """Version and patient of all that an organisation has."""
    columns = (rows.c.type, rows.c.id, rows.c.version, rows.c.patient)
    query = select(*columns).where(rows.c.organization == home, rows.c.deleted.is_(False))
    return {(kind, name): (version, patient) for kind, name, version, patient in connection.execute(query)}
