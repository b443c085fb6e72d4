"""All that the CapabilityStatement declares is there: each interaction, parameter, include and operation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from served import BASE, issue, start

from measurewise.api.settings import Settings

VALUES = {"token": "x", "string": "x", "date": "2026", "reference": "Patient/x", "uri": "http://x"}
PATCH = {"content-type": "application/json-patch+json"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("capabilities")
    yield from start(Settings(data_folder=folder, shipped_content=False, _env_file=None))  # type: ignore[call-arg]


@pytest.fixture(scope="module")
def rest(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/fhir/metadata").json()["rest"][0]
    return found


def by_type(rest: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(resource["type"], resource) for resource in rest["resource"]]


def of_a_type(client: TestClient, kind: str) -> dict[str, int]:
    """Each interaction with a resource of a type, done; with the status it was answered with."""
    one, resource = f"/fhir/{kind}/walked", {"resourceType": kind, "id": "walked", "language": "en"}
    patch = json.dumps([{"op": "replace", "path": "/language", "value": "fr"}])
    return {
        "update": client.put(one, json=resource).status_code,
        "read": client.get(one).status_code,
        "vread": client.get(f"{one}/_history/1").status_code,
        "history-instance": client.get(f"{one}/_history").status_code,
        "history-type": client.get(f"/fhir/{kind}/_history").status_code,
        "search-type": client.get(f"/fhir/{kind}?_id=walked").status_code,
        "create": client.post(f"/fhir/{kind}", json=resource).status_code,
        "patch": client.patch(one, content=patch, headers=PATCH).status_code,
        "delete": client.delete(one).status_code,
    }


def test_every_interaction_is_served_for_every_type(client: TestClient, rest: dict[str, Any]) -> None:
    expected = {"update": 201, "create": 201, "delete": 204}
    for kind, resource in by_type(rest):
        done = of_a_type(client, kind)
        assert {found["code"] for found in resource["interaction"]} == set(done), kind
        assert done == {code: expected.get(code, 200) for code in done}, kind


def test_every_interaction_with_the_system_is_served(client: TestClient, rest: dict[str, Any]) -> None:
    codes = {found["code"] for found in rest["interaction"]}
    assert codes == {"transaction", "batch", "history-system"}
    for kind in ("transaction", "batch"):
        answer = client.post("/fhir", json={"resourceType": "Bundle", "type": kind, "entry": []})
        assert answer.json()["type"] == f"{kind}-response"
    assert client.get("/fhir/_history").json()["type"] == "history"


def test_every_search_parameter_and_order_is_served(client: TestClient, rest: dict[str, Any]) -> None:
    walked = 0
    for kind, resource in by_type(rest):
        names = {found["name"]: found["type"] for found in resource["searchParam"]}
        assert len(names) == len(resource["searchParam"]), kind
        for name, of in names.items():
            order = "_id" if name == "patient" else name
            answer = client.get(f"/fhir/{kind}", params={name: VALUES[of], "_sort": f"-{order},_id"})
            assert answer.status_code == 200, (kind, name, answer.text)
            walked += 1
        undeclared = client.get(f"/fhir/{kind}", params={"undeclared": "x"})
        assert (undeclared.status_code, "undeclared" in issue(undeclared)["diagnostics"]) == (400, True)
    assert walked > 400


def test_every_include_is_served(client: TestClient, rest: dict[str, Any]) -> None:
    walked = 0
    for kind, resource in by_type(rest):
        for name, listed in (("_include", "searchInclude"), ("_revinclude", "searchRevInclude")):
            given = resource.get(listed, [])
            assert len(given) == len(set(given)), kind
            walked += len(given)
            if given:
                answer = client.get(f"/fhir/{kind}", params={name: given, "_count": "1"})
                assert answer.status_code == 200, (kind, name, answer.text)
    assert walked > 200


def test_conditions_are_held_as_declared(client: TestClient, rest: dict[str, Any]) -> None:
    identifier = {"identifier": [{"value": "condition"}]}
    for kind in ("Patient", "Observation", "Measure"):
        (declared,) = [resource for name, resource in by_type(rest) if name == kind]
        assert (declared["conditionalCreate"], declared["conditionalUpdate"]) == (True, True)
        assert (declared["conditionalRead"], declared["conditionalDelete"]) == ("full-support", "single")
        new, where = {"resourceType": kind, **identifier}, f"/fhir/{kind}?identifier=condition"
        statuses = [
            client.post(
                f"/fhir/{kind}", json=new, headers={"if-none-exist": "identifier=condition"}
            ).status_code
            for _ in range(2)
        ]
        assert statuses == [201, 200]
        assert client.put(where, json={**new, "language": "en"}).status_code == 200
        assert client.delete(where).status_code == 204
        assert client.get(where).json()["total"] == 0


def test_every_operation_is_defined_and_there(client: TestClient, rest: dict[str, Any]) -> None:
    offered = [("", operation) for operation in rest.get("operation", ())]
    for kind, resource in by_type(rest):
        offered += [(kind, operation) for operation in resource.get("operation", ())]
    assert len(offered) > 20
    for kind, operation in offered:
        name = f"/fhir/{kind}/${operation['name']}".replace("//", "/")
        allowed = client.options(name)
        if allowed.status_code != 204 or "POST" not in allowed.headers["allow"]:
            allowed = client.options(name.replace("/$", "/x/$"))
        assert "POST" in allowed.headers["allow"], name
        assert not {"PUT", "PATCH"} & set(allowed.headers["allow"].split(", ")), name
        if operation["definition"].startswith(BASE):
            assert client.get(operation["definition"]).json()["code"] == operation["name"]
