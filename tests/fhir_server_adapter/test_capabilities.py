"""A CapabilityStatement is read into what the adapter decides by."""

import asyncio

import pytest
from fake_server import FakeServer, outcome, statement

from measurewise.fhir_server_adapter.capabilities import capabilities_of, read_capabilities
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.sources import Way, choose_source


def test_searches_operations_and_exports_are_found() -> None:
    async def run() -> None:
        async with FakeServer([]).client() as client:
            found = await read_capabilities(client)
        assert found.software == "Example FHIR"
        assert found.everything
        assert found.transaction
        assert found.exports == {"patient", "group"}
        assert found.patient_parameter("Condition") == "patient"
        assert found.patient_parameter("Observation") == "subject"
        assert found.patient_parameter("Medication") is None
        assert found.patient_parameter("Basic") is None
        assert found.last_updated == {"Observation"}

    asyncio.run(run())


def test_exports_listed_for_the_system_are_told_apart_by_their_definitions() -> None:
    base = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/"
    operations = [
        {"name": "patient-export", "definition": base + "patient-export"},
        {"name": "group-export", "definition": base + "group-export|2.0.0"},
    ]
    found = capabilities_of(statement(rest=[{"mode": "server", "operation": operations}]))
    assert found.exports == {"patient", "group"}
    operations = [{"name": "export", "definition": base + "export"}]
    assert capabilities_of(statement(rest=[{"mode": "server", "operation": operations}])).exports == {
        "system"
    }


def test_includes_are_what_the_server_lists() -> None:
    resource = {"type": "MedicationRequest", "searchInclude": ["MedicationRequest:medication"]}
    found = capabilities_of(statement(rest=[{"mode": "server", "resource": [resource]}]))
    assert found.includes("MedicationRequest", "MedicationRequest:medication")
    assert not found.includes("MedicationRequest", "MedicationRequest:requester")
    assert not found.includes("Encounter", "Encounter:location")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (statement(fhirVersion="5.0.0"), "5.0.0"),
        (outcome("login", "no"), "no CapabilityStatement"),
        ([], "no CapabilityStatement"),
    ],
)
def test_a_server_that_is_not_r4_is_refused(wrong: object, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        capabilities_of(wrong)


def test_the_way_follows_from_what_is_offered_and_what_is_wanted() -> None:
    offered = capabilities_of(statement())
    assert choose_source(offered) is Way.BULK
    assert choose_source(offered, group=True) is Way.BULK
    assert choose_source(offered, few=True) is Way.SEARCHES
    assert choose_source(offered, few=True, unsearchable=["Procedure"]) is Way.EVERYTHING
    assert choose_source(offered, Way.EVERYTHING) is Way.EVERYTHING
    with pytest.raises(SourceError, match=r"searches \(it does not search Procedure by patient\)"):
        choose_source(offered, Way.SEARCHES, unsearchable=["Procedure"])
    nothing = capabilities_of(statement(rest=[]))
    with pytest.raises(SourceError, match="no way"):
        choose_source(nothing)
    with pytest.raises(SourceError, match="does not offer bulk"):
        choose_source(nothing, Way.BULK)
