"""Notifications of subscriptions, as the R4 backport and R4's own REST hook send them."""

from typing import Any

import pytest

from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.notifications import read_notification, read_rest_hook

BASE = "https://fhir.example.org/r4"


def event(number: int, focus: str) -> dict[str, Any]:
    parts = [
        {"name": "event-number", "valueString": str(number)},
        {"name": "timestamp", "valueInstant": "2026-05-01T08:00:00Z"},
        {"name": "focus", "valueReference": {"reference": focus}},
    ]
    return {"name": "notification-event", "part": parts}


def notification(kind: str, *entries: dict[str, Any], events: Any = (), total: int = 0) -> dict[str, Any]:
    status = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "subscription", "valueReference": {"reference": f"{BASE}/Subscription/s1"}},
            {"name": "topic", "valueCanonical": "http://example.org/SubscriptionTopic/patient-data"},
            {"name": "status", "valueCode": "active"},
            {"name": "type", "valueCode": kind},
            {"name": "events-since-subscription-start", "valueString": str(total)},
            *events,
        ],
    }
    return {"resourceType": "Bundle", "type": "history", "entry": [{"resource": status}, *entries]}


def test_resources_that_come_along_tell_whose_they_are() -> None:
    observation = {
        "resourceType": "Observation",
        "id": "1",
        "subject": {"reference": f"{BASE}/Patient/p1"},
    }
    found = read_notification(
        notification(
            "event-notification",
            {"fullUrl": f"{BASE}/Observation/1", "resource": observation, "request": {"method": "PUT"}},
            {"fullUrl": f"{BASE}/Observation/2", "request": {"method": "DELETE", "url": "Observation/2"}},
            events=[event(7, f"{BASE}/Observation/1/_history/3"), event(8, "Observation/2")],
            total=8,
        )
    )
    assert found.kind == "event-notification"
    assert found.subscription == "Subscription/s1"
    assert found.topic == "http://example.org/SubscriptionTopic/patient-data"
    assert found.changed == {"Observation/1"}
    assert found.deleted == {"Observation/2"}
    assert found.patients == {"p1"}
    assert (found.first_event, found.last_event) == (7, 8)


def test_events_that_were_missed_are_noticed() -> None:
    found = read_notification(notification("event-notification", events=[event(7, "Observation/1")], total=7))
    assert not found.missed(6)
    assert found.missed(5)
    heartbeat = read_notification(notification("heartbeat", total=7))
    assert not heartbeat.missed(7)
    assert heartbeat.missed(6)


def test_an_empty_notification_and_a_handshake_name_nothing() -> None:
    for kind in ("handshake", "event-notification"):
        found = read_notification(notification(kind))
        assert (found.kind, found.changed, found.deleted) == (kind, frozenset(), frozenset())


@pytest.mark.parametrize(
    "payload",
    [None, [], {}, {"entry": []}, {"entry": [None]}, {"entry": [{"resource": {"resourceType": "Patient"}}]}],
)
def test_what_is_no_notification_is_refused(payload: Any) -> None:
    with pytest.raises(SourceError, match="no notification"):
        read_notification(payload)


def test_the_rest_hook_of_r4_names_a_resource_in_its_path() -> None:
    observation = {"resourceType": "Observation", "id": "1", "subject": {"reference": "Patient/p1"}}
    found = read_rest_hook("PUT", "/Observation/1", observation)
    assert (found.changed, found.patients) == ({"Observation/1"}, {"p1"})
    assert read_rest_hook("DELETE", "Observation/1", None).deleted == {"Observation/1"}
    assert read_rest_hook("POST", "", None).changed == frozenset()
    with pytest.raises(SourceError, match="not the resource of the path"):
        read_rest_hook("PUT", "Observation/2", observation)
