"""Measures and libraries by reference."""

from __future__ import annotations

import json

import pytest

from measurewise.engine.content import Content, Libraries, LibraryChain, LibraryContent
from measurewise.engine.errors import ContentError, NotFoundError

CMS122 = "CMS122FHIRDiabetesAssessGreaterThan9Percent"


def measure(name, version="1.0.0", **more):
    return {
        "resourceType": "Measure",
        "name": name,
        "version": version,
        "url": f"http://x/Measure/{name}",
        **more,
    }


def test_the_official_content_is_there_whole(official, ecqm_dir):
    assert len(official.measures) == len(list((ecqm_dir / "measures").iterdir()))
    assert len(official.libraries) == len(list((ecqm_dir / "libraries").iterdir()))
    assert len(official.value_set_index()) == len(official.value_sets) == 542
    assert official.notices == ()


def test_several_versions_of_one_library_stand_side_by_side(official):
    assert [lib.version for lib in official.libraries.versions("CQMCommon")] == [
        "3.0.000",
        "4.0.000",
        "4.1.000",
    ]
    assert official.resolve("CQMCommon", "4.0.000").tree().identifier.version == "4.0.000"
    assert official.resolve("CQMCommon").version == "4.1.000"


@pytest.mark.parametrize(
    "reference",
    [
        CMS122,
        f"{CMS122}|0.5.000",
        f"https://madie.cms.gov/Measure/{CMS122}",
        f"https://madie.cms.gov/Measure/{CMS122}|0.5.000",
        "CMS122FHIR",
        "CMS122",
        "cms122",
    ],
)
def test_a_measure_is_found_by_url_name_identifier_or_beginning(official, reference):
    assert official.measure(reference).name == CMS122


def test_the_beginning_of_a_name_does_not_cut_a_number(official):
    with pytest.raises(NotFoundError, match='no measure "CMS12"'):
        official.measure("CMS12")


def test_a_measure_that_is_not_there_is_named_with_what_is_near(official):
    with pytest.raises(NotFoundError, match=f"Near it: .*{CMS122}"):
        official.measure("CMS122FHIRDiabetesAssesGreaterThan9Percents")
    with pytest.raises(NotFoundError, match=r"has no version 9; there is version 0\.5\.000"):
        official.measure(f"{CMS122}|9")


def test_of_several_versions_the_highest_is_meant():
    content = Content.of([measure("M", v) for v in ("1.9.0", "1.10.0", "1.2.0")])
    assert content.measure("M").version == "1.10.0"
    assert content.measure("M|1.2.0").version == "1.2.0"


def test_a_beginning_that_several_names_share_is_refused():
    content = Content.of([measure("BloodPressureA"), measure("BloodPressureB")])
    with pytest.raises(ContentError, match="several measures: BloodPressureA, BloodPressureB"):
        content.measure("BloodPressure")


def test_every_official_measure_has_its_library(official):
    for found in official.measures:
        assert official.primary_library(found).name == found.resource["library"][0].rpartition("/")[2]


def test_an_unversioned_library_reference_means_the_measures_own_version(make):
    libraries = [make("L", v, url="http://x/Library/L") for v in ("1.0.0", "2.0.0", "3.0.0")]
    content = Content.of(
        [*libraries, *(measure("M", v, library=["http://x/Library/L"]) for v in ("2.0.0", "2.5.0"))]
    )
    assert content.primary_library(content.measure("M|2.0.0")).version == "2.0.0"
    assert content.primary_library(content.measure("M|2.5.0")).version == "3.0.0"


def test_a_versioned_library_reference_means_that_version(make):
    libraries = [make("L", v, url="http://x/Library/L") for v in ("1.0.0", "2.0.0")]
    content = Content.of([*libraries, measure("M", "2.0.0", library=["http://x/Library/L|1.0.0"])])
    assert content.primary_library(content.measure("M")).version == "1.0.0"


def test_a_measure_whose_library_is_not_there_says_so(make):
    content = Content.of(
        [
            make("L", "1.0.0", url="http://y/Library/L"),
            measure("A", library=["http://x/Library/L"]),
            measure("B", library=["http://y/Library/L|2.0.0"]),
            measure("C"),
            measure("D", library=["http://y/Library/L", "http://y/Library/K"]),
        ]
    )
    with pytest.raises(NotFoundError) as caught:
        content.primary_library(content.measure("A"))
    assert "measure A 1.0.0 names library http://x/Library/L, but" in str(caught.value)
    assert "has the URL http://y/Library/L" in str(caught.value)
    with pytest.raises(NotFoundError, match=r"version 2\.0\.0 is not there; there is version 1\.0\.0"):
        content.primary_library(content.measure("B"))
    with pytest.raises(ContentError, match="names no library"):
        content.primary_library(content.measure("C"))
    with pytest.raises(ContentError, match="names 2 libraries"):
        content.primary_library(content.measure("D"))


def test_a_contained_library_is_found(make):
    contained = {**make("L"), "id": "logic"}
    content = Content.of([measure("M", library=["#logic"], contained=[contained])])
    assert content.primary_library(content.measure("M")).name == "L"


def test_equal_copies_are_one_and_differing_ones_are_noticed(make):
    content = Content.of([make("L"), make("L"), measure("M"), measure("M")])
    assert (len(content.libraries), len(content.measures), content.notices) == (1, 1, ())
    content = Content.of(
        [make("L"), make("L", "1.0.0", ("K", None)), measure("M"), measure("M", title="other")]
    )
    assert (len(content.libraries), len(content.measures)) == (1, 1)
    assert [notice.kind for notice in content.notices] == ["differing-copies", "differing-copies"]
    assert "memory, resource 2" in str(content.notices[0])
    assert "memory, resource 4" in str(content.notices[1])


def test_value_set_copies_are_kept_once():
    value_set = {"resourceType": "ValueSet", "url": "http://x/vs", "version": "1"}
    content = Content.of([value_set, value_set, {**value_set, "version": "2"}])
    assert len(content.value_sets) == 2


def test_libraries_of_one_name_from_two_publishers_are_told_apart(make):
    ours, theirs = (
        make("Common", url="http://a/Library/Common"),
        make("Common", url="http://b/Library/Common"),
    )
    libraries = Content.of([ours, theirs]).libraries
    assert len(libraries) == 2
    assert libraries.resolve("Common", "1.0.0", "http://b").url == "http://b/Library/Common"
    with pytest.raises(NotFoundError):
        libraries.resolve("Common", "1.0.0", "http://c")


def test_a_library_is_also_found_by_what_its_logic_declares(make):
    resource = {**make("Logic", "4.0.0"), "name": "LogicLibrary", "version": "2025"}
    libraries = Content.of([resource]).libraries
    assert libraries.resolve("Logic", "4.0.0").version == "2025"


def test_a_chain_asks_its_sources_in_turn(make):
    def source(*versions):
        return Libraries(LibraryContent.from_resource(make("L", version)) for version in versions)

    chain = LibraryChain([source("1.0.0"), source("1.0.0", "2.0.0"), source()])
    assert chain.resolve("L", "2.0.0").version == "2.0.0"
    assert chain.resolve("L").version == "2.0.0"
    with pytest.raises(
        NotFoundError, match=r"there is version 1\.0\.0\..*there is version 1\.0\.0, 2\.0\.0\."
    ):
        chain.resolve("L", "3.0.0")


def test_resources_may_be_given_parsed_as_json_or_in_a_bundle(make):
    bundle = {"resourceType": "Bundle", "entry": [{"resource": measure("M")}, {"resource": make("L")}]}
    for resources in (
        [bundle],
        [json.dumps(bundle).encode()],
        [entry["resource"] for entry in bundle["entry"]],
    ):
        content = Content.of(resources)
        assert [m.name for m in content.measures] == ["M"]
        assert [str(lib) for lib in content.libraries] == ["L 1.0.0"]
