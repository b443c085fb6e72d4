"""A real server tells ours what changes: Subscriptions that ours keeps there, by criteria and by topic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hapi_process import Hapi, hapi_server
from live_server import Live, waited_for

from measurewise import cql_libraries, valuesets
from measurewise.engine import Engine, load_content, record_of_bundle
from measurewise.synthetic import synthesize

PATIENTS = 8
SEED = 99
DIABETES, PRESSURE = "DiabetesGlycemicControl", "HighBloodPressureFollowUp"
TOPIC = "http://example.org/SubscriptionTopic/patients-data"
_TOPIC = "http://hl7.org/fhir/5.0/StructureDefinition/extension-SubscriptionTopic."
_TRIGGER = "http://hl7.org/fhir/4.3/StructureDefinition/extension-SubscriptionTopic.resourceTrigger"
_JSON = {"Content-Type": "application/fhir+json"}
Bundle = dict[str, Any]


@pytest.fixture(scope="module")
def telling(class_path: str) -> Iterator[Hapi]:
    """A server of its own that has subscriptions."""
    with hapi_server(class_path, subscriptions=True) as server:
        yield server


class Clinic:
    """Some patients of the server, and what they are here: the counts to expect come from these."""

    def __init__(self, hapi: Hapi) -> None:
        self._http = httpx.Client(base_url=hapi.base_url, timeout=120, trust_env=False)
        self.url = hapi.base_url
        self.bundles = list(synthesize(PATIENTS, SEED, 2026))
        self._engine = Engine(load_content(cql_libraries.FOLDER, valuesets.FOLDER))
        for bundle in self.bundles:
            entries = [
                {
                    "resource": one,
                    "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"},
                }
                for one in resources(bundle)
            ]
            self.post("/", {"resourceType": "Bundle", "type": "transaction", "entry": entries})

    def post(self, path: str, resource: dict[str, Any]) -> None:
        self._http.post(path, content=msgspec.json.encode(resource), headers=_JSON).raise_for_status()

    def write(self, resource: dict[str, Any]) -> None:
        path = f"/{resource['resourceType']}/{resource['id']}"
        self._http.put(path, content=msgspec.json.encode(resource), headers=_JSON).raise_for_status()

    def put(self, bundle: Bundle, resource: dict[str, Any]) -> None:
        """Write a resource of a patient, there and here."""
        self.write(resource)
        self.forget(bundle, f"{resource['resourceType']}/{resource['id']}")
        bundle["entry"].append({"resource": resource})

    def delete(self, bundle: Bundle, reference: str) -> None:
        self._http.delete(f"/{reference}").raise_for_status()
        self.forget(bundle, reference)

    def forget(self, bundle: Bundle, reference: str) -> None:
        bundle["entry"] = [
            entry
            for entry in bundle["entry"]
            if f"{entry['resource']['resourceType']}/{entry['resource']['id']}" != reference
        ]

    def subscriptions(self) -> list[dict[str, Any]]:
        found = self._http.get("/Subscription", params={"_count": "100"}).raise_for_status().json()
        return [entry["resource"] for entry in found.get("entry", ())]

    def expected(self, measure: str) -> dict[str, int]:
        """The populations that the patients come to when they are evaluated from here."""
        prepared = self._engine.prepare(measure, period="2026")
        totals: dict[str, int] = {}
        for bundle in self.bundles:
            (result,) = prepared.evaluate(record_of_bundle(bundle))
            for population in prepared.report(result)["group"][0]["population"]:
                code = population["code"]["coding"][0]["code"]
                totals[code] = totals.get(code, 0) + int(population["count"])
        return totals


def resources(bundle: Bundle, kind: str | None = None) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in bundle["entry"]]
    return found if kind is None else [one for one in found if one["resourceType"] == kind]


def patient_of(bundle: Bundle) -> str:
    return str(resources(bundle, "Patient")[0]["id"])


def a_topic(*kinds: str) -> dict[str, Any]:
    """A topic of the backport as R4 has it: a Basic with the elements of R5's SubscriptionTopic."""
    triggers = [
        {
            "url": _TRIGGER,
            "extension": [
                {"url": "resource", "valueUri": kind},
                *({"url": "supportedInteraction", "valueCode": c} for c in ("create", "update", "delete")),
            ],
        }
        for kind in kinds
    ]
    return {
        "resourceType": "Basic",
        "id": "patients-data",
        "extension": [{"url": f"{_TOPIC}url", "valueUri": TOPIC}, *triggers],
        "modifierExtension": [{"url": f"{_TOPIC}status", "valueCode": "active"}],
        "code": {"coding": [{"system": "http://hl7.org/fhir/fhir-types", "code": "SubscriptionTopic"}]},
    }


@pytest.fixture(scope="module")
def clinic(telling: Hapi) -> Clinic:
    return Clinic(telling)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    server = Live(tmp_path)
    with server.running():
        yield server


def follows(live: Live, clinic: Clinic, *, named: bool = True) -> None:
    """Changes come by themselves: written, changed, deleted; nobody asks for anything. Where notifications
    are ``named`` after what changed, the source is not even asked what has changed."""
    waited_for(lambda: live.counts(DIABETES) == clinic.expected(DIABETES), "all patients are there")
    assert live.counts(PRESSURE) == clinic.expected(PRESSURE)
    # When they have become active all changes are asked for once more: what came before nobody told of.
    waited_for(live.told, "the Subscriptions are active")
    waited_for(live.idle, "the first load has ended")
    synced = live.synced()

    bundle = next(b for b in clinic.bundles if len(resources(b, "Encounter")) > 1)
    encounter = resources(bundle, "Encounter")[-1]
    before = live.counts(PRESSURE)
    first = live.computed()
    clinic.put(bundle, {**encounter, "status": "cancelled"})
    assert clinic.expected(PRESSURE) != before
    seconds = waited_for(lambda: live.counts(PRESSURE) == clinic.expected(PRESSURE), "the Encounter came")
    waited_for(live.idle, "the results are computed")
    second = live.computed()
    renewed = {
        patient for patient, measure in first if second[patient, measure][0] != first[patient, measure][0]
    }
    assert renewed == {patient_of(bundle)}
    assert not any(stale for _, stale in second.values())
    print(f"an Encounter was counted anew after {seconds:.1f} s")

    diabetic = next(b for b in clinic.bundles if flips(clinic, b))
    observation = flips(clinic, diabetic)
    clinic.put(diabetic, observation)
    seconds = waited_for(lambda: live.counts(DIABETES) == clinic.expected(DIABETES), "the Observation came")
    print(f"a new Observation was counted after {seconds:.1f} s")

    reference = f"Observation/{observation['id']}"
    assert live.status(reference) == 200
    clinic.delete(diabetic, reference)
    seconds = waited_for(lambda: live.status(reference) == 410, "the deletion came")
    waited_for(lambda: live.counts(DIABETES) == clinic.expected(DIABETES), "the deletion is counted")
    print(f"a deletion came after {seconds:.1f} s")
    assert (live.synced() == synced) is named
    # as it was, for the next test
    clinic.put(bundle, encounter)


def flips(clinic: Clinic, bundle: Bundle) -> dict[str, Any]:
    """A glycated haemoglobin after which the patient counts otherwise; empty where none does that."""
    before = clinic.expected(DIABETES)
    for value in (5.5, 12.5):
        observation = {
            "resourceType": "Observation", "id": f"late-{patient_of(bundle)}"[:64], "status": "final",
            "category": [{"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory",
            }]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]},
            "subject": {"reference": f"Patient/{patient_of(bundle)}"},
            "effectiveDateTime": "2026-12-30T08:00:00Z", "issued": "2026-12-30T09:00:00Z",
            "valueQuantity": {
                "value": value, "unit": "%", "code": "%", "system": "http://unitsofmeasure.org",
            },
        }  # fmt: skip
        bundle["entry"].append({"resource": observation})
        after = clinic.expected(DIABETES)
        bundle["entry"].pop()
        if after != before:
            return observation
    return {}


def test_a_server_tells_of_changes_by_criteria(live: Live, clinic: Clinic) -> None:
    live.command("source", "add", "hapi", clinic.url, "--subscribe", "--overlap", "1")
    follows(live, clinic)
    held = [one for one in clinic.subscriptions() if one["channel"]["endpoint"] == live.hook]
    assert {one["status"] for one in held} == {"active"}
    kinds = {one["criteria"].removesuffix("?") for one in held}
    assert {"Patient", "Encounter", "Observation", "Condition"} <= kinds
    said = live.source()["subscriptions"]["held"]
    assert {(one["id"], one["criteria"]) for one in said} == {(one["id"], one["criteria"]) for one in held}
    assert live.secret not in live.log.read_text()

    assert live.command("source", "remove", "hapi", "--with-data")["deleted"] > 100
    assert [one for one in clinic.subscriptions() if one["channel"]["endpoint"] == live.hook] == []


@pytest.mark.parametrize("payload", ["id-only", "full-resource", "empty"])
def test_a_server_tells_of_changes_by_topic(live: Live, clinic: Clinic, payload: str) -> None:
    clinic.write(a_topic("Patient", "Encounter", "Observation", "Condition"))
    live.command(
        "source", "add", "hapi", clinic.url, "--subscribe", "--overlap", "1", "--payload", payload,
        "--topic", TOPIC, "--topic-filter", "Patient?",
    )  # fmt: skip
    follows(live, clinic, named=payload != "empty")
    (held,) = [one for one in clinic.subscriptions() if one["channel"]["endpoint"] == live.hook]
    assert (held["criteria"], held["status"]) == (TOPIC, "active")
    live.command("source", "unsubscribe", "hapi")
    assert [one for one in clinic.subscriptions() if one["channel"]["endpoint"] == live.hook] == []
