"""The client of the submissions API against a double of it: what it sends, repeats and tells."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import httpx
import pytest
from fake_submissions_api import (
    BASE,
    OTHER_REGISTRY_TOKEN,
    REGISTRY_TOKEN,
    USER_TOKEN,
    FakeSubmissionsApi,
)

from measurewise.engine.errors import MeasurewiseError
from measurewise.fhir_server_adapter.retrying import Retries
from measurewise.mips.submission.api_client import SubmissionsApi
from measurewise.mips.submission.api_faults import FieldFault, SubmissionsApiError
from measurewise.mips.submission.sending import carry_out, plan
from measurewise.qrda.qpp_model import MeasurementSet, Submission, to_json
from measurewise.qrda.qpp_reading import read_qpp

QUALITY = {
    "category": "quality",
    "submissionMethod": "electronicHealthRecord",
    "programName": "mips",
    "cehrtId": "0015C1235689784",
    "performanceStart": "2025-01-01",
    "performanceEnd": "2025-12-31",
    "measurements": [
        {
            "measureId": "236",
            "value": {
                "isEndToEndReported": True,
                "performanceMet": 60,
                "performanceNotMet": 30,
                "eligiblePopulationExclusion": 10,
                "eligiblePopulation": 100,
            },
        }
    ],
}
ACTIVITIES = {
    "category": "ia",
    "submissionMethod": "electronicHealthRecord",
    "programName": "mips",
    "performanceStart": "2025-01-01",
    "performanceEnd": "2025-06-30",
    "measurements": [{"measureId": "IA_PM_2", "value": True}],
}
GROUP = {
    "performanceYear": 2025,
    "entityType": "group",
    "taxpayerIdentificationNumber": "000000002",
    "measurementSets": [QUALITY, ACTIVITIES],
}


def submission(**changes: Any) -> Submission:
    return read_qpp({**GROUP, **changes}).submission


def first_set(of: Submission) -> MeasurementSet:
    assert of.measurement_sets
    return of.measurement_sets[0]


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def double() -> FakeSubmissionsApi:
    return FakeSubmissionsApi()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def client(double: FakeSubmissionsApi, clock: Clock, token: str = REGISTRY_TOKEN) -> SubmissionsApi:
    return SubmissionsApi(
        BASE,
        token,
        retries=Retries(attempts=3),
        transport=double.transport(),
        sleep=clock.sleep,
        clock=clock,
    )


def test_a_registry_creates_replaces_reads_and_deletes_its_measurement_sets(
    double: FakeSubmissionsApi, clock: Clock
) -> None:
    group = submission()
    with client(double, clock) as api:
        created = api.create_measurement_set(first_set(group), group)
        assert created.id
        assert to_json(created)["measurements"][0]["value"]["performanceRate"] == 66.67
        assert [one.id for one in api.measurement_sets()] == [created.id]
        newer = submission(measurementSets=[{**QUALITY, "measurements": []}])
        replaced = api.replace_measurement_set(created.id, first_set(newer), newer)
        assert (replaced.id, replaced.measurements) == (created.id, ())
        assert api.measurement_set(created.id) == replaced
        (found,) = api.submissions(group)
        assert [one.id for one in found.measurement_sets or ()] == [created.id]
        assert found.id
        assert api.submission(found.id) == found
        api.delete_measurement_set(created.id)
        assert api.measurement_sets() == []


def test_a_user_creates_replaces_and_deletes_submissions(double: FakeSubmissionsApi, clock: Clock) -> None:
    with client(double, clock, USER_TOKEN) as api:
        created = api.create_submission(submission())
        assert created.id
        assert len(created.measurement_sets or ()) == 2
        replaced = api.replace_submission(created.id, submission(measurementSets=[ACTIVITIES]))
        assert [one.category for one in replaced.measurement_sets or ()] == ["ia"]
        api.delete_submission(created.id)
        assert double.submissions == {}
        assert double.sets == {}


def test_scores_are_asked_for_stored_and_for_unsent_submissions(
    double: FakeSubmissionsApi, clock: Clock
) -> None:
    with client(double, clock, USER_TOKEN) as api:
        previewed = api.score_preview(submission())
        assert [part["name"] for part in previewed["parts"]] == ["quality", "ia"]
        assert double.submissions == {}
        created = api.create_submission(submission())
        assert created.id
        assert api.score(created.id) == previewed
        assert api.score(created.id, "app1")["parts"] == []


def test_a_plan_replaces_what_is_there_by_the_same_method_and_creates_the_rest(
    double: FakeSubmissionsApi, clock: Clock
) -> None:
    group = submission()
    with client(double, clock) as api:
        there = api.create_measurement_set(first_set(group), group)
        kept = api.create_measurement_set(
            first_set(submission(measurementSets=[{**QUALITY, "submissionMethod": "registry"}])), group
        )
        steps = plan(group, api.submissions(group))
        assert [(step.action, step.key, step.replaces) for step in steps] == [
            ("replace", ("quality", "electronicHealthRecord", "mips"), there.id),
            ("create", ("ia", "electronicHealthRecord", "mips"), None),
        ]
        replaced, _ = (one.id for _, one in carry_out(api, steps))
        assert replaced == there.id
        assert kept.id in double.sets
        assert len(double.sets) == 3
        # Done again, everything is there already and nothing is added.
        again = plan(group, api.submissions(group))
        assert {step.action for step in again} == {"replace"}
        assert len(list(carry_out(api, again))) == 2
        assert len(double.sets) == 3


def test_another_organisations_sets_are_neither_seen_nor_replaced(
    double: FakeSubmissionsApi, clock: Clock
) -> None:
    group = submission()
    with client(double, clock, OTHER_REGISTRY_TOKEN) as other:
        theirs = other.create_measurement_set(first_set(group), group)
    with client(double, clock) as api:
        assert plan(group, api.submissions(group))[0].action == "create"
        with pytest.raises(SubmissionsApiError, match="404") as caught:
            api.delete_measurement_set(str(theirs.id))
    assert caught.value.code == "not-found"
    assert caught.value.mend


def test_no_tin_stands_in_a_url_and_the_token_stands_nowhere(
    double: FakeSubmissionsApi, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    double.faults.append((500, {}, {"error": {"type": "ServerError", "message": "out of order"}}))
    with client(double, clock) as api:
        api.submissions(submission())
        steps = plan(submission())
        shown = [step.request.as_json(api.base_url) for step in steps]
        with pytest.raises(SubmissionsApiError) as caught:
            api.create_submission(submission())
        told = f"{caught.value!r} {caught.value} {shown} {caplog.text} {api!r}"
    assert REGISTRY_TOKEN not in told
    _, path, query, headers, _ = double.requests[0]
    assert "000000002" not in f"{path} {query}"
    assert headers["qpp-taxpayer-identification-number"] == "000000002"
    assert headers["authorization"] == f"Bearer {REGISTRY_TOKEN}"
    assert "000000002" not in caplog.text


def test_a_registry_may_not_write_submissions(double: FakeSubmissionsApi, clock: Clock) -> None:
    with client(double, clock) as api, pytest.raises(SubmissionsApiError) as caught:
        api.create_submission(submission())
    error = caught.value
    assert (error.status, error.code, error.kind) == (401, "login", "Unauthorized")
    assert "measurement sets, not on submissions" in error.mend
    assert isinstance(error, MeasurewiseError)


def test_an_unknown_token_is_told_once(double: FakeSubmissionsApi, clock: Clock) -> None:
    with client(double, clock, "expired") as api, pytest.raises(SubmissionsApiError, match="401"):
        api.measurement_sets()
    assert len(double.requests) == 1


def test_a_second_set_of_the_same_method_is_a_conflict(double: FakeSubmissionsApi, clock: Clock) -> None:
    group = submission()
    with client(double, clock) as api:
        api.create_measurement_set(first_set(group), group)
        with pytest.raises(SubmissionsApiError) as caught:
            api.create_measurement_set(first_set(group), group)
    assert (caught.value.status, caught.value.code) == (409, "conflict")
    assert "Replace" in caught.value.mend


def test_refused_fields_are_told_by_pointer(double: FakeSubmissionsApi, clock: Clock) -> None:
    wrong = {**QUALITY, "measurements": [{"measureId": "236", "value": {"performanceMet": 5}}]}
    del wrong["performanceEnd"]
    group = submission(measurementSets=[wrong])
    with client(double, clock) as api, pytest.raises(SubmissionsApiError) as caught:
        api.create_measurement_set(first_set(group), group)
    error = caught.value
    assert (error.status, error.code, error.kind) == (422, "invalid", "ValidationError")
    assert error.faults == (
        FieldFault("/performanceEnd", "field 'performanceEnd' in $ is missing"),
        FieldFault(
            "/measurements/0/value/eligiblePopulation",
            "field 'eligiblePopulation' in $.measurements[0].value is missing",
        ),
    )
    assert "/measurements/0/value/eligiblePopulation" in str(error)
    same = pickle.loads(pickle.dumps(error))  # noqa: S301, our own
    assert (str(same), same.faults, same.status) == (str(error), error.faults, 422)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_be_repeated_is_sent_again_when_the_server_says(
    double: FakeSubmissionsApi, clock: Clock, status: int
) -> None:
    double.faults.extend([(status, {"Retry-After": "7"}, None), (status, {"Retry-After": "3"}, None)])
    with client(double, clock) as api:
        assert api.measurement_sets() == []
    assert len(double.requests) == 3
    assert clock.slept[:2] == [7.0, 3.0]


def test_a_lost_connection_is_tried_again(double: FakeSubmissionsApi, clock: Clock) -> None:
    double.faults.append(httpx.ConnectError("connection refused"))
    with client(double, clock) as api:
        assert api.measurement_sets() == []


def test_the_preview_of_a_score_may_be_repeated(double: FakeSubmissionsApi, clock: Clock) -> None:
    double.faults.append((503, {}, None))
    with client(double, clock) as api:
        assert api.score_preview(submission())["name"] == "total"


@pytest.mark.parametrize(
    "fault", [(503, {}, None), (429, {"Retry-After": "9"}, None), httpx.ReadError("lost")]
)
def test_a_creation_is_never_sent_twice(double: FakeSubmissionsApi, clock: Clock, fault: Any) -> None:
    double.faults.append(fault)
    group = submission()
    with client(double, clock) as api, pytest.raises(SubmissionsApiError) as caught:
        api.create_measurement_set(first_set(group), group)
    assert len(double.requests) == 1
    assert clock.slept == []
    assert caught.value.mend


def test_a_server_that_stays_away_is_given_up(double: FakeSubmissionsApi, clock: Clock) -> None:
    double.faults.extend([(503, {}, {"error": {"message": "maintenance"}})] * 5)
    with (
        client(double, clock) as api,
        pytest.raises(SubmissionsApiError, match=r"503.*maintenance") as caught,
    ):
        api.measurement_sets()
    assert (caught.value.code, len(double.requests)) == ("transient", 3)


def test_a_wait_beyond_all_patience_is_not_waited_for(double: FakeSubmissionsApi, clock: Clock) -> None:
    double.faults.append((429, {"Retry-After": "86400"}, None))
    with client(double, clock) as api, pytest.raises(SubmissionsApiError) as caught:
        api.measurement_sets()
    assert (caught.value.code, clock.slept) == ("throttled", [])
    assert "86400 seconds" in caught.value.mend


def test_no_more_than_25_requests_go_out_in_a_second(double: FakeSubmissionsApi, clock: Clock) -> None:
    with client(double, clock) as api:
        for _ in range(51):
            api.measurement_sets()
    assert clock.now >= 2.0 - 1e-9


@pytest.mark.parametrize("body", [b"<html>", [], {"data": {}}, {"data": None}])
def test_an_answer_of_another_shape_is_an_error(double: FakeSubmissionsApi, clock: Clock, body: Any) -> None:
    double.faults.append((200, {}, body))
    with client(double, clock) as api, pytest.raises(SubmissionsApiError):
        api.measurement_sets()


def test_a_list_that_is_not_whole_is_an_error(double: FakeSubmissionsApi, clock: Clock) -> None:
    double.faults.append((200, {}, {"data": {"items": [QUALITY], "totalItems": 40}}))
    with client(double, clock) as api, pytest.raises(SubmissionsApiError, match="1 of 40"):
        api.measurement_sets()


@pytest.mark.parametrize(
    "address", ["http://qpp.cms.gov/api", "qpp.cms.gov", "https://me:secret@qpp.cms.gov", "https://a/?b=c"]
)
def test_only_an_https_address_without_more_is_taken(address: str) -> None:
    with pytest.raises(SubmissionsApiError, match="address") as caught:
        SubmissionsApi(address, "token")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "  ", "two words", "line\nbreak", "schlüssel"])
def test_a_token_that_is_none_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(SubmissionsApiError, match="token") as caught:
        SubmissionsApi(BASE, token)
    assert not token.strip() or token not in str(caught.value)


@pytest.mark.parametrize("name", ["../submissions", "a/b", "", "a?b"])
def test_an_id_cannot_lead_elsewhere(double: FakeSubmissionsApi, clock: Clock, name: str) -> None:
    with client(double, clock) as api, pytest.raises(SubmissionsApiError, match="no id"):
        api.delete_measurement_set(name)
    assert double.requests == []
