"""The official value sets, read as they are published."""

import gzip
import time

import pytest
from shared_inputs import shared

from measurewise.engine.terminology.value_sets import ValueSetIndex


@pytest.fixture(scope="module")
def published():
    return gzip.decompress(shared("ecqm", "valuesets.ndjson.gz").read_bytes())


def test_all_are_indexed_in_well_under_a_second(published):
    start = time.perf_counter()
    index = ValueSetIndex.from_ndjson(published)
    assert len(index) == published.count(b"\n")
    assert time.perf_counter() - start < 0.5


def test_each_expands_to_as_many_codes_as_it_states(published):
    index = ValueSetIndex.from_ndjson(published)
    assert len(index.urls()) == len(index)
    for url in index.urls():
        stated = index.get(url)["expansion"].get("total")
        if stated is not None:
            assert len(index.members(url)) == stated, url
    assert index.notices == []
