"""Asking a FHIR R4 server: one pooled HTTP client, bounded, that retries what may be retried.

RESTful API: https://hl7.org/fhir/R4/http.html; paging: https://hl7.org/fhir/R4/http.html#paging.
Credentials go to the server's own origin (and to origins that the caller trusts) and never into an error or
a log line.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote_plus, urljoin, urlsplit

import httpx
import msgspec

from measurewise.fhir_server_adapter.faults import SourceError, outcome_code, outcome_text, place
from measurewise.fhir_server_adapter.retrying import RETRIED, Retries, retry_after
from measurewise.fhir_server_adapter.signin import SignIn

FHIR_JSON = "application/fhir+json"
Parameters = Sequence[tuple[str, str]]
Sleep = Callable[[float], Awaitable[None]]
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_READ_ONLY_POST = ("/_search",)
_IDLE_PAGES = 100
"""Pages on end without anything new after which no more is expected to come."""
_quoted = lru_cache(1024)(quote_plus)
"""The same lists of codes and of patients stand in one search after another."""


@dataclass(frozen=True, slots=True)
class Page:
    """The resources of one page that no page before it had, and the page's JSON as it came."""

    resources: list[dict[str, Any]]
    text: bytes

    def mentions(self, kinds: Collection[str]) -> bool:
        """Whether references to resources of some types can stand in it; False only where none does."""
        # a slash or a letter may be written as an escape, which servers hardly ever do
        written_oddly = b"\\/" in self.text or b"\\u" in self.text
        return written_oddly or any(f"{kind}/".encode() in self.text for kind in kinds)


class FhirClient:
    """One FHIR server.

    ``concurrency`` bounds the requests under way at once; ``trusted_origins`` are further origins
    (``https://files.example.org``) that links may lead to with credentials. ``transport`` and ``sleep``
    stand in for the network and the clock in tests. Use as ``async with``.
    """

    def __init__(
        self,
        base_url: str,
        *,
        sign_in: SignIn | None = None,
        concurrency: int = 8,
        retries: Retries | None = None,
        timeout: float = 60.0,
        trusted_origins: Sequence[str] = (),
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Raises SourceError for an address that is not http(s), or that holds a user or a password."""
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(
                "this is no address of a FHIR server.",
                where="base URL",
                mend="Give http(s)://…",
                code="value",
            )
        if parts.username is not None or parts.query or parts.fragment:
            raise SourceError(
                "the address holds more than scheme, host and path.",
                where=place("", base_url).strip(),
                mend="Give user and password as a sign-in.",
                code="value",
            )
        self.base_url = base_url.rstrip("/") + "/"
        self.concurrency = concurrency
        self.retries = retries or Retries()
        self._sign_in = sign_in
        self._origins = {_origin(url) for url in (base_url, *trusted_origins)}
        self._free = asyncio.Semaphore(concurrency)
        self.sleep = sleep
        self._no_post_search = False
        self._http = httpx.AsyncClient(
            http2=transport is None,
            transport=transport,
            timeout=timeout,
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    def url(self, address: str) -> str:
        """An absolute URL: a path below the base, or a link a server gave. Raises SourceError off origin."""
        url = urljoin(self.base_url, address)
        if _origin(url) not in self._origins:
            raise SourceError(
                "the server links to another origin, where its credentials must not go.",
                where=place("GET", url),
                mend="Use the base URL that the server itself uses, or trust that origin.",
                code="security",
            )
        return url

    def trusts(self, url: str) -> bool:
        """Whether credentials may go to a URL."""
        return _origin(url) in self._origins

    async def get(self, address: str, parameters: Parameters = ()) -> Any:
        """The JSON that a GET gives, decimals kept."""
        return read_json(await self.send("GET", self.url(address), parameters=parameters))

    async def send(
        self,
        method: str,
        url: str,
        *,
        parameters: Parameters = (),
        form: Parameters | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        signed: bool = True,
        again: bool | None = None,
    ) -> httpx.Response:
        """A whole response of status 2xx. Raises SourceError for any other, after retries.

        ``again`` says whether the request may be sent twice; by default GET, HEAD, PUT, DELETE and searches
        may.
        """
        async with self.stream(
            method,
            url,
            parameters=parameters,
            form=form,
            content=content,
            headers=headers,
            signed=signed,
            again=again,
            whole=True,
        ) as response:
            return response

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        parameters: Parameters = (),
        form: Parameters | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        signed: bool = True,
        again: bool | None = None,
        whole: bool = False,
    ) -> AsyncIterator[httpx.Response]:
        """Like :meth:`send`, with the body still to be read unless ``whole``."""
        if again is None:
            again = method in ("GET", "HEAD", "PUT", "DELETE") or urlsplit(url).path.endswith(_READ_ONLY_POST)
        request_id = str(uuid.uuid4())
        stated = {"Accept": FHIR_JSON, "X-Request-Id": request_id, **(headers or {})}
        body = content
        if form is not None:
            body = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in form).encode()
            stated["Content-Type"] = "application/x-www-form-urlencoded"
        target = httpx.URL(url)
        if parameters:
            target = target.copy_merge_params(httpx.QueryParams(list(parameters)))
        where = place(method, url, request_id)
        signed = signed and self._sign_in is not None and self.trusts(url)
        refreshed = False
        attempt = 0
        while True:
            attempt += 1
            if signed and self._sign_in is not None:
                # before a place is taken: asking for a token takes one itself
                stated.update(await self._sign_in.headers(self._unsigned))
            pause: float
            async with self._free:
                response: httpx.Response | None = None
                try:
                    request = self._http.build_request(method, target, content=body, headers=stated)
                    response = await self._http.send(request, stream=True)
                    if not response.is_success or whole:
                        await response.aread()
                except httpx.RequestError as error:
                    if response is not None:
                        await response.aclose()
                    if not again or attempt >= self.retries.attempts:
                        raise SourceError(
                            f"the server cannot be reached ({type(error).__name__}).",
                            where=where,
                            mend="Look at the address, the network and the server, then try again.",
                            code="timeout" if isinstance(error, httpx.TimeoutException) else "transient",
                        ) from None
                    pause = self.retries.wait(attempt, None)
                else:
                    if response.is_success:
                        try:
                            yield response
                        finally:
                            await response.aclose()
                        return
                    status = response.status_code
                    asked = retry_after(response.headers)
                    if status == 401 and signed and self._sign_in is not None and not refreshed:
                        refreshed = self._sign_in.forget()
                        if not refreshed:
                            raise _refusal(response, where)
                        attempt -= 1
                        pause = 0.0
                    elif (
                        status in RETRIED
                        and (again or status in (429, 503))
                        and attempt < self.retries.attempts
                        and (asked is None or asked <= self.retries.patience)
                    ):
                        pause = self.retries.wait(attempt, asked)
                    else:
                        raise _refusal(response, where)
            if pause:
                await self.sleep(pause)

    async def _unsigned(self, method: str, url: str, **options: Any) -> httpx.Response:
        return await self.send(method, urljoin(self.base_url, url), signed=False, **options)

    async def search(
        self, resource_type: str, parameters: Parameters, *, post: bool = True
    ) -> AsyncIterator[Any]:
        """The resources that a search finds, from all pages; see :meth:`search_pages`."""
        async for page in self.search_pages(resource_type, parameters, post=post):
            for resource in page.resources:
                yield resource

    async def search_pages(
        self, resource_type: str, parameters: Parameters, *, post: bool = True
    ) -> AsyncIterator[Page]:
        """The pages of a search, with each resource ``(type, id)`` once, included ones too.

        By POST ``_search``, so that no patient stands in a URL; where the server refuses that (405, 501),
        by GET. An OperationOutcome that comes with the results is left out. Raises SourceError for a page
        that repeats.
        """
        first: httpx.Response | None = None
        if post and not self._no_post_search:
            try:
                first = await self.send("POST", self.url(f"{resource_type}/_search"), form=parameters)
            except SourceError as error:
                if error.status not in (405, 501):
                    raise
                self._no_post_search = True
        if first is None:
            first = await self.send("GET", self.url(resource_type), parameters=parameters)
        async for page in self._pages(first, resource_type):
            yield page

    async def pages(self, address: str, parameters: Parameters = ()) -> AsyncIterator[Page]:
        """What a GET gives that answers with a searchset, as :meth:`search_pages` does."""
        first = await self.send("GET", self.url(address), parameters=parameters)
        async for page in self._pages(first, address):
            yield page

    async def _pages(self, response: httpx.Response, what: str) -> AsyncIterator[Page]:
        """The pages from a first one on, by the ``next`` links.

        Raises SourceError (code ``incomplete``) for pages that go in a circle or bring nothing new, and where
        fewer came than the server said there are (``Bundle.total``).
        """
        visited: set[str] = set()
        known: set[tuple[str, str]] = set()
        total: int | None = None
        entries = 0
        idle = 0
        while True:
            bundle = read_json(response)
            if type(bundle) is not dict or bundle.get("resourceType") != "Bundle":
                raise SourceError(
                    "the server answered a search with something else than a Bundle.",
                    where=what,
                    code="structure",
                )
            if type(bundle.get("total")) is int:
                total = bundle["total"]
            new, outcomes = _new_resources(bundle, known)
            entries += len(new) + outcomes
            if new:
                yield Page(new, response.content)
            link = next_link(bundle)
            if link is None:
                if total is not None and entries < total:
                    raise SourceError(
                        f"the server said that there are {total}, and gave {entries}.",
                        where=what,
                        mend="Try again; resources may have been deleted meanwhile.",
                        code="incomplete",
                    )
                return
            idle = 0 if new or outcomes else idle + 1
            url = self.url(link)
            if url in visited or idle >= _IDLE_PAGES:
                raise SourceError(
                    "the server's pages go in a circle.", where=place("GET", url), code="incomplete"
                )
            visited.add(url)
            response = await self.send("GET", url)


def _new_resources(
    bundle: Mapping[str, Any], known: set[tuple[str, str]]
) -> tuple[list[dict[str, Any]], int]:
    """The resources of a page that are not ``known``, which they become; how many outcomes it tells."""
    found: list[dict[str, Any]] = []
    outcomes = 0
    for entry in bundle.get("entry") or ():
        resource = entry.get("resource") if type(entry) is dict else None
        if type(resource) is not dict:
            continue
        if _is_outcome(entry, resource):
            outcomes += 1
            continue
        if resource.get("id") is not None:
            key = (str(resource.get("resourceType")), str(resource["id"]))
            if key in known:
                continue
            known.add(key)
        found.append(resource)
    return found, outcomes


def read_json(response: httpx.Response) -> Any:
    """A response's JSON, decimals kept. Raises SourceError for anything else."""
    try:
        return _decode(response.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise SourceError(
            "the server's answer is not JSON.",
            where=place(response.request.method, str(response.request.url)),
            mend="Look whether the address is that of a FHIR R4 server.",
            status=response.status_code,
            code="structure",
        ) from None


def _refusal(response: httpx.Response, where: str) -> SourceError:
    try:
        outcome: Any = _decode(response.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        outcome = None
    said = outcome_text(outcome)
    status = response.status_code
    mend = ""
    if status in (401, 403):
        mend = "Look at the sign-in, its scopes and its registration at the server."
    elif status in RETRIED:
        mend = "The server is overloaded or failing; try again later, or with less concurrency."
    return SourceError(
        f"the server answered {status}" + (f" ({said})." if said else "."),
        where=where,
        mend=mend,
        status=status,
        code=outcome_code(outcome),
    )


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or (443 if scheme == "https" else 80)


def next_link(bundle: Mapping[str, Any]) -> str | None:
    """The address of the page after this one, if there is one."""
    for link in bundle.get("link") or ():
        if type(link) is dict and link.get("relation") == "next" and type(link.get("url")) is str:
            return str(link["url"])
    return None


def _is_outcome(entry: Mapping[str, Any], resource: Mapping[str, Any]) -> bool:
    search = entry.get("search")
    return resource.get("resourceType") == "OperationOutcome" or (
        type(search) is dict and search.get("mode") == "outcome"
    )
