"""Who answers for a patient, by each of the named rules."""

import pytest

from measurewise.engine.errors import NotFoundError
from measurewise.fhir_server_adapter.attribution import RULES, Span, counts_for, group_members

YEAR = Span("2026-01-01", "2026-12-31")


def reference(to: str) -> dict[str, str]:
    return {"reference": to}


def test_a_groups_members_are_those_active_in_the_span() -> None:
    def member(to: str, **more: object) -> dict[str, object]:
        return {"entity": reference(to), **more}

    group = {
        "resourceType": "Group",
        "member": [
            member("Patient/1"),
            member("Patient/2", inactive=True),
            member("Patient/3", period={"end": "2025-12-31"}),
            member("Patient/4", period={"start": "2026-12-31T10:00:00Z"}),
            member("https://x.org/r4/Patient/5/_history/2", period={"start": "2027"}),
            member("https://x.org/r4/Patient/6/_history/2", period={"end": "2026"}),
        ],
    }
    assert group_members(group, YEAR) == {"Patient/1", "Patient/4", "Patient/6"}


def test_a_general_practitioner_in_a_role_brings_practitioner_and_organization() -> None:
    resources = [
        {
            "resourceType": "Patient",
            "generalPractitioner": [
                reference("PractitionerRole/r"),
                {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}},
            ],
        },
        {
            "resourceType": "PractitionerRole",
            "id": "r",
            "practitioner": reference("Practitioner/a"),
            "organization": reference("Organization/o"),
        },
    ]
    assert RULES["general-practitioner"](resources, YEAR) == {
        "PractitionerRole/r",
        "Practitioner/a",
        "Organization/o",
        "http://hl7.org/fhir/sid/us-npi|1234567893",
    }


def test_the_managing_organization_is_the_patients() -> None:
    patient = {"resourceType": "Patient", "managingOrganization": reference("Organization/o")}
    assert RULES["managing-organization"]([patient], YEAR) == {"Organization/o"}
    assert RULES["managing-organization"]([{"resourceType": "Patient"}], YEAR) == set()


@pytest.mark.parametrize(
    ("status", "period", "counts"),
    [
        ("finished", {"start": "2026-05-01"}, True),
        ("finished", {"start": "2025-12-30", "end": "2026-01-01"}, True),
        ("finished", {"start": "2025-05-01", "end": "2025-05-02"}, False),
        ("finished", {"start": "2026", "end": "2026"}, True),
        ("cancelled", {"start": "2026-05-01"}, False),
        ("finished", None, False),
    ],
)
def test_an_encounters_participants_count_when_it_was_held_in_the_span(
    status: str, period: dict[str, str] | None, counts: bool
) -> None:
    encounter = {
        "resourceType": "Encounter",
        "status": status,
        "period": period,
        "participant": [{"individual": reference("Practitioner/a")}],
        "serviceProvider": reference("Organization/o"),
    }
    wanted = {"Practitioner/a", "Organization/o"} if counts else set()
    assert RULES["encounter-participant"]([encounter], YEAR) == wanted


NPI = "http://hl7.org/fhir/sid/us-npi"
TIN = "urn:oid:2.16.840.1.113883.4.4"


def visit(who: str, start: str, at: str = "", status: str = "finished") -> dict[str, object]:
    found: dict[str, object] = {
        "resourceType": "Encounter",
        "status": status,
        "period": {"start": start, "end": start},
        "participant": [{"individual": reference(who)}],
    }
    if at:
        found["serviceProvider"] = reference(at)
    return found


def test_the_clinician_with_the_most_visits_is_taken() -> None:
    visits = [visit("Practitioner/1", f"2026-0{month}-01") for month in (1, 2)]
    visits.append(visit("Practitioner/2", "2026-12-01"))
    # neither those outside the period nor those that did not take place count
    visits += [
        visit("Practitioner/2", "2025-03-01"),
        visit("Practitioner/2", "2026-03-01", status="cancelled"),
    ]
    assert RULES["most-visits"](visits, YEAR) == {"Practitioner/1"}


def test_of_several_with_as_many_visits_the_one_seen_last_is_taken() -> None:
    visits = [
        visit("Practitioner/2", "2026-05-01T10:00:00Z"),
        visit("Practitioner/1", "2026-05-02T08:00:00Z"),
    ]
    assert RULES["most-visits"](visits, YEAR) == {"Practitioner/1"}
    assert RULES["most-visits"](list(reversed(visits)), YEAR) == {"Practitioner/1"}


def test_visits_of_a_clinician_known_by_several_names_are_counted_together() -> None:
    by_npi = visit("", "2026-01-01")
    by_npi["participant"] = [{"individual": {"identifier": {"system": NPI, "value": "1234567893"}}}]
    resources = [
        {
            "resourceType": "Practitioner",
            "id": "1",
            "identifier": [{"system": NPI, "value": "1234567893"}],
        },
        {"resourceType": "PractitionerRole", "id": "r", "practitioner": reference("Practitioner/1")},
        by_npi,
        visit("PractitionerRole/r", "2026-02-01"),
        visit("Practitioner/1", "2026-03-01"),
        visit("Practitioner/2", "2026-04-01"),
        visit("Practitioner/2", "2026-05-01"),
    ]
    assert RULES["most-visits"](resources, YEAR) == {"Practitioner/1", f"{NPI}|1234567893"}


def test_organizations_and_relatives_are_no_clinicians() -> None:
    assert RULES["most-visits"]([visit("RelatedPerson/1", "2026-01-01")], YEAR) == frozenset()


def test_a_practice_by_its_tin_and_a_provider_decide_who_counts_for_whom() -> None:
    practice = {
        "resourceType": "Organization",
        "id": "o",
        "identifier": [{"system": TIN, "value": "123456789"}],
    }
    resources = [
        practice,
        visit("Practitioner/1", "2026-01-01", at="Organization/o"),
        visit("Practitioner/2", "2026-02-01"),
        visit("Practitioner/2", "2026-03-01"),
    ]
    ours = frozenset({f"{TIN}|123456789"})

    def counts(provider: str = "", practice: frozenset[str] = frozenset(), span: Span = YEAR) -> bool:
        named = frozenset({provider}) if provider else frozenset()
        return counts_for(resources, span, "most-visits", provider=named, practice=practice)

    assert counts("Practitioner/2")
    assert not counts("Practitioner/1")
    # within the practice only its own visits are counted
    assert counts("Practitioner/1", ours)
    assert not counts("Practitioner/2", ours)
    assert counts(practice=ours)
    assert not counts(practice=frozenset({f"{TIN}|987654321"}))
    assert not counts("Practitioner/1", ours, Span("2025-01-01", "2025-12-31"))
    with pytest.raises(NotFoundError, match="most-visits"):
        counts_for(resources, YEAR, "nearest")


def test_a_managing_organization_counts_for_its_practice() -> None:
    resources = [{"resourceType": "Patient", "managingOrganization": reference("Organization/o")}]
    ours = frozenset({"Organization/o"})
    assert counts_for(resources, YEAR, "managing-organization", practice=ours)
    assert not counts_for(resources, YEAR, "managing-organization", practice=frozenset({"Organization/x"}))
