"""CMS's submissions API: submissions, measurement sets and scores, over HTTPS with a bearer token.

Source: CMS, QPP submissions API documentation (guides, references; interactive documentation at
https://preview.qpp.cms.gov/api/submissions/public/docs). The token goes into no error, no log line and no
``repr``; a TIN goes into no URL.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from measurewise.fhir_server_adapter.faults import place
from measurewise.fhir_server_adapter.retrying import RETRIED, Retries, retry_after
from measurewise.mips.submission.api_faults import SubmissionsApiError, refusal
from measurewise.qrda.qpp_model import MeasurementSet, Submission, to_json
from measurewise.qrda.qpp_reading import read_measurement_set, read_qpp

PRODUCTION: Final = "https://qpp.cms.gov/api/submissions"
DEVELOPER_PREVIEW: Final = "https://preview.qpp.cms.gov/api/submissions"
_MEDIA_TYPE: Final = "application/vnd.qpp.cms.gov.v1+json"
_TIN_HEADER: Final = "qpp-taxpayer-identification-number"
_INTERVAL: Final = 1 / 25
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_REPEATABLE: Final = ("GET", "PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request as it goes to the API, without the token. ``path`` is below the base URL."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice does what sending it once does."""
        return self.method in _REPEATABLE or self.path.endswith("/score-preview")

    def as_json(self, base_url: str) -> dict[str, Any]:
        """What would be sent, for people and programs to look at."""
        shown: dict[str, Any] = {"method": self.method, "url": base_url.rstrip("/") + self.path}
        if self.query:
            shown["query"] = dict(self.query)
        if self.headers:
            shown["headers"] = dict(self.headers)
        if self.body is not None:
            shown["body"] = self.body
        return shown


class SubmissionsApi:
    """The API at one address with one token. Use as a context manager.

    ``transport``, ``sleep`` and ``clock`` stand in for the network and time in tests. Every call raises
    SubmissionsApiError for what the API refuses, and for no answer.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        retries: Retries | None = None,
        timeout: float = 60.0,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises SubmissionsApiError for an address that is not HTTPS (but on this machine), or no token."""
        parts = urlsplit(base_url)
        plain = parts.scheme == "http" and parts.hostname in _LOCAL
        more = parts.username is not None or parts.query or parts.fragment
        if not parts.hostname or not (parts.scheme == "https" or plain) or more:
            raise SubmissionsApiError(
                "this is no address of the submissions API: https://, host and path, and no more.",
                where="base URL",
                mend=f"Give {DEVELOPER_PREVIEW} or {PRODUCTION}.",
            )
        token = token.strip()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            # A token that cannot be a header's value would stand in the error of whoever tries.
            raise SubmissionsApiError(
                "there is no token, or it has signs that no token has.",
                where="token",
                mend="Put the token that CMS gave your organisation into the environment.",
            )
        self.base_url = base_url.rstrip("/")
        self._retries = retries or Retries()
        self._sleep = sleep
        self._clock = clock
        self._last = float("-inf")
        self._http = httpx.Client(
            transport=transport,
            timeout=timeout,
            headers={"Authorization": f"Bearer {token}", "Accept": _MEDIA_TYPE},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def submissions(self, like: Submission | None = None) -> list[Submission]:
        """The submissions that the token may see; with ``like``, those of its year and entity."""
        return [read_qpp(one).submission for one in self._list(find_request(like), "submissions")]

    def submission(self, submission_id: str) -> Submission:
        """One submission with what the token may see of it."""
        found = self._data(_request("GET", f"/submissions/{_name(submission_id)}"), "submission")
        return read_qpp(found).submission

    def create_submission(self, submission: Submission) -> Submission:
        """Create a submission whole; a registry's token may not, and creates measurement sets instead."""
        created = self._data(_request("POST", "/submissions", to_json(submission)), "submission")
        return read_qpp(created).submission

    def replace_submission(self, submission_id: str, submission: Submission) -> Submission:
        """Put a submission, with all its measurement sets, in the place of one that is there."""
        path = f"/submissions/{_name(submission_id)}"
        return read_qpp(self._data(_request("PUT", path, to_json(submission)), "submission")).submission

    def delete_submission(self, submission_id: str) -> None:
        """Delete a submission and all it holds."""
        self.send(_request("DELETE", f"/submissions/{_name(submission_id)}"))

    def measurement_sets(self) -> list[MeasurementSet]:
        """The measurement sets that the token's organisation has handed in."""
        found = self._list(_request("GET", "/measurement-sets"), "measurementSets")
        return [read_measurement_set(one) for one in found]

    def measurement_set(self, set_id: str) -> MeasurementSet:
        """One measurement set."""
        found = self._data(_request("GET", f"/measurement-sets/{_name(set_id)}"), "measurementSet")
        return read_measurement_set(found)

    def create_measurement_set(self, one: MeasurementSet, submission: Submission) -> MeasurementSet:
        """Create a measurement set; the API finds or makes the submission it belongs to."""
        return read_measurement_set(self._data(create_request(one, submission), "measurementSet"))

    def replace_measurement_set(
        self, set_id: str, one: MeasurementSet, submission: Submission
    ) -> MeasurementSet:
        """Put a measurement set in the place of one that is there, measurements and all."""
        return read_measurement_set(self._data(replace_request(set_id, one, submission), "measurementSet"))

    def delete_measurement_set(self, set_id: str) -> None:
        """Delete a measurement set and its measurements."""
        self.send(_request("DELETE", f"/measurement-sets/{_name(set_id)}"))

    def score(self, submission_id: str, program: str | None = None) -> dict[str, Any]:
        """CMS's score of a stored submission, a tree of parts; of one programme or of all."""
        query = {"program": program} if program else {}
        request = ApiRequest("GET", f"/submissions/{_name(submission_id)}/score", query, {})
        return dict(self._data(request, "score"))

    def score_preview(self, submission: Submission) -> dict[str, Any]:
        """CMS's score of a submission that is not stored."""
        return dict(self._data(preview_request(submission), "score"))

    def send(self, request: ApiRequest) -> Any:
        """Send one request and give the JSON of its answer, None where it has none.

        A request that may be repeated is sent again after 408, 425, 429, 5xx and lost connections, when the
        answer's ``Retry-After`` says or after growing waits.
        """
        where = place(request.method, self.base_url + request.path)
        attempts = self._retries.attempts if request.is_repeatable else 1
        for attempt in range(1, attempts + 1):
            self._pace()
            try:
                response = self._http.request(
                    request.method,
                    self.base_url + request.path,
                    params=dict(request.query),
                    headers=dict(request.headers),
                    json=request.body,
                )
            except httpx.TransportError as error:
                if attempt == attempts:
                    raise _no_answer(error, request, where) from None
                self._sleep(self._retries.wait(attempt, None))
                continue
            if response.is_success:
                return _json(response, where)
            asked = retry_after(response.headers)
            refused = refusal(response.status_code, _body(response), where, retry_after=asked)
            patient = asked is None or asked <= self._retries.patience
            if response.status_code not in RETRIED or attempt == attempts or not patient:
                raise refused
            self._sleep(self._retries.wait(attempt, asked))
        raise AssertionError("every attempt returns or raises")

    def _pace(self) -> None:
        """Stay below 25 requests a second."""
        wait = self._last + _INTERVAL - self._clock()
        if wait > 0:
            self._sleep(wait)
        self._last = self._clock()

    def _data(self, request: ApiRequest, name: str) -> dict[str, Any]:
        answer = self.send(request)
        data = answer.get("data") if isinstance(answer, dict) else None
        found = data.get(name) if isinstance(data, dict) else None
        if not isinstance(found, dict):
            raise _strange(f"data.{name}", request, self.base_url)
        return found

    def _list(self, request: ApiRequest, name: str) -> list[dict[str, Any]]:
        answer = self.send(request)
        data = answer.get("data") if isinstance(answer, dict) else None
        found = data.get(name, data.get("items")) if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(found, list):
            raise _strange(f"data.{name}", request, self.base_url)
        total = data.get("totalItems")
        if isinstance(total, int) and total > len(found):
            raise SubmissionsApiError(
                f"the API gave {len(found)} of {total}.",
                where=place(request.method, self.base_url + request.path),
                mend="Ask for one clinician, practice or entity and one year.",
            )
        return [one for one in found if isinstance(one, dict)]


def find_request(like: Submission | None) -> ApiRequest:
    """The request for the submissions of an entity and year. The TIN goes into a header, not into the URL."""
    if like is None:
        return _request("GET", "/submissions")
    named = to_json(like)
    names = ("performanceYear", "entityType", "entityId", "nationalProviderIdentifier")
    query = {name: str(named[name]) for name in names if name in named}
    tin = like.taxpayer_identification_number
    return ApiRequest("GET", "/submissions", query, {_TIN_HEADER: tin} if tin else {})


def create_request(one: MeasurementSet, submission: Submission) -> ApiRequest:
    """The request that creates a measurement set, naming the submission by year and entity."""
    return _request("POST", "/measurement-sets", {**_writable(one), "submission": _named(submission)})


def replace_request(set_id: str, one: MeasurementSet, submission: Submission) -> ApiRequest:
    """The request that replaces a measurement set."""
    body = {**_writable(one), "submission": _named(submission)}
    return _request("PUT", f"/measurement-sets/{_name(set_id)}", body)


def preview_request(submission: Submission) -> ApiRequest:
    """The request for the score of a submission that is not stored."""
    return _request("POST", "/submissions/score-preview", to_json(submission))


def _request(method: str, path: str, body: Any = None) -> ApiRequest:
    return ApiRequest(method, path, {}, {}, body)


def _writable(one: MeasurementSet) -> dict[str, Any]:
    """A measurement set without what the API itself assigns."""
    body = to_json(one)
    for name in ("id", "submissionId", "createdAt", "updatedAt"):
        body.pop(name, None)
    return body


def _named(submission: Submission) -> dict[str, Any]:
    named = to_json(submission)
    return {
        name: named[name]
        for name in (
            "entityType",
            "entityId",
            "taxpayerIdentificationNumber",
            "nationalProviderIdentifier",
            "performanceYear",
        )
        if name in named
    }


def _name(identifier: str) -> str:
    """An id as a part of a path. Raises SubmissionsApiError for what would lead elsewhere."""
    if not identifier or not all(sign.isalnum() or sign in "-_" for sign in identifier):
        raise SubmissionsApiError(
            f"{identifier!r} is no id that the API gives.", where="id", mend="List what is there."
        )
    return identifier


def _body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None


def _json(response: httpx.Response, where: str) -> Any:
    if not response.content:
        return None
    body = _body(response)
    if body is None:
        raise SubmissionsApiError(
            "the answer is no JSON.", where=where, mend="Check the base URL.", status=response.status_code
        )
    return body


def _strange(name: str, request: ApiRequest, base_url: str) -> SubmissionsApiError:
    return SubmissionsApiError(
        f"the answer has no {name}.",
        where=place(request.method, base_url + request.path),
        mend="Check the base URL; the API may have changed.",
    )


def _no_answer(error: httpx.TransportError, request: ApiRequest, where: str) -> SubmissionsApiError:
    said = " ".join(str(error).split()) or type(error).__name__
    mend = (
        "Check the network and the base URL, and send again."
        if request.is_repeatable
        else "List what is there before sending again: nothing tells whether it was taken."
    )
    return SubmissionsApiError(f"there is no answer ({said}).", where=where, mend=mend)
