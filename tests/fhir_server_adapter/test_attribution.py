"""Who answers for a patient, by each of the named rules."""

import pytest

from measurewise.fhir_server_adapter.attribution import RULES, Span, group_members

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
