"""Subscriptions that the server keeps at a source: created, renewed, ended, and what they missed found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from served import start
from source_server import Watched, source_server
from sqlalchemy import select
from telling_source import Telling

from measurewise.api.jobs.subscribing import look_after, look_after_all
from measurewise.api.jobs.worker import Worker
from measurewise.api.services.context import Services, open_services
from measurewise.api.services.sources import add_source, change_source
from measurewise.api.services.subscribing import end_subscriptions, hook_address
from measurewise.api.settings import Settings, SourceSecrets
from measurewise.engine.errors import MeasurewiseError
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.store import sources
from measurewise.store.access import OPERATOR
from measurewise.store.database import now
from measurewise.store.resources import of_references, of_types, write
from measurewise.store.sources import Source, SourceSettings, Subscriptions
from measurewise.store.tables import jobs

PATIENTS = 5
SECRET = "a-secret-of-the-hook"  # noqa: S105, of this test
TOPIC = "http://example.org/SubscriptionTopic/patients-data"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-"


class Clinic:
    """A source that tells, and the watch over what it is asked."""

    def __init__(self, url: str, watched: Watched, telling: Telling) -> None:
        self.url = url
        self.watched = watched
        self.telling = telling

    def patients(self) -> list[str]:
        with self.watched.services.database.read() as connection:
            return sorted(one.id for one in of_types(connection, OPERATOR, ["Patient"]))

    def observe(self, identity: str, patient: str) -> None:
        """A new Observation, which is an event of the source."""
        resource = {
            "resourceType": "Observation", "id": identity, "status": "final",
            "code": {"text": "something"}, "subject": {"reference": f"Patient/{patient}"},
        }  # fmt: skip
        with self.watched.services.database.write() as connection:
            write(connection, "default", resource)
        self.telling.events.append(f"Observation/{identity}")

    def asked_for_changes(self) -> bool:
        """Whether it was asked what has changed since some moment."""
        return any("_since=" in one or "_lastUpdated=" in one for one in self.watched.asked)


@contextmanager
def a_clinic(folder: Path, **telling: Any) -> Iterator[Clinic]:
    kept = Telling(**telling)
    with source_server(folder, PATIENTS, kept.around) as (url, watched):
        yield Clinic(url, watched, kept)


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    with a_clinic(tmp_path / "clinic", operations=("status", "events")) as found:
        yield found


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Services]:
    services = our_services(tmp_path)
    yield services
    services.database.close()


def our_services(folder: Path, secret: str = SECRET) -> Services:
    settings = Settings(
        data_folder=folder / "ours",
        sources={"clinic": SourceSecrets(hook_secret=SecretStr(secret))},
        _env_file=None,
    )  # type: ignore[call-arg]
    return open_services(settings)


def added(services: Services, clinic: Clinic, **settings: Any) -> None:
    chosen = SourceSettings(**{"subscribe": "criteria", "overlap": 1.0, **settings})
    add_source(services, Source("clinic", "default", clinic.url, chosen))


def source(services: Services) -> Source:
    with services.database.read() as connection:
        return sources.read(connection, OPERATOR, "clinic")


def looked(services: Services) -> Subscriptions:
    return look_after(services, source(services))


def waiting(services: Services) -> int:
    with services.database.read() as connection:
        return len(connection.execute(select(jobs.c.id).where(jobs.c.state == "queued")).all())


def worked(services: Services) -> None:
    worker = Worker(services)
    while worker.work_once():
        pass


def here(services: Services, *identities: str) -> list[bool]:
    with services.database.read() as connection:
        found = of_references(connection, OPERATOR, [("Observation", one) for one in identities])
    known = {one.id for one in found}
    return [one in known for one in identities]


def hook(client: Any, **sent: Any) -> Any:
    headers = {"Authorization": f"Bearer {SECRET}"}
    return client.post("/fhir/$subscription-hook/clinic", headers=headers, **sent)


def test_each_type_that_measures_retrieve_gets_a_subscription(clinic: Clinic, ours: Services) -> None:
    added(ours, clinic)
    held = looked(ours)
    there = clinic.telling.by_criteria()
    assert {"Patient?", "Encounter?", "Observation?", "Condition?"} <= there.keys()
    assert "Immunization?" not in there, "no measure that ships retrieves these"
    assert {one.criteria for one in held.held} == there.keys()
    one = there["Observation?"]
    assert one["channel"] == {
        "type": "rest-hook",
        "endpoint": hook_address(ours, source(ours)),
        "payload": "application/fhir+json",
        "header": [f"Authorization: Bearer {SECRET}"],
    }
    assert timedelta(days=6) < datetime.fromisoformat(one["end"]) - datetime.now(UTC) < timedelta(days=8)
    # what changed before they were there is read once, all of it
    assert waiting(ours) == 1
    worked(ours)
    assert source(ours).synced is not None
    assert SECRET not in repr(held)


@pytest.mark.parametrize("searchable", [True, False])
def test_what_is_as_it_should_be_is_left_alone(tmp_path: Path, ours: Services, searchable: bool) -> None:
    with a_clinic(tmp_path / "clinic", searchable=searchable) as clinic:
        added(ours, clinic)
        looked(ours)
        worked(ours)
        clinic.telling.writes.clear()
        looked(ours)
        assert clinic.telling.writes == []
        assert waiting(ours) == 0


def test_a_subscription_that_is_not_active_yet_is_looked_at_soon(clinic: Clinic, ours: Services) -> None:
    added(ours, clinic, subscribe="topic", topic=TOPIC)
    clinic.telling.becomes = "requested"
    looked(ours)
    with ours.database.read() as connection:
        assert sources.due(connection, now() + timedelta(seconds=10)) == ["clinic"]
    worked(ours)
    (one,) = clinic.telling.held.values()
    one["status"] = "active"
    looked(ours)
    assert waiting(ours) == 1, "what changed until now nobody told of"


@pytest.mark.parametrize("status", ["error", "off"])
def test_one_in_error_is_asked_for_again_and_all_changes_are_read(
    clinic: Clinic, ours: Services, status: str
) -> None:
    added(ours, clinic)
    looked(ours)
    worked(ours)
    clinic.telling.by_criteria()["Observation?"]["status"] = status
    clinic.telling.writes.clear()
    looked(ours)
    assert clinic.telling.writes == ["PUT Observation?"]
    assert clinic.telling.by_criteria()["Observation?"]["status"] == "active"
    assert waiting(ours) == 1


def test_one_that_is_gone_is_created_again(clinic: Clinic, ours: Services) -> None:
    added(ours, clinic)
    looked(ours)
    worked(ours)
    del clinic.telling.held[clinic.telling.by_criteria()["Encounter?"]["id"]]
    clinic.telling.writes.clear()
    looked(ours)
    assert clinic.telling.writes == ["POST Encounter?"]
    assert waiting(ours) == 1


def test_one_whose_end_comes_near_is_renewed_with_nothing_read(clinic: Clinic, ours: Services) -> None:
    added(ours, clinic)
    looked(ours)
    worked(ours)
    one = clinic.telling.by_criteria()["Patient?"]
    one["end"] = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    clinic.telling.writes.clear()
    looked(ours)
    assert clinic.telling.writes == ["PUT Patient?"]
    assert datetime.fromisoformat(clinic.telling.by_criteria()["Patient?"]["end"]) - datetime.now(
        UTC
    ) > timedelta(days=6)
    assert waiting(ours) == 0


def test_another_secret_is_given_to_every_subscription(
    clinic: Clinic, ours: Services, tmp_path: Path
) -> None:
    added(ours, clinic)
    looked(ours)
    later = our_services(tmp_path, "another-secret")
    looked(later)
    later.database.close()
    headers = [one["channel"]["header"] for one in clinic.telling.held.values()]
    assert headers == [["Authorization: Bearer another-secret"]] * len(headers)


def test_other_settings_are_given_to_the_subscription_that_is_there(clinic: Clinic, ours: Services) -> None:
    added(ours, clinic, subscribe="topic", topic=TOPIC)
    looked(ours)
    change_source(
        ours, source(ours), SourceSettings(subscribe="topic", topic=TOPIC, payload="empty", overlap=1.0)
    )
    looked(ours)
    assert clinic.telling.writes == [f"POST {TOPIC}", f"PUT {TOPIC}"]
    (one,) = clinic.telling.held.values()
    assert one["channel"]["_payload"]["extension"][0]["valueCode"] == "empty"
    looked(ours)
    assert len(clinic.telling.writes) == 2


def test_what_is_not_wanted_any_more_is_deleted(clinic: Clinic, ours: Services) -> None:
    added(ours, clinic)
    looked(ours)
    known = source(ours)
    change_source(ours, known, SourceSettings(subscribe="topic", topic=TOPIC, overlap=1.0))
    looked(ours)
    assert set(clinic.telling.by_criteria()) == {TOPIC}
    assert end_subscriptions(ours, source(ours)) == 1
    assert clinic.telling.held == {}
    with ours.database.read() as connection:
        assert sources.due(connection, now() + timedelta(days=1)) == []


def test_two_of_the_same_become_one(clinic: Clinic, ours: Services) -> None:
    added(ours, clinic, subscribe="topic", topic=TOPIC)
    looked(ours)
    (one,) = clinic.telling.held.values()
    # as after a crash between creating and noting
    clinic.telling.held["again"] = {**one, "id": "again"}
    looked(ours)
    assert len(clinic.telling.held) == 1


def test_a_type_that_the_source_refuses_is_told_and_the_others_go_on(clinic: Clinic, ours: Services) -> None:
    added(ours, clinic)
    clinic.telling.refused = {"Condition?"}
    held = looked(ours)
    (issue,) = held.issues
    assert "no such criteria here" in issue["details"]["text"]
    assert "Observation?" in clinic.telling.by_criteria()
    assert source(ours).subscriptions == held


def test_a_subscription_by_topic_asks_for_what_the_source_declares(clinic: Clinic, ours: Services) -> None:
    added(
        ours, clinic, subscribe="topic", topic=TOPIC, filters=("Encounter?status=finished",),
        payload="full-resource", heartbeat=60,
    )  # fmt: skip
    looked(ours)
    (one,) = clinic.telling.held.values()
    assert one["meta"] == {"profile": [f"{BACKPORT}subscription"]}
    assert one["criteria"] == TOPIC
    filters = [{"url": f"{BACKPORT}filter-criteria", "valueString": "Encounter?status=finished"}]
    assert one["_criteria"] == {"extension": filters}
    content = [{"url": f"{BACKPORT}payload-content", "valueCode": "full-resource"}]
    assert one["channel"]["_payload"] == {"extension": content}
    assert one["channel"]["extension"] == [{"url": f"{BACKPORT}heartbeat-period", "valueUnsignedInt": 60}]


def subscribed(services: Services, clinic: Clinic, **settings: Any) -> str:
    """A source with a topic, synced; the id of the Subscription."""
    added(services, clinic, subscribe="topic", topic=TOPIC, way="searches", **settings)
    held = looked(services)
    worked(services)
    clinic.watched.asked.clear()
    (one,) = held.held
    return one.id


def test_events_that_did_not_come_are_asked_for_by_their_numbers(clinic: Clinic, ours: Services) -> None:
    identity = subscribed(ours, clinic)
    synced = source(ours).synced
    everybody = clinic.patients()
    for client in start(ours.settings):
        clinic.observe("first", everybody[0])
        clinic.observe("second", everybody[1])
        clinic.observe("third", everybody[2])
        answer = hook(client, json=clinic.telling.notification(identity, 3, 3))
        assert answer.status_code == 200
        # HAPI takes nothing else for an answer
        assert answer.json() == {"resourceType": "Bundle", "type": "transaction-response"}
    worked(ours)
    assert here(ours, "first", "second", "third") == [True, True, True]
    assert clinic.watched.named(everybody) == set(everybody[:3])
    assert not clinic.asked_for_changes()
    assert source(ours).synced == synced
    assert source(ours).last_event == 3


def test_the_count_of_events_at_the_source_finds_what_nobody_told_of(clinic: Clinic, ours: Services) -> None:
    subscribed(ours, clinic)
    everybody = clinic.patients()
    clinic.observe("untold", everybody[3])
    looked(ours)
    worked(ours)
    assert here(ours, "untold") == [True]
    assert clinic.watched.named(everybody) == {everybody[3]}
    assert waiting(ours) == 0
    looked(ours)
    assert waiting(ours) == 0


def test_a_source_without_these_operations_is_asked_for_all_changes(tmp_path: Path, ours: Services) -> None:
    with a_clinic(tmp_path / "clinic") as clinic:
        identity = subscribed(ours, clinic)
        everybody = clinic.patients()
        clinic.observe("first", everybody[0])
        clinic.observe("second", everybody[1])
        for client in start(ours.settings):
            assert hook(client, json=clinic.telling.notification(identity, 2, 2)).status_code == 200
        worked(ours)
        assert here(ours, "first", "second") == [True, True]
        assert clinic.asked_for_changes()


def test_a_notification_of_an_error_has_all_changes_read_and_the_subscription_asked_for(
    clinic: Clinic, ours: Services
) -> None:
    identity = subscribed(ours, clinic)
    clinic.telling.held[identity]["status"] = "error"
    told = clinic.telling.notification(identity, 1, 0, kind="heartbeat")
    for client in start(ours.settings):
        assert hook(client, json=told).status_code == 200
        clinic.telling.writes.clear()
    look_after_all(ours)
    worked(ours)
    assert clinic.telling.held[identity]["status"] == "active"
    assert clinic.asked_for_changes()


def test_a_heartbeat_that_does_not_come_has_all_changes_read(tmp_path: Path, ours: Services) -> None:
    with a_clinic(tmp_path / "clinic") as clinic:
        subscribed(ours, clinic, heartbeat=30)
        with ours.database.write() as connection:
            sources.note_heard(connection, "clinic", now() - timedelta(seconds=50))
        looked(ours)
        assert waiting(ours) == 0
        with ours.database.write() as connection:
            sources.note_heard(connection, "clinic", now() - timedelta(seconds=70))
        looked(ours)
        assert waiting(ours) == 1


def test_all_changes_are_read_now_and_then_whatever_was_told(clinic: Clinic, ours: Services) -> None:
    subscribed(ours, clinic, catch_up=600.0)
    looked(ours)
    assert waiting(ours) == 0
    before = (datetime.now(UTC) - timedelta(seconds=700)).isoformat()
    with ours.database.write() as connection:
        sources.advance(connection, "clinic", source(ours).synced, before)
    looked(ours)
    assert waiting(ours) == 1


def test_many_notifications_that_nobody_has_worked_on_are_one_job(clinic: Clinic, ours: Services) -> None:
    identity = subscribed(ours, clinic)
    everybody = clinic.patients()
    for number in (1, 2, 3):
        clinic.observe(f"o{number}", everybody[number])
    from fastapi.testclient import TestClient

    from measurewise.api.app import create_app

    with TestClient(create_app(ours.settings), base_url="http://127.0.0.1:8000") as client:
        for number in (1, 2, 3):
            told = clinic.telling.notification(identity, number, number)
            assert hook(client, json=told).status_code == 200
    assert waiting(ours) == 1
    worked(ours)
    assert here(ours, "o1", "o2", "o3") == [True, True, True]


def test_a_worker_looks_after_what_is_due_once(clinic: Clinic, ours: Services) -> None:
    added(ours, clinic)
    assert look_after_all(ours) == 1
    assert look_after_all(ours) == 0
    assert clinic.telling.held


def test_a_source_that_cannot_be_reached_is_told_and_tried_again(clinic: Clinic, ours: Services) -> None:
    added(ours, clinic)
    with ours.database.write() as connection:
        connection.exec_driver_sql("UPDATE sources SET url = 'http://127.0.0.1:9/fhir'")
    assert look_after_all(ours) == 1
    (issue,) = source(ours).subscriptions.issues
    assert "cannot be reached" in issue["details"]["text"]
    with ours.database.read() as connection:
        assert sources.due(connection, now() + timedelta(seconds=301)) == ["clinic"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"subscribe": "topic"}, "needs a topic"),
        ({"subscribe": "criteria", "topic": TOPIC}, "needs a topic"),
        ({"subscribe": "criteria", "heartbeat": 60}, "for Subscriptions by topic"),
        ({"subscribe": "criteria", "way": "files"}, "files have no Subscriptions"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    clinic: Clinic, ours: Services, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(MeasurewiseError, match=said):
        added(ours, clinic, **settings)


def test_without_a_secret_nothing_is_subscribed(clinic: Clinic, tmp_path: Path) -> None:
    services = open_services(Settings(data_folder=tmp_path / "bare", _env_file=None))  # type: ignore[call-arg]
    with pytest.raises(SourceError, match="no secret") as raised:
        added(services, clinic)
    assert raised.value.where == "MEASUREWISE_SOURCES__CLINIC__HOOK_SECRET"
    services.database.close()


def test_a_source_without_subscriptions_says_so(tmp_path: Path, ours: Services) -> None:
    with a_clinic(tmp_path / "clinic", offered=False) as clinic:
        added(ours, clinic)
        with pytest.raises(SourceError, match="offers no Subscriptions"):
            looked(ours)
