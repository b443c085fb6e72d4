"""Canonical references and the ordering of versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.engine.terminology.canonical import latest, split_canonical, value_set_key, version_key


def test_a_canonical_splits_at_its_bar():
    assert split_canonical("http://x/vs|1.0#frag") == ("http://x/vs", "1.0")
    assert split_canonical("http://x/vs") == ("http://x/vs", None)
    assert split_canonical("http://x/vs|") == ("http://x/vs", None)


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        (None, "0"),
        ("20230901", "20240901"),
        ("1.2.9", "1.2.10"),
        ("1.2", "1.2.0"),
        ("2.0.0-ballot", "2.0.0"),
        ("2.0.0-alpha", "2.0.0-beta"),
        ("2024-09-01", "20250101"),
        ("20240831", "2024-09-01"),
        ("4.0.000", "4.1.000"),
    ],
)
def test_versions_are_ordered_by_what_they_mean(lower, higher):
    assert version_key(lower) < version_key(higher)
    assert latest([higher, lower]) == higher


@given(st.lists(st.one_of(st.none(), st.text(max_size=12)), min_size=1))
def test_any_versions_can_be_ordered_and_the_latest_is_not_below_another(versions):
    top = latest(versions)
    assert all(version_key(v) <= version_key(top) for v in versions)


@given(st.lists(st.integers(0, 9999), min_size=1, max_size=5), st.integers(1, 100))
def test_raising_the_last_number_raises_the_version(numbers, step):
    raised = [*numbers[:-1], numbers[-1] + step]
    assert version_key(".".join(map(str, numbers))) < version_key(".".join(map(str, raised)))


def test_other_urls_are_their_own_key():
    assert value_set_key("http://hl7.org/fhir/ValueSet/condition-code") == (
        "http://hl7.org/fhir/ValueSet/condition-code"
    )
