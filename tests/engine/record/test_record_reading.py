"""Records from JSON text: digits kept, odd entries told, unusable text refused with its place."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine import MeasurewiseError, RecordError, read_record, record_of_bundle

PATIENT = {"resourceType": "Patient", "id": "p"}


def as_bundle(*resources: dict) -> bytes:
    return json.dumps({"resourceType": "Bundle", "entry": [{"resource": r} for r in resources]}).encode()


def test_decimals_keep_their_digits():
    data = as_bundle(PATIENT, {"resourceType": "Observation", "valueQuantity": {"value": 7}})
    record = read_record(data.replace(b'"value": 7', b'"value": 72.50'))
    value = record.by_type["Observation"][0]["valueQuantity"]["value"]
    assert (type(value), str(value)) == (Decimal, "72.50")


def test_a_bundle_and_a_list_of_resources_give_the_same_record():
    resources = [PATIENT, {"resourceType": "Condition", "id": "c"}]
    assert (
        read_record(as_bundle(*resources)).by_type
        == read_record(json.dumps({"id": "case", "resources": resources}).encode()).by_type
    )
    assert record_of_bundle(json.loads(as_bundle(*resources))).patient == PATIENT


def test_a_byte_order_mark_is_passed_over():
    assert read_record(b"\xef\xbb\xbf" + as_bundle(PATIENT)).patient == PATIENT


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "file, column 1: the JSON ends early."),
        (b'{"resourceType":\n "Bundle",', "file, line 2, column 11: the JSON ends early."),
        (b'{"resourceType": Bundle}', "file, column 18: the JSON cannot be read"),
        (b'{"resourceType": "Bundle\xff"}', "file: the text is not UTF-8."),
        (b"[" * 100_000, "file: the JSON is nested too deeply."),
        (b"5", "file: It is no JSON object. Give a FHIR Bundle."),
        (b'{"entry": []}', "file: It has no resourceType. Give a FHIR Bundle."),
        (b'{"resourceType": "Patient"}', "file: It is a Patient, not a Bundle."),
        (as_bundle(), "file: There is no Patient among the resources."),
        (as_bundle(PATIENT, PATIENT), "file: There are 2 Patients among the resources (p, p)."),
    ],
)
def test_what_is_no_record_is_refused_with_its_place(data, told):
    with pytest.raises(RecordError) as caught:
        read_record(data, where="file")
    assert str(caught.value).startswith(told)


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:resourcTypBund 0.5e', max_size=60).map(str.encode))
def test_no_text_raises_anything_but_an_error_of_the_family(data):
    with pytest.raises(MeasurewiseError):
        read_record(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(entries=st.lists(json_values, max_size=6))
def test_no_entry_of_a_bundle_spoils_the_patient(entries):
    data = json.dumps({"resourceType": "Bundle", "entry": [{"resource": PATIENT}, *entries]}).encode()
    assert read_record(data).patient == PATIENT
