"""SMART scopes of both versions say what they allow, and nothing else allows anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurewise.api.security.errors import ScopeError
from measurewise.api.security.principal import Principal, operator
from measurewise.api.security.scopes import OPERATIONS, Need, Scopes, operation_needs, parse_scope
from measurewise.store.access import Access


def principal(scopes: str, patient: str | None = None, fhir_user: str | None = None) -> Principal:
    return Principal(
        "someone",
        "app",
        Scopes.parse(scopes),
        Access(frozenset({"practice-a"}), patient),
        patient=patient,
        fhir_user=fhir_user,
    )


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("user/Patient.read", "rs"),
        ("user/Patient.write", "cud"),
        ("user/Patient.*", "cruds"),
        ("user/*.read", "rs"),
        ("user/*.*", "cruds"),
        ("user/Patient.c", "c"),
        ("user/Patient.r", "r"),
        ("user/Patient.s", "s"),
        ("user/Patient.rs", "rs"),
        ("user/Patient.cruds", "cruds"),
        ("user/*.cud", "cud"),
        # not this level, not this type
        ("patient/Patient.rs", ""),
        ("system/Patient.rs", ""),
        ("user/Observation.rs", ""),
        # misshapen
        ("user/Patient.sr", ""),
        ("user/Patient.rr", ""),
        ("user/Patient.rx", ""),
        ("user/Patient.", ""),
        ("user/Patient", ""),
        ("user/patient.rs", ""),
        ("USER/Patient.rs", ""),
        ("user/Patient.read?active=true", ""),
        ("user/Patient.rs?", ""),
        ("user/Patient.rs?active", ""),
        ("user/Patient.rs?active=", ""),
        ("user/Patient.rs/x", ""),
        ("openid", ""),
        ("launch/patient", ""),
    ],
)
def test_a_scope_allows_these_actions_on_patient(scope: str, allowed: str) -> None:
    scopes = Scopes.parse(scope)
    assert "".join(a for a in "cruds" if scopes.allows("user", "Patient", a)) == allowed
    assert not any(scopes.restrictions("user", "Patient", a) for a in "cruds")


def test_every_type_is_asked_for_only_by_the_star() -> None:
    assert Scopes.parse("system/*.rs").allows("system", "*", "r")
    assert not Scopes.parse("system/Patient.rs system/Observation.rs").allows("system", "*", "r")


def test_a_granular_scope_allows_nothing_unrestrictedly() -> None:
    scopes = Scopes.parse("patient/Observation.rs?category=http://a|laboratory&status=final")
    assert not scopes.allows("patient", "Observation", "r")
    assert scopes.restrictions("patient", "Observation", "s") == (
        (("category", "http://a|laboratory"), ("status", "final")),
    )


def test_a_broader_scope_covers_a_narrower_one() -> None:
    broad = Scopes.parse("user/*.rs patient/Observation.rs?category=laboratory")
    for text, covered in {
        "user/Patient.r": True,
        "user/Patient.read": True,
        "user/Patient.rs?active=true": True,
        "user/Patient.cr": False,
        "system/Patient.r": False,
        "patient/Observation.rs": False,
        "patient/Observation.r?category=laboratory": True,
        "patient/Observation.r?category=laboratory&status=final": True,
        "patient/Observation.r?category=vital-signs": False,
    }.items():
        scope = parse_scope(text)
        assert scope is not None
        assert broad.covers(scope) is covered, text


@given(st.text(max_size=40))
def test_no_text_whatsoever_breaks_the_reading_of_scopes(text: str) -> None:
    scopes = Scopes.parse(text)
    assert Scopes.parse(str(scopes)) == scopes


@given(
    st.sampled_from(["patient", "user", "system"]),
    st.sampled_from(["*", "Patient", "Observation"]),
    st.sets(st.sampled_from("cruds"), min_size=1),
)
def test_a_scope_written_out_reads_as_itself(level: str, resource_type: str, actions: set[str]) -> None:
    text = f"{level}/{resource_type}.{''.join(a for a in 'cruds' if a in actions)}"
    scope = parse_scope(text)
    assert scope is not None
    assert str(scope) == text


def test_user_scopes_reach_the_organisation_and_patient_scopes_one_patient() -> None:
    who = principal("user/Measure.rs patient/Observation.rs", patient="p1")
    assert who.permit(Need("Measure", "r")).access == Access(frozenset({"practice-a"}))
    assert who.permit(Need("Observation", "r")).access == Access(frozenset({"practice-a"}), "p1")
    # both together: the narrower
    both = who.permit(Need("Measure", "r"), Need("Observation", "r"))
    assert both.access.patient == "p1"


def test_before_anything_is_permitted_the_access_is_the_narrowest() -> None:
    who = principal("user/*.rs patient/*.rs", patient="p1")
    assert who.access.patient == "p1"
    assert who.permit(Need("Patient", "r")).access.patient is None


def test_patient_scopes_without_a_patient_allow_nothing() -> None:
    with pytest.raises(ScopeError, match="names no patient"):
        principal("patient/*.cruds").permit(Need("Observation", "r"))


def test_a_patient_with_user_scopes_sees_one_patient_only() -> None:
    who = principal("user/*.cruds", patient="p1", fhir_user="Patient/p1")
    assert who.permit(Need("Observation", "rs")).access.patient == "p1"


@pytest.mark.parametrize("fhir_user", ["RelatedPerson/mother", "Patient/mother", "Person/x"])
def test_a_relative_sees_the_child_by_patient_scopes_alone(fhir_user: str) -> None:
    who = principal("user/*.cruds", patient="child", fhir_user=fhir_user)
    with pytest.raises(ScopeError):
        who.permit(Need("Observation", "r"))
    who = principal("user/*.cruds patient/Observation.rs", patient="child", fhir_user=fhir_user)
    assert who.permit(Need("Observation", "r")).access.patient == "child"


def test_granular_scopes_become_search_parameters() -> None:
    who = principal("user/Observation.rs?category=laboratory user/Observation.rs?category=vital-signs")
    found = who.permit(Need("Observation", "s"), restrictable=True)
    assert found.search_parameters("Observation") == (("category", "laboratory,vital-signs"),)
    assert found.search_parameters("Patient") == ()
    assert not found.may("Observation", "r")


def test_granular_scopes_that_are_no_single_search_are_refused() -> None:
    who = principal("user/Observation.rs?category=laboratory user/Observation.rs?code=1234")
    with pytest.raises(ScopeError, match="several ways"):
        who.permit(Need("Observation", "s"), restrictable=True).search_parameters("Observation")


def test_granular_scopes_that_differ_for_reading_and_searching_are_refused_together() -> None:
    who = principal("user/Observation.r?category=laboratory user/Observation.s?category=vital-signs")
    who.permit(Need("Observation", "r"), restrictable=True)
    who.permit(Need("Observation", "s"), restrictable=True)
    with pytest.raises(ScopeError, match="differently"):
        who.permit(Need("Observation", "rs"), restrictable=True)


def test_a_scope_without_restrictions_lifts_the_granular_ones() -> None:
    who = principal("user/Observation.rs?category=laboratory user/*.rs")
    found = who.permit(Need("Observation", "s"), restrictable=True)
    assert found.search_parameters("Observation") == ()
    assert found.may("Observation", "r")


def test_granular_scopes_do_not_do_for_operations() -> None:
    who = principal("user/Patient.r user/*.r?category=laboratory")
    with pytest.raises(ScopeError, match="limited by search parameters"):
        who.permit_operation(operation_needs("Patient/$everything"))


def test_patient_granular_scopes_bind_to_the_patient_too() -> None:
    who = principal("patient/Observation.rs?category=laboratory", patient="p1")
    found = who.permit(Need("Observation", "s"), restrictable=True)
    assert found.access.patient == "p1"
    assert found.search_parameters("Observation") == (("category", "laboratory"),)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_is_refused_without_any_one_of_the_scopes_it_needs(name: str) -> None:
    needs = OPERATIONS[name].needs
    every = [f"system/{need.resource_type}.{need.actions}" for need in needs]
    principal(" ".join(every)).permit_operation(OPERATIONS[name])
    for left_out in range(len(every)):
        # a need that another one implies is none of its own
        rest = " ".join(every[:left_out] + every[left_out + 1 :])
        need = needs[left_out]
        if all(Scopes.parse(rest).allows("system", need.resource_type, a) for a in need.actions):
            continue
        with pytest.raises(ScopeError):
            principal(rest).permit_operation(OPERATIONS[name])


@pytest.mark.parametrize(
    "name", ["Group/$export", "Patient/$export", "$export", "$import", "Measure/$submit-data"]
)
def test_patient_scopes_never_do_for_bulk_operations(name: str) -> None:
    with pytest.raises(ScopeError):
        principal("patient/*.cruds", patient="p1").permit_operation(OPERATIONS[name])


def test_an_export_of_named_types_needs_those_types_only() -> None:
    needs = operation_needs("Group/$export", types=["Patient", "Condition"])
    principal("system/Group.r system/Patient.r system/Condition.r").permit_operation(needs)
    with pytest.raises(ScopeError):
        principal("system/Group.r system/Patient.r").permit_operation(needs)


def test_an_operation_that_the_table_does_not_know_is_not_open() -> None:
    with pytest.raises(KeyError):
        operation_needs("Measure/$forgotten")


def test_a_patient_bound_token_evaluates_its_patient_only() -> None:
    who = principal("patient/*.rs", patient="p1").permit_operation(OPERATIONS["Measure/$evaluate-measure"])
    who.check_subject("Patient/p1")
    who.check_subject("p1")
    for subject in ("Patient/p2", "p2", "Group/g", "Group/p1", "", None):
        with pytest.raises(ScopeError, match="bound to one patient"):
            who.check_subject(subject)


def test_a_patient_bound_token_changes_its_patients_data_only() -> None:
    who = principal("patient/*.cruds", patient="p1").permit(Need("Observation", "u"))
    who.check_compartment("p1")
    who.check_compartment("p1", "p1")
    for patients in (("p2",), ("p1", "p2"), ("p2", "p1"), (None,), ("p1", None)):
        with pytest.raises(ScopeError, match="that patient's data only"):
            who.check_compartment(*patients)
    principal("user/*.cruds").permit(Need("Observation", "u")).check_compartment("p2", None)


def test_the_operator_of_an_open_server_may_do_everything() -> None:
    who = operator().permit(Need("*", "cruds"))
    assert who.access == Access(None)
    assert who.may("Observation", "d")
    who.check_subject(None)


def test_the_refusal_names_the_scopes_that_would_do() -> None:
    with pytest.raises(ScopeError) as refused:
        principal("user/Patient.rs").permit(Need("Measure", "u"))
    assert refused.value.scopes == ("user/Measure.u", "system/Measure.u", "patient/Measure.u")
    assert 'error="insufficient_scope"' in refused.value.headers["WWW-Authenticate"]
