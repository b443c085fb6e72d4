"""Ways (a) and (b): patients from a server by searches, and by ``Patient/$everything``.

Some patients are under way at a time, and come in the order of their ids. One that cannot be read whole
comes with its error and spares the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Sequence

from measurewise.engine.errors import MeasurewiseError
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.gathering import Gathered, Key, Resource, owners
from measurewise.fhir_server_adapter.search_plan import BY_REFERENCE, SearchPlan
from measurewise.fhir_server_adapter.sources import Pulled

_PAGE = 500
_BY_ID = 100


async def patient_ids(client: FhirClient, *, count: int = _PAGE) -> AsyncIterator[str]:
    """The ids of all patients of a server."""
    parameters = [("_elements", "id"), ("_count", str(count))]
    async for resource in client.search("Patient", parameters):
        if resource.get("resourceType") == "Patient" and resource.get("id"):
            yield str(resource["id"])


class _Served:
    """Patients of a server, pulled ``together`` at a time."""

    def __init__(
        self,
        client: FhirClient,
        patients: Iterable[str] | AsyncIterable[str] | None,
        together: int,
        by_reference: frozenset[str],
    ) -> None:
        self.faults: list[str] = []
        self._client = client
        self._ids = patient_ids(client) if patients is None else patients
        self._together = together
        self._by_reference = by_reference

    async def patients(self) -> AsyncIterator[Pulled]:
        """The patients in the order of their ids, a failing one with its error."""
        width = self._client.concurrency
        async for share in _ahead(_shares(_each(self._ids), self._together), self._attempt, width):
            for pulled in share:
                if pulled.error is not None:
                    self.faults.append(f"Patient/{pulled.patient_id} could not be read: {pulled.error}")
                yield pulled

    async def _attempt(self, ids: Sequence[str]) -> list[Pulled]:
        """The patients; where one of them spoils it for the others, each by itself."""
        try:
            return await self._pull(ids)
        except MeasurewiseError as error:
            if isinstance(error, SourceError) and error.code == "incomplete":
                # pages that went in a circle or missed something: the server may have been at fault once
                return await self._one_by_one(ids)
            # a server that nobody reaches is not asked again for each of them
            if len(ids) == 1 or (isinstance(error, SourceError) and error.status is None):
                return [Pulled(patient_id, error=error) for patient_id in ids]
            return await self._one_by_one(ids)

    async def _one_by_one(self, ids: Sequence[str]) -> list[Pulled]:
        found: list[Pulled] = []
        for patient_id in ids:
            try:
                found += await self._pull([patient_id])
            except MeasurewiseError as error:
                found.append(Pulled(patient_id, error=error))
        return found

    async def _pull(self, ids: Sequence[str]) -> list[Pulled]:
        gathered = {patient_id: Gathered() for patient_id in ids}
        shared: dict[Key, Resource] = {}
        await self._gather(gathered, shared)
        await follow(self._client, gathered.values(), shared, self._by_reference)
        return [Pulled(patient_id, found.resources()) for patient_id, found in gathered.items()]

    async def _gather(self, gathered: dict[str, Gathered], shared: dict[Key, Resource]) -> None:
        """Read what belongs to some patients; what belongs to none goes into ``shared``."""
        raise NotImplementedError


async def follow(
    client: FhirClient, gathered: Iterable[Gathered], shared: dict[Key, Resource], kinds: frozenset[str]
) -> None:
    """Read what is referred to and belongs to no patient, and what that refers to in turn.

    What is read stands in ``shared`` too; what is there already is not read again.
    """
    found = list(gathered)
    asked: set[Key] = set()
    while True:
        wanted: set[Key] = set()
        for one in found:
            wanted |= one.adopt(shared, kinds)
        wanted -= asked
        if not wanted:
            return
        asked |= wanted
        for kind in sorted({kind for kind, _ in wanted}):
            ids = sorted(identity for of, identity in wanted if of == kind)
            for start in range(0, len(ids), _BY_ID):
                parameters = [("_id", ",".join(ids[start : start + _BY_ID])), ("_count", str(_BY_ID))]
                async for resource in client.search(kind, parameters):
                    shared[kind, str(resource.get("id"))] = resource


class SearchedPatients(_Served):
    """Way (a): what the measures retrieve, by searches for some patients at a time."""

    def __init__(
        self,
        client: FhirClient,
        plan: SearchPlan,
        patients: Iterable[str] | AsyncIterable[str] | None = None,
        *,
        count: int = _PAGE,
        together: int = 40,
    ) -> None:
        """``patients`` are ids, all of the server's by default; ``count`` is the page size asked for.

        ``together`` patients stand in one search (``patient=Patient/1,Patient/2``).
        """
        super().__init__(client, patients, together, plan.by_reference)
        self._plan = plan
        self._count = count

    async def _gather(self, gathered: dict[str, Gathered], shared: dict[Key, Resource]) -> None:
        await self._patients_themselves(gathered)
        for search in self._plan.searches:
            for parameters in search.requests(gathered, self._count):
                async for page in self._client.search_pages(search.resource_type, parameters):
                    refers = page.mentions(self._by_reference)
                    for resource in page.resources:
                        kind = str(resource.get("resourceType"))
                        if kind in BY_REFERENCE:
                            shared[kind, str(resource.get("id"))] = resource
                        else:
                            _deal_out(resource, gathered, refers)

    async def _patients_themselves(self, gathered: dict[str, Gathered]) -> None:
        if len(gathered) == 1:
            for patient_id, found in gathered.items():
                found.add(await self._client.get(f"Patient/{patient_id}"))
            return
        parameters = [("_id", ",".join(gathered)), ("_count", str(self._count))]
        missing = set(gathered)
        async for resource in self._client.search("Patient", parameters):
            patient_id = str(resource.get("id"))
            if resource.get("resourceType") == "Patient" and patient_id in missing:
                missing.discard(patient_id)
                gathered[patient_id].add(resource)
        if missing:
            raise SourceError("not all of some patients were found.", status=404)


class EverythingPatients(_Served):
    """Way (b): ``Patient/[id]/$everything`` (https://hl7.org/fhir/R4/patient-operation-everything.html).

    Servers differ in whether what a patient's resources refer to comes along, so resources of the types
    ``by_reference`` (``SearchPlan.by_reference``) that did not come are read.
    """

    def __init__(
        self,
        client: FhirClient,
        patients: Iterable[str] | AsyncIterable[str] | None = None,
        *,
        by_reference: frozenset[str] = BY_REFERENCE,
        count: int = _PAGE,
    ) -> None:
        """``patients`` are ids, all of the server's by default; ``count`` is the page size asked for."""
        super().__init__(client, patients, 1, by_reference)
        self._count = count

    async def _gather(self, gathered: dict[str, Gathered], shared: dict[Key, Resource]) -> None:
        for patient_id, found in gathered.items():
            address = f"Patient/{patient_id}/$everything"
            async for page in self._client.pages(address, [("_count", str(self._count))]):
                refers = page.mentions(self._by_reference)
                for resource in page.resources:
                    # a link to another Patient (a mother, a duplicate) may come along
                    if resource.get("resourceType") != "Patient" or resource.get("id") == patient_id:
                        found.add(resource, refers=refers)


def _deal_out(resource: Resource, gathered: dict[str, Gathered], refers: bool) -> None:
    """Give a resource that a search found to those whose it is."""
    if len(gathered) == 1:
        for found in gathered.values():
            found.add(resource, refers=refers)
        return
    whose = owners(resource) & gathered.keys()
    if not whose:
        # found by an element that does not say whose it is: then each patient is searched for alone
        raise SourceError("a resource does not say whose it is.", where=_name(resource), status=200)
    for patient_id in whose:
        gathered[patient_id].add(resource, refers=refers)


def _name(resource: Resource) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"


async def _each(values: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[str]:
    """Ids, each once: pages that shift under a reader may bring one twice."""
    known: set[str] = set()
    if isinstance(values, AsyncIterable):
        async for value in values:
            if value not in known:
                known.add(value)
                yield value
    else:
        for value in dict.fromkeys(values):
            yield value


async def _shares(ids: AsyncIterator[str], size: int) -> AsyncIterator[list[str]]:
    share: list[str] = []
    async for patient_id in ids:
        share.append(patient_id)
        if len(share) == size:
            yield share
            share = []
    if share:
        yield share


async def _ahead(
    shares: AsyncIterator[list[str]], pull: Callable[[list[str]], Awaitable[list[Pulled]]], width: int
) -> AsyncIterator[list[Pulled]]:
    """What ``pull`` gives for each share, in order, up to ``width`` of them under way."""
    under_way: deque[asyncio.Future[list[Pulled]]] = deque()
    try:
        async for share in shares:
            under_way.append(asyncio.ensure_future(pull(share)))
            if len(under_way) >= width:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
