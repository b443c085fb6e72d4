"""What newer versions of the public DEQM test kit ask beside the 61: all forms of evaluating and collecting.

Measures by URL and by id, one and two; nobody, a patient, a stored Group and a Group in the request, which
no address can hold, as subjects; by GET and by POST.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from deqm_data import DIABETES, PRESSURE, URL, group, patient
from deqm_judges import bundles, posted, refused, sent
from over_http import serving

from measurewise.api.settings import Settings

START = {"name": "periodStart", "valueDate": "2026-01-01"}
END = {"name": "periodEnd", "valueDate": "2026-12-31"}
BY_URL = [{"name": "measureUrl", "valueCanonical": URL + name} for name in (DIABETES, PRESSURE)]
BY_ID = [{"name": "measureId", "valueId": name} for name in (DIABETES, PRESSURE)]
PATIENT = {"name": "subject", "valueString": "Patient/one"}
GROUP = {"name": "subject", "valueString": "Group/pair"}
HELD = {"name": "subjectGroup", "resource": group("test-group", "one", "two")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("later")
    with serving(Settings(data_folder=folder, _env_file=None)) as served:  # type: ignore[call-arg]
        for resource in [*patient("one"), *patient("two"), group("pair", "one", "two")]:
            path = f"/{resource['resourceType']}/{resource['id']}"
            assert served.client.put(path, json=resource).status_code == 201
        yield served.client


FORMS = [
    (method, measures, about)
    for method in ("GET", "POST")
    for measures in (BY_URL[:1], BY_URL, BY_ID[:1], BY_ID)
    for about in ([], [PATIENT], [GROUP], [HELD])
    if about != [HELD] or method == "POST"
]


@pytest.mark.parametrize(("method", "measures", "about"), FORMS)
def test_evaluation(
    server: httpx.Client, method: str, measures: list[dict[str, Any]], about: list[dict[str, Any]]
) -> None:
    kinds: dict[str | None, int] = {None: 1, "summary": 1}
    if about:
        kinds["individual"] = 1 if about == [PATIENT] else 2
    for kind, count in kinds.items():
        asked = [{"name": "reportType", "valueCode": kind}] if kind else []
        wanted = kind or ("individual" if about == [PATIENT] else "summary")
        body = sent(*measures, *about, START, END, *asked)
        posted("/Measure/$evaluate", bundles(count, len(measures), wanted), body, method)(server)


@pytest.mark.parametrize(("method", "measures", "about"), FORMS)
def test_collection(
    server: httpx.Client, method: str, measures: list[dict[str, Any]], about: list[dict[str, Any]]
) -> None:
    count = 1 if about == [PATIENT] else 2
    body = sent(*measures, *about, START, END)
    posted("/Measure/$collect-data", bundles(count, len(measures), "data-collection"), body, method)(server)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("operation", ["evaluate", "collect-data"])
@pytest.mark.parametrize(
    "parts",
    [
        (BY_URL[0], START),
        (BY_URL[0], END),
        (START, END),
        (BY_URL[0], START, END, PATIENT, HELD),
    ],
)
def test_what_is_missing_or_excludes_each_other_is_refused(
    server: httpx.Client, method: str, operation: str, parts: tuple[dict[str, Any], ...]
) -> None:
    sendable = [
        {"name": "subjectGroup", "valueString": "Group/test-group"}
        if part is HELD and method == "GET"
        else part
        for part in parts
    ]
    posted(f"/Measure/${operation}", refused(400), sent(*sendable), method)(server)
