"""Many patients: dealt out in any way, in any number of processes, the sums are the same."""

import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise import cql_libraries, valuesets
from measurewise.engine import EvaluationError, MeasurewiseError, Period, RecordError, SummaryAccumulator
from measurewise.engine.runner import batch as batches
from measurewise.engine.runner.batch import Preparation, evaluate_batch, evaluate_patients, shares
from measurewise.engine.runner.issues import Issue, operation_outcome
from measurewise.engine.runner.patients import PatientData
from measurewise.synthetic import bundle_json, synthesize

PREPARATION = Preparation(
    content=(str(cql_libraries.FOLDER), str(valuesets.FOLDER)), measures=(), period=Period.parse("2026")
)


@pytest.fixture(scope="module")
def prepared():
    return PREPARATION.prepared()


@pytest.fixture(scope="module")
def patients() -> list[PatientData]:
    return [
        PatientData(f"patient {number}", bundle_json(bundle))
        for number, bundle in enumerate(synthesize(30, seed=11))
    ]


def merged(found: list[batches.Batch]) -> list[SummaryAccumulator]:
    first, *rest = found
    for other in rest:
        for mine, theirs in zip(first.summaries, other.summaries, strict=True):
            mine.merge(theirs)
    return first.summaries


@given(sizes=st.lists(st.integers(1, 3_000_000), max_size=700))
def test_shares_hold_every_patient_once_in_order_and_stay_small(sizes):
    given_patients = [PatientData(str(number), bytes(0)) for number in range(len(sizes))]
    sized = [p._replace(data=_Sized(size)) for p, size in zip(given_patients, sizes, strict=True)]
    dealt = list(shares(sized))
    assert [p.where for share in dealt for p in share] == [p.where for p in given_patients]
    assert all(0 < len(share) <= 256 for share in dealt)
    assert all(sum(len(p.data) for p in share[:-1]) < 4_000_000 for share in dealt)


class _Sized(bytes):
    """Bytes that say they are longer than they are."""

    def __new__(cls, size: int):
        made = super().__new__(cls)
        made.size = size
        return made

    def __len__(self) -> int:
        return self.size


@pytest.mark.parametrize(("jobs", "start_method"), [(1, None), (2, None), (2, "spawn")])
def test_processes_change_nothing(prepared, patients, monkeypatch, jobs, start_method):
    monkeypatch.setattr(batches, "_MOST_PATIENTS", 4)
    whole = evaluate_batch(prepared, patients).summaries
    found = list(evaluate_patients(PREPARATION, prepared, patients, jobs=jobs, start_method=start_method))
    assert len(found) == 8
    assert sum(each.patients for each in found) == 30
    assert merged(found) == whole


def test_reports_and_results_come_in_the_order_of_the_patients(prepared, patients, monkeypatch):
    monkeypatch.setattr(batches, "_MOST_PATIENTS", 4)
    reporting = prepared.reporting(date="2027-01-01T00:00:00Z")
    one, two = (
        [
            report
            for each in evaluate_patients(
                PREPARATION, prepared, patients, jobs=jobs, keep="reports", reporting=reporting
            )
            for report in each.reports
        ]
        for jobs in (1, 2)
    )
    assert one == two
    assert len(one) == 30 * len(prepared.measures)
    kept = evaluate_batch(prepared, patients[:2], "results").results
    assert [[result.subject for result in of_measure] for of_measure in kept] == [
        ["Patient/synthetic-11-000001", "Patient/synthetic-11-000002"]
    ] * len(prepared.measures)


def test_a_patient_that_fails_is_an_issue_and_the_others_go_on(prepared, patients):
    bad = [PatientData("broken", b"{"), PatientData("empty", b'{"resources": []}')]
    batch = evaluate_batch(prepared, [patients[0], *bad, patients[1]])
    assert (batch.patients, batch.failed) == (4, 2)
    assert batch.summaries == evaluate_batch(prepared, patients[:2]).summaries
    assert [(issue.severity, issue.code, issue.where) for issue in batch.issues] == [
        ("error", "structure", "broken, column 2"),
        ("error", "structure", "empty"),
    ]


def test_what_a_record_leaves_out_is_a_warning(prepared, patients):
    data = patients[0].data.replace(b'"entry":[', b'"entry":[{"resource":{"id":"no type"}},')
    batch = evaluate_batch(prepared, [PatientData("odd", data)])
    assert (batch.failed, batch.summaries) == (0, evaluate_batch(prepared, patients[:1]).summaries)
    assert [(issue.severity, str(issue)) for issue in batch.issues] == [
        ("warning", "odd: An entry has no resourceType and is left out.")
    ]


def test_a_process_that_dies_is_told(prepared, patients, monkeypatch):
    monkeypatch.setattr(batches, "evaluate_batch", lambda *_: os._exit(9))
    with pytest.raises(EvaluationError, match="ended before its time"):
        list(evaluate_patients(PREPARATION, prepared, patients, jobs=2))


def test_errors_survive_the_way_between_processes():
    for error in (RecordError("what", where="where", mend="mend"), MeasurewiseError("only what")):
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301  our own bytes
        assert (type(copy), str(copy), copy.where) == (type(error), str(error), error.where)


def test_issues_render_as_an_operation_outcome():
    known = Issue.of(RecordError("It is torn.", where="file, line 2", mend="Mend it."), "file, line 2", "M")
    try:
        {}["gone"]
    except KeyError as error:
        unknown = Issue.of(error, "file, line 3")
    outcome = operation_outcome([known, unknown])
    assert [(issue["severity"], issue["code"]) for issue in outcome["issue"]] == [
        ("error", "structure"),
        ("error", "exception"),
    ]
    assert outcome["issue"][0]["diagnostics"] == "file, line 2 [M]: It is torn. Mend it."
    assert "the logic stumbled (KeyError: 'gone' in test_" in outcome["issue"][1]["diagnostics"]
