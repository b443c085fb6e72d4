"""Value sets by canonical URL: expansions, composes, versions and what cannot be had."""

import json

import pytest

from measurewise.engine.errors import ContentError, EvaluationError, NotFoundError
from measurewise.engine.runtime.values import Code
from measurewise.engine.terminology.value_sets import ValueSetIndex

SCT = "http://snomed.info/sct"
LOINC = "http://loinc.org"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"


def expansion_of(url, contains, version=None, **expansion):
    return {
        "resourceType": "ValueSet",
        "url": url,
        **({"version": version} if version else {}),
        "status": "active",
        "expansion": {"timestamp": "2025-01-01", **expansion, "contains": contains},
    }


def compose_of(url, *include, exclude=(), version=None, **compose):
    return {
        "resourceType": "ValueSet",
        "url": url,
        **({"version": version} if version else {}),
        "status": "active",
        "compose": {"include": list(include), **({"exclude": list(exclude)} if exclude else {}), **compose},
    }


def entry(code, system=SCT, **rest):
    return {"system": system, "code": code, **rest}


COLOURS = {
    "resourceType": "CodeSystem",
    "url": "http://example.org/colours",
    "version": "1.0.0",
    "content": "complete",
    "hierarchyMeaning": "is-a",
    "property": [{"code": "warmth", "type": "code"}, {"code": "wavelength", "type": "integer"}],
    "concept": [
        {
            "code": "colour",
            "property": [{"code": "notSelectable", "valueBoolean": True}],
            "concept": [
                {
                    "code": "red",
                    "display": "Red",
                    "property": [
                        {"code": "warmth", "valueCode": "warm"},
                        {"code": "wavelength", "valueInteger": 700},
                    ],
                    "concept": [
                        {"code": "scarlet", "property": [{"code": "warmth", "valueCode": "warm"}]},
                        {"code": "crimson", "property": [{"code": "inactive", "valueBoolean": True}]},
                    ],
                },
                {"code": "blue", "display": "Blue", "property": [{"code": "warmth", "valueCode": "cold"}]},
                {"code": "purple", "property": [{"code": "parent", "valueCode": "red"}]},
            ],
        }
    ],
}
COLOUR = COLOURS["url"]


def colours_where(*filters):
    include = {
        "system": COLOUR,
        "filter": [{"property": p, "op": o, "value": v} for p, o, v in filters],
    }
    return {c for _, c in ValueSetIndex([COLOURS, compose_of("u", include)]).members("u")}


class TestExpansions:
    def test_nested_and_inactive_codes_are_members_and_abstract_ones_are_not(self):
        index = ValueSetIndex(
            [
                expansion_of(
                    "u",
                    [
                        {"display": "a group", "contains": [entry("1"), entry("2", inactive=True)]},
                        entry("3", abstract=True, contains=[entry("4", contains=[entry("5")])]),
                    ],
                )
            ]
        )
        assert index.members("u") == {(SCT, "1"), (SCT, "2"), (SCT, "4"), (SCT, "5")}

    def test_the_system_is_part_of_a_member(self):
        index = ValueSetIndex([expansion_of("u", [entry("123", LOINC)])])
        assert (LOINC, "123") in index.members("u")
        assert (SCT, "123") not in index.members("u")

    def test_codes_come_in_the_order_of_the_expansion_with_version_and_display(self):
        contains = [entry("9", version="2024", display="Nine"), entry("1"), entry("1"), entry("5")]
        codes = ValueSetIndex([expansion_of("u", contains)]).codes("u")
        assert codes == [Code("9", SCT, "2024", "Nine"), Code("1", SCT), Code("5", SCT)]

    def test_an_expansion_wins_over_a_compose(self):
        both = compose_of("u", {"system": SCT, "concept": [{"code": "1"}]})
        both["expansion"] = {"timestamp": "2025-01-01", "contains": [entry("2")]}
        assert ValueSetIndex([both]).members("u") == {(SCT, "2")}

    def test_an_empty_expansion_has_no_members(self):
        assert ValueSetIndex([expansion_of("u", [], total=0)]).members("u") == frozenset()

    def test_a_code_without_a_system_is_an_error_naming_the_value_set(self):
        index = ValueSetIndex([expansion_of("http://x/vs", [{"code": "1"}])])
        with pytest.raises(ContentError, match=r"http://x/vs.*'1' without a code system"):
            index.members("http://x/vs")

    def test_pages_of_one_expansion_are_put_together_in_order_of_offset(self):
        pages = [
            expansion_of("u", [entry("c")], identifier="urn:uuid:1", total=3, offset=2),
            expansion_of("u", [entry("a"), entry("b")], identifier="urn:uuid:1", total=3, offset=0),
        ]
        assert [c.code for c in ValueSetIndex(pages).codes("u")] == ["a", "b", "c"]

    def test_a_page_alone_is_an_error_that_counts(self):
        index = ValueSetIndex([expansion_of("u", [entry("a")], total=3, offset=0)])
        with pytest.raises(ContentError, match="1 of 3 codes"):
            index.members("u")

    def test_an_expansion_cut_short_gives_way_to_a_compose(self):
        cut = compose_of("u", {"system": SCT, "concept": [{"code": "1"}, {"code": "2"}]})
        cut["expansion"] = {"timestamp": "2025", "total": 2, "contains": [entry("1")]}
        assert ValueSetIndex([cut]).members("u") == {(SCT, "1"), (SCT, "2")}

    def test_of_two_expansions_of_one_version_the_later_is_used(self):
        old = expansion_of("u", [entry("1")], "1", identifier="a", timestamp="2024-01-01")
        new = expansion_of("u", [entry("2")], "1", identifier="b", timestamp="2025-01-01")
        index = ValueSetIndex([new, old])
        assert index.members("u") == {(SCT, "2")}
        assert index.expansion_identity("u") == ("u", "1", "expansion", "b", "2025-01-01")


class TestVersions:
    def test_without_a_version_the_latest_is_taken(self):
        versions = [expansion_of("u", [entry(v)], v) for v in ("1.2.9", "1.2.10", "1.2.2")]
        index = ValueSetIndex(versions)
        assert index.members("u") == {(SCT, "1.2.10")}
        assert index.members("u|1.2.2") == {(SCT, "1.2.2")}
        assert index.members("u", "1.2.9") == {(SCT, "1.2.9")}
        assert index.get("u")["version"] == "1.2.10"

    def test_an_absent_version_is_an_error_that_lists_those_at_hand(self):
        index = ValueSetIndex([expansion_of("u", [], "20230901"), expansion_of("u", [], "20240901")])
        with pytest.raises(NotFoundError, match=r"Version 2025 .* 20230901, 20240901"):
            index.members("u", "2025")

    @pytest.mark.parametrize(
        "spelling",
        ["urn:oid:2.16.840.1.1", "http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.1", "2.16.840.1.1"],
    )
    def test_an_oid_and_the_vsac_address_name_one_value_set(self, spelling):
        for held in ("urn:oid:2.16.840.1.1", "http://cts.nlm.nih.gov/fhir/ValueSet/2.16.840.1.1"):
            index = ValueSetIndex([expansion_of(held, [entry("1")], "2")])
            assert index.members(spelling) == {(SCT, "1")}
            assert f"{spelling}|2" in index
            assert f"{spelling}|3" not in index


class TestMissing:
    def test_an_absent_value_set_is_an_error_that_names_it(self):
        with pytest.raises(NotFoundError, match="http://x/vs: The value set is not at hand"):
            ValueSetIndex().members("http://x/vs")

    def test_it_may_be_taken_as_empty_with_one_notice(self):
        index = ValueSetIndex(missing="empty")
        assert index.members("http://x/vs") == frozenset()
        assert index.codes("http://x/vs") == []
        assert len(index.notices) == 1
        assert "http://x/vs" in index.notices[0]

    def test_an_incomplete_expansion_is_used_with_a_notice_when_that_is_asked_for(self):
        index = ValueSetIndex([expansion_of("u", [entry("a")], total=3)], missing="empty")
        assert index.members("u") == {(SCT, "a")}
        assert any("1 of 3" in notice for notice in index.notices)

    def test_a_value_set_that_includes_an_absent_one_is_not_half_computed(self):
        index = ValueSetIndex(
            [compose_of("u", {"system": SCT, "concept": [{"code": "1"}]}, {"valueSet": ["gone"]})],
            missing="empty",
        )
        assert index.members("u") == frozenset()


class TestComposes:
    def test_concepts_are_listed_and_excluded(self):
        index = ValueSetIndex(
            [
                compose_of(
                    "u",
                    {"system": SCT, "version": "2024", "concept": [{"code": "1", "display": "One"}]},
                    {"system": ICD, "concept": [{"code": "A"}, {"code": "B"}]},
                    exclude=[{"system": ICD, "concept": [{"code": "B"}]}],
                )
            ]
        )
        assert index.codes("u") == [Code("1", SCT, "2024", "One"), Code("A", ICD)]
        assert index.expansion_identity("u").source == "compose"

    def test_value_sets_of_one_include_are_intersected_and_includes_united(self):
        one = expansion_of("one", [entry("1"), entry("2")])
        two = expansion_of("two", [entry("2"), entry("3")])
        both = compose_of("both", {"valueSet": ["one", "two"]})
        either = compose_of("either", {"valueSet": ["one"]}, {"valueSet": ["two"]})
        within = compose_of("within", {"system": SCT, "concept": [{"code": "3"}], "valueSet": ["two"]})
        index = ValueSetIndex([one, two, both, either, within])
        assert index.members("both") == {(SCT, "2")}
        assert index.members("either") == {(SCT, "1"), (SCT, "2"), (SCT, "3")}
        assert index.members("within") == {(SCT, "3")}

    def test_a_value_set_is_included_in_the_version_asked_for(self):
        old, new = expansion_of("v", [entry("1")], "1"), expansion_of("v", [entry("2")], "2")
        index = ValueSetIndex([old, new, compose_of("u", {"valueSet": ["v|1"]})])
        assert index.members("u") == {(SCT, "1")}

    def test_value_sets_that_include_each_other_are_an_error_that_shows_the_circle(self):
        index = ValueSetIndex(
            [compose_of("a", {"valueSet": ["b"]}), compose_of("b", {"valueSet": ["a"]})],
        )
        with pytest.raises(ContentError, match="circle: a includes b includes a"):
            index.members("a")
        with pytest.raises(ContentError, match="circle"):
            index.members("b")

    def test_an_expansion_breaks_a_circle(self):
        closed = compose_of("b", {"valueSet": ["a"]})
        closed["expansion"] = {"timestamp": "2025", "contains": [entry("1")]}
        assert ValueSetIndex([compose_of("a", {"valueSet": ["b"]}), closed]).members("a") == {(SCT, "1")}

    def test_a_whole_system_gives_its_concepts_but_not_abstract_ones(self):
        index = ValueSetIndex([COLOURS, compose_of("u", {"system": COLOUR})])
        codes = [c.code for c in index.codes("u")]
        assert codes == ["red", "scarlet", "crimson", "blue", "purple"]

    def test_inactive_concepts_leave_when_the_compose_says_so(self):
        index = ValueSetIndex([COLOURS, compose_of("u", {"system": COLOUR}, inactive=False)])
        assert (COLOUR, "crimson") not in index.members("u")
        assert (COLOUR, "scarlet") in index.members("u")

    @pytest.mark.parametrize("content", ["fragment", "not-present", "example"])
    def test_a_system_without_complete_content_is_an_error_that_names_it(self, content):
        index = ValueSetIndex([{**COLOURS, "content": content}, compose_of("u", {"system": COLOUR})])
        with pytest.raises(ContentError, match=r"all codes from http://example\.org/colours"):
            index.members("u")

    def test_a_filter_over_a_system_not_at_hand_is_an_error(self):
        include = {"system": SCT, "filter": [{"property": "concept", "op": "is-a", "value": "1"}]}
        with pytest.raises(ContentError, match=r"codes by filter from http://snomed\.info/sct"):
            ValueSetIndex([compose_of("u", include)]).members("u")


class TestFilters:
    def test_is_a_takes_the_code_and_all_below_by_every_way_up(self):
        assert colours_where(("concept", "is-a", "red")) == {"red", "scarlet", "crimson", "purple"}

    def test_descendent_of_leaves_the_code_out(self):
        assert colours_where(("concept", "descendent-of", "red")) == {"scarlet", "crimson", "purple"}

    def test_is_not_a_takes_the_rest(self):
        assert colours_where(("concept", "is-not-a", "red")) == {"blue"}

    def test_generalizes_takes_the_code_and_all_above_that_may_be_used(self):
        assert colours_where(("concept", "generalizes", "scarlet")) == {"scarlet", "red"}

    def test_equals_and_in_and_exists_look_at_properties(self):
        assert colours_where(("warmth", "=", "warm")) == {"red", "scarlet"}
        assert colours_where(("wavelength", "=", "700")) == {"red"}
        assert colours_where(("concept", "in", "red, blue")) == {"red", "blue"}
        assert colours_where(("warmth", "not-in", "warm")) == {"crimson", "blue", "purple"}
        assert colours_where(("warmth", "exists", "true")) == {"red", "scarlet", "blue"}
        assert colours_where(("warmth", "exists", "false")) == {"crimson", "purple"}
        assert colours_where(("parent", "=", "red")) == {"scarlet", "crimson", "purple"}
        assert colours_where(("inactive", "=", "false")) == {"red", "scarlet", "blue", "purple"}

    def test_a_regular_expression_matches_the_whole_value(self):
        assert colours_where(("code", "regex", ".*r.*")) == {"red", "scarlet", "crimson", "purple"}
        assert colours_where(("code", "regex", "r")) == set()
        assert colours_where(("display", "regex", "[RB].*")) == {"red", "blue"}

    def test_filters_of_one_include_must_all_hold(self):
        assert colours_where(("concept", "is-a", "red"), ("warmth", "=", "warm")) == {"red", "scarlet"}

    @pytest.mark.parametrize(
        ("filter_", "says"),
        [
            (("taste", "=", "x"), "no property 'taste'"),
            (("code", "sounds-like", "x"), "operator 'sounds-like'"),
            (("code", "regex", "("), "malformed"),
            (("warmth", "exists", "maybe"), "true or false"),
            (("warmth", "is-a", "warm"), "subsumption hierarchy"),
        ],
    )
    def test_what_a_filter_cannot_mean_is_an_error(self, filter_, says):
        with pytest.raises(ContentError, match=says):
            colours_where(filter_)

    def test_a_hierarchy_of_parts_is_not_one_of_kinds(self):
        include = {"system": COLOUR, "filter": [{"property": "concept", "op": "is-a", "value": "red"}]}
        index = ValueSetIndex([{**COLOURS, "hierarchyMeaning": "part-of"}, compose_of("u", include)])
        with pytest.raises(ContentError, match="subsumption"):
            index.members("u")


class TestCodeSystems:
    def test_its_members_are_all_its_concepts(self):
        assert (COLOUR, "colour") in ValueSetIndex([COLOURS]).code_system_members(COLOUR)

    def test_without_its_content_there_is_an_error(self):
        with pytest.raises(NotFoundError, match="complete content"):
            ValueSetIndex().code_system_members(SCT)

    def test_subsumption_follows_the_hierarchy(self):
        index = ValueSetIndex([COLOURS])
        assert index.subsumes(Code("colour", COLOUR), Code("scarlet", COLOUR))
        assert index.subsumes(Code("red", COLOUR), Code("red", COLOUR))
        assert not index.subsumes(Code("scarlet", COLOUR), Code("red", COLOUR))
        assert not index.subsumes(Code("red", SCT), Code("scarlet", COLOUR))

    def test_subsumption_without_a_hierarchy_is_an_error_unless_the_codes_are_the_same(self):
        index = ValueSetIndex()
        assert index.subsumes(Code("1", SCT), Code("1", SCT))
        with pytest.raises(EvaluationError, match=r"hierarchy of http://snomed\.info/sct"):
            index.subsumes(Code("1", SCT), Code("2", SCT))


class TestBytes:
    def test_resources_as_bytes_are_read_when_asked_for(self):
        lines = b"\n".join(
            json.dumps(r).encode()
            for r in (expansion_of("u", [entry("1")], "1"), COLOURS, {"resourceType": "Patient"})
        )
        index = ValueSetIndex.from_ndjson(lines + b"\n\n")
        assert len(index) == 1
        assert index.members("u") == {(SCT, "1")}
        assert index.code_system(COLOUR) is not None

    def test_a_truncated_line_is_an_error_that_shows_its_beginning(self):
        with pytest.raises(ContentError, match="resourceType"):
            ValueSetIndex.from_ndjson(b'{"resourceType": "ValueSet", "url": "http://x/vs", "vers')

    def test_content_is_not_read_before_it_is_asked_for(self):
        late = b'{"resourceType": "ValueSet", "url": "u", "expansion": {"contains": [7]}}'
        index = ValueSetIndex.from_ndjson(late)
        assert "u" in index
        with pytest.raises(ContentError):
            index.members("u")
