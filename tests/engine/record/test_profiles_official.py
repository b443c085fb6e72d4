"""Profiles against the official model info and the official cases."""

import gzip
import json
from collections import Counter
from xml.etree import ElementTree

import pytest
from shared_inputs import shared

from measurewise.engine.record.profiles import BASE_DEFINITION, PROFILES, labels

GUIDES = [
    ("qicore-modelinfo-4.1.1", "qicore-4.1.1"),
    ("qicore-modelinfo-6.0.0", "qicore-6.0.0"),
    ("uscore-modelinfo-3.1.1", "uscore-3.1.1"),
    ("uscore-modelinfo-6.1.0", "uscore-6.1.0"),
]


@pytest.mark.parametrize(("model_info", "guide"), GUIDES)
def test_every_profile_that_a_model_lets_authors_retrieve_has_facts(model_info, guide):
    data = gzip.decompress((shared("modelinfo") / f"{model_info}.xml.gz").read_bytes())
    types = ElementTree.fromstring(data).iter("{urn:hl7-org:elm-modelinfo:r1}typeInfo")  # noqa: S314
    retrievable = [t for t in types if t.get("retrievable") == "true"]
    assert retrievable
    for info in retrievable:
        url = info.get("identifier")
        if url in (BASE_DEFINITION + "Resource", BASE_DEFINITION + "DomainResource"):
            continue
        profile = PROFILES.get(url)
        assert profile is not None, f"{guide}: {url}"
        if info.get("target"):
            assert profile.resource_type == info.get("target"), url


def test_what_official_cases_are_labelled_as_they_nearly_always_are_by_structure():
    asked = [PROFILES.get(url) for url in PROFILES.urls()]
    both, label_only = Counter(), Counter()
    for path in sorted(shared("ecqm", "cases").glob("*.ndjson.gz")):
        for line in gzip.decompress(path.read_bytes()).splitlines():
            for resource in json.loads(line)["resources"]:
                stated = set(labels(resource))
                for profile in asked:
                    if profile.url in stated and profile.resource_type == resource["resourceType"]:
                        met = PROFILES.matches_by_structure(profile.url, resource)
                        (both if met else label_only)[profile.url] += 1
    total = both.total() + label_only.total()
    assert total > 10_000
    assert both.total() / total >= 0.98, label_only
    # A label that structure seldom confirms would be a wrong rule. The least sure of all: a fifth of the
    # Conditions labelled as problems are filed under encounter-diagnosis.
    for url, count in label_only.items():
        assert both[url] / (both[url] + count) >= 0.75, url
