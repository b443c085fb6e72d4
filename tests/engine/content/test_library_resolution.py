"""Libraries with all that they include."""

from __future__ import annotations

import time

import pytest

from measurewise.engine import elm
from measurewise.engine.content import Content, load_content, resolve_libraries, translated
from measurewise.engine.errors import ContentError, NotFoundError


def resolved(content, name, **settings):
    return resolve_libraries(content.resolve(name), content, **settings)


def test_every_official_measure_has_its_libraries_in_order(official):
    for measure in official.measures:
        libraries = official.closure(measure)
        seen = set()
        for library in libraries:
            assert {include.local_identifier for include in library.tree.includes} == set(library.includes)
            assert all(other in seen for other in library.includes.values())
            seen.add(library)
        assert len(seen) == len(libraries)
        assert libraries[-1].content is official.primary_library(measure)


def test_each_include_is_of_the_version_asked_for(official):
    for measure in official.measures:
        for library in official.closure(measure):
            for include in library.tree.includes:
                assert library.includes[include.local_identifier].content.version == include.version


def test_a_measure_with_its_includes_is_read_in_well_under_a_second(ecqm_dir):
    start = time.perf_counter()
    content = load_content(ecqm_dir / "measures", ecqm_dir / "libraries")
    content.closure(content.measure("CMS122"))
    assert time.perf_counter() - start < 1


def test_two_versions_of_one_library_in_one_closure_stay_two(make):
    content = Content.of(
        [
            make("Top", "1.0.0", ("Left", "1.0.0"), ("Base", "1.0.0")),
            make("Left", "1.0.0", ("Base", "2.0.0")),
            make("Base", "1.0.0"),
            make("Base", "2.0.0"),
        ]
    )
    libraries = resolved(content, "Top")
    assert [str(lib.content) for lib in libraries] == ["Base 2.0.0", "Left 1.0.0", "Base 1.0.0", "Top 1.0.0"]
    top = libraries[-1]
    assert top.includes["Base"].content.version == "1.0.0"
    assert top.includes["Left"].includes["Base"].content.version == "2.0.0"


def test_a_missing_version_names_who_asked_and_what_there_is(make):
    content = Content.of(
        [make("Top", "1.0.0", ("Base", "3.0.0")), make("Base", "1.0.0"), make("Base", "2.0.0")]
    )
    with pytest.raises(NotFoundError) as caught:
        resolved(content, "Top")
    assert str(caught.value) == (
        "memory, resource 1: library Top 1.0.0 includes Base version 3.0.0, but library Base version 3.0.0 is"
        " not there; there is version 1.0.0, 2.0.0. Add that version of the library to the measure's content."
    )


def test_a_missing_library_names_who_asked(make):
    with pytest.raises(
        NotFoundError, match=r"library Top 1\.0\.0 includes Base, but library Base is not there"
    ):
        resolved(Content.of([make("Top", "1.0.0", ("Base", None))]), "Top")


def test_includes_in_a_circle_are_printed_as_a_circle(make):
    content = Content.of([make("A", "1", ("B", "1")), make("B", "1", ("C", "1")), make("C", "1", ("B", "1"))])
    with pytest.raises(ContentError, match=r"in a circle: B 1 -> C 1 -> B 1\."):
        resolved(content, "A")


def test_a_library_with_neither_elm_nor_cql_is_refused(library_of):
    content = Content.of([library_of("Empty")])
    with pytest.raises(ContentError, match=r"library Empty 1\.0\.0 has neither ELM nor CQL"):
        resolved(content, "Empty")


def test_elm_that_breaks_off_is_refused_with_the_library_and_the_place(library_of, elm_of):
    import base64

    resource = library_of("A", elm=elm_of("A"))
    data = base64.b64decode(resource["content"][0]["data"])
    resource["content"][0]["data"] = base64.b64encode(data[:100]).decode()
    with pytest.raises(ContentError, match="memory, resource 1: the ELM is not valid JSON"):
        resolved(Content.of([resource]), "A")


def test_libraries_with_cql_only_are_left_to_be_translated(make, library_of, elm_of, cql_of):
    content = Content.of(
        [library_of("Top", cql=cql_of("Top", includes=(("Base", "1.0.0"),))), make("Base"), make("Other")]
    )
    base, top = resolved(content, "Top")
    assert top.tree is None
    assert top.includes == {"Base": base}

    def translate(library):
        assert library.includes["Base"].tree is not None
        return elm.read_library(elm_of(library.content.name))

    done = translated([base, top], translate)
    assert [lib.tree.identifier.id for lib in done] == ["Base", "Top"]
    assert done[1].includes["Base"] is done[0]


class TestStaleElm:
    @pytest.fixture
    def content(self, library_of, elm_of, cql_of, make):
        cql = cql_of("A", "2.0.0", (("Base", "1.0.0"),))
        return Content.of([library_of("A", "2.0.0", elm=elm_of("A", "1.0.0"), cql=cql), make("Base")])

    def test_is_an_error_that_says_how_to_mend_it(self, content):
        with pytest.raises(ContentError) as caught:
            resolved(content, "A")
        message = str(caught.value)
        assert (
            "the ELM of library A 2.0.0 is older than its CQL: "
            "the CQL is A version 2.0.0, the ELM A version 1.0.0" in message
        )
        assert "the CQL includes Base, the ELM does not" in message
        assert message.endswith(
            "Translate the CQL again and put the new ELM in place, or take the old ELM out."
        )

    def test_is_used_with_a_notice_where_that_is_asked_for(self, content):
        notices = []
        (library,) = resolved(content, "A", stale="notice", notices=notices)
        assert library.tree.identifier.version == "1.0.0"
        assert [notice.kind for notice in notices] == ["stale-elm"]

    def test_is_left_aside_where_its_cql_is_to_be_translated(self, content):
        notices = []
        libraries = resolved(content, "A", stale="translate", notices=notices)
        assert [str(lib.content) for lib in libraries] == ["Base 1.0.0", "A 2.0.0"]
        assert libraries[-1].tree is None
        assert [notice.kind for notice in notices] == ["stale-elm"]
