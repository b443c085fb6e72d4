"""What is written twice is there once."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import pytest
from fake_server import FakeServer, outcome, reply

from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.write_back import report_identifier, transaction, write_back


def report(subject: str = "Patient/1", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MeasureReport",
        "id": "local",
        "status": "complete",
        "type": "individual",
        "measure": "http://example.org/Measure/M|1.0.0",
        "subject": {"reference": subject},
        "period": {"start": "2026-01-01", "end": "2026-12-31"},
        **more,
    }


MEASURE = {"resourceType": "Measure", "url": "http://example.org/Measure/M", "version": "1.0.0"}


def write(server: FakeServer, resources: list[dict[str, Any]], **options: Any) -> list[str]:
    async def run() -> list[str]:
        async with server.client() as client:
            return await write_back(client, resources, **options)

    return asyncio.run(run())


def test_writing_again_updates_and_adds_nothing() -> None:
    server = FakeServer([])
    resources = [MEASURE, {**MEASURE, "version": "2.0.0"}, report("Patient/1"), report("Patient/2")]
    assert write(server, resources, size=3) == [
        "201 Measure/0",
        "201 Measure/1",
        "201 MeasureReport/2",
        "201 MeasureReport/3",
    ]
    changed = [*resources[:2], report("Patient/1", date="2027-01-05"), report("Patient/2")]
    assert write(server, changed) == [
        "200 Measure/0",
        "200 Measure/1",
        "200 MeasureReport/2",
        "200 MeasureReport/3",
    ]
    assert [r.get("date") for r in server.stored.values()] == [None, None, "2027-01-05", None]


def test_only_new_leaves_what_is_there_as_it_is() -> None:
    server = FakeServer([])
    write(server, [MEASURE], only_new=True)
    write(server, [{**MEASURE, "title": "changed"}], only_new=True)
    assert [r.get("title") for r in server.stored.values()] == [None]


def test_a_lost_answer_is_no_second_report() -> None:
    server = FakeServer([])
    lost = [True]

    def before(request: Any) -> Any:
        if lost.pop() if lost else False:
            server.transact(json.loads(request.content))
            return reply({}, 502)
        return None

    server.before = before
    assert write(server, [report()]) == ["200 MeasureReport/0"]
    assert len(server.stored) == 1


def test_a_reports_identity_is_its_question() -> None:
    same = report_identifier(report(date="2027-01-05", group=[]))
    assert same == report_identifier(report())
    others = [
        report("Patient/2"),
        report(type="summary"),
        report(measure="http://example.org/Measure/M|2.0.0"),
        report(period={"start": "2025-01-01", "end": "2025-12-31"}),
        report(reporter={"reference": "Organization/1"}),
    ]
    assert len({report_identifier(r)["value"] for r in [report(), *others]}) == 6


def test_an_identifier_of_its_own_is_kept_and_decimals_keep_their_digits() -> None:
    own = report(
        identifier=[{"system": "urn:x", "value": "a|b&c"}], group=[{"measureScore": Decimal("0.50")}]
    )
    (entry,) = transaction([own])["entry"]
    assert entry["request"] == {"method": "PUT", "url": "MeasureReport?identifier=urn%3Ax%7Ca%7Cb%26c"}
    server = FakeServer([])
    write(server, [own])
    assert b'"measureScore":0.50' in server.requests[0].content


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ([{"resourceType": "Patient", "id": "1"}], "nothing identifies this Patient"),
        ([{"resourceType": "Measure"}], "nothing identifies this Measure"),
        ([MEASURE, MEASURE], "same identity"),
    ],
)
def test_what_could_not_be_found_again_is_refused(resources: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(SourceError, match=said):
        transaction(resources)


def test_an_entry_that_the_server_did_not_take_is_an_error() -> None:
    server = FakeServer([])
    refused = {"response": {"status": "422", "outcome": outcome("invalid", "no group")}}
    server.before = lambda request: reply({"resourceType": "Bundle", "entry": [refused]})
    with pytest.raises(SourceError, match="422: invalid: no group"):
        write(server, [report()])
    server.before = lambda request: reply({"resourceType": "Bundle", "entry": []})
    with pytest.raises(SourceError, match="answered 0 of 1"):
        write(server, [report()])
