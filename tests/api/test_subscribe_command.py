"""``measurewise source``: Subscriptions asked for, shown and ended on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from source_server import source_server
from telling_source import Telling

from measurewise.cli import main

TOPIC = "http://example.org/SubscriptionTopic/patients-data"
SECRET = "a-secret-of-the-hook"  # noqa: S105, of this test


@pytest.fixture
def telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Telling]]:
    monkeypatch.setenv("MEASUREWISE_DATA_FOLDER", str(tmp_path / "ours"))
    monkeypatch.setenv("MEASUREWISE_SOURCES__CLINIC__HOOK_SECRET", SECRET)
    kept = Telling()
    with source_server(tmp_path / "clinic", 1, kept.around) as (url, _):
        yield url, kept


def test_subscriptions_are_asked_for_shown_and_ended(
    telling: tuple[str, Telling], capsys: pytest.CaptureFixture[str]
) -> None:
    url, kept = telling

    def said(*arguments: str, status: int = 0) -> Any:
        assert main(["source", *arguments, "--json"]) == status
        text = capsys.readouterr()
        assert SECRET not in text.out + text.err
        return json.loads(text.out)

    refused = said("add", "clinic", url, "--topic", TOPIC, status=2)
    assert "Give --subscribe too" in refused["error"]["mend"]
    assert "subscribe" not in said("add", "clinic", url)["settings"]

    said("subscribe", "clinic", "--topic", TOPIC, "--topic-filter", "Patient?", "--heartbeat", "60")
    (one,) = kept.held.values()
    assert one["criteria"] == TOPIC
    (listed,) = said("list")["sources"]
    assert listed["settings"]["subscribe"] == "topic"
    (held,) = listed["subscriptions"]["held"]
    assert (held["id"], held["status"]) == (one["id"], "active")
    assert main(["source", "list"]) == 0
    assert "1 of 1 active" in capsys.readouterr().out

    kept.refused = {"Condition?"}
    found = said("subscribe", "clinic", status=1)
    assert "no such criteria here" in str(found["subscriptions"]["issues"])
    assert "Observation?" in kept.by_criteria()
    assert TOPIC not in kept.by_criteria()

    assert said("unsubscribe", "clinic")["ended"] > 5
    assert kept.held == {}
    said("subscribe", "clinic", "--topic", TOPIC)
    said("remove", "clinic")
    assert kept.held == {}
