"""Patients from a FHIR server or from files: one protocol, four ways, and the choice between them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from measurewise.engine.errors import MeasurewiseError, RecordError
from measurewise.engine.record.reading import read_record
from measurewise.engine.record.record import Record
from measurewise.engine.runner.patients import Patients
from measurewise.fhir_server_adapter.capabilities import Capabilities
from measurewise.fhir_server_adapter.client import FhirClient
from measurewise.fhir_server_adapter.faults import SourceError
from measurewise.fhir_server_adapter.search_plan import BY_REFERENCE, SearchPlan

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pulled:
    """A patient as a source gave it: all resources, or the error for which they are not all there.

    Half a record would give wrong results, so it is not handed out.
    """

    patient_id: str
    resources: tuple[Resource, ...] = ()
    error: MeasurewiseError | None = None

    def record(self) -> Record:
        """The record to evaluate. Raises the error that kept the patient from being read."""
        if self.error is not None:
            raise self.error
        return Record(self.resources, where=f"Patient/{self.patient_id}")


class PatientSource(Protocol):
    """Patients, each once. ``faults`` are sentences about what the source could not give."""

    faults: list[str]

    def patients(self) -> AsyncIterator[Pulled]:
        """The patients, in the order of their ids at the source."""
        ...


class Way(Enum):
    """How patients are got from a source."""

    SEARCHES = "searches"
    EVERYTHING = "everything"
    BULK = "bulk"
    FILES = "files"


def choose_source(
    capabilities: Capabilities,
    preference: Way | None = None,
    *,
    few: bool = False,
    group: bool = False,
    unsearchable: Iterable[str] = (),
) -> Way:
    """The way to get patients from a server, the preferred one where it is offered.

    Without a preference: Bulk Data unless only a ``few`` named patients are wanted (for a ``group``, where
    groups can be exported), then searches where nothing is ``unsearchable``, then ``$everything``. Raises
    SourceError where the server offers no such way.
    """
    levels = {"group"} if group else {"system", "patient"}
    missing = sorted(unsearchable)
    patient = capabilities.types.get("Patient")
    offered = {
        Way.BULK: not levels.isdisjoint(capabilities.exports),
        Way.SEARCHES: not missing and patient is not None and patient.searchable,
        Way.EVERYTHING: capabilities.everything,
        Way.FILES: False,
    }
    if preference is not None:
        if offered[preference]:
            return preference
        because = f" (it does not search {', '.join(missing)} by patient)" if missing else ""
        raise SourceError(
            f"the server does not offer {preference.value}{because if preference is Way.SEARCHES else ''}.",
            where=capabilities.software,
            mend="Choose another way: " + (", ".join(w.value for w in Way if offered[w]) or "files") + ".",
            code="not-supported",
        )
    order = (Way.SEARCHES, Way.EVERYTHING) if few else (Way.BULK, Way.SEARCHES, Way.EVERYTHING)
    for way in order:
        if offered[way]:
            return way
    raise SourceError(
        "the server offers no way to get whole patients.",
        where=capabilities.software,
        mend="Export its data to files.",
        code="not-supported",
    )


async def patient_ids(client: FhirClient, *, count: int = 500) -> AsyncIterator[str]:
    """The ids of all patients of a server."""
    parameters = [("_elements", "id"), ("_count", str(count))]
    async for resource in client.search("Patient", parameters):
        if resource.get("resourceType") == "Patient" and resource.get("id"):
            yield str(resource["id"])


class _Served:
    """Patients pulled one by one, some of them at a time."""

    def __init__(
        self, client: FhirClient, patients: Iterable[str] | AsyncIterable[str] | None = None
    ) -> None:
        """``patients`` are ids, all of the server's by default."""
        self.faults: list[str] = []
        self._client = client
        self._ids = patient_ids(client) if patients is None else patients

    async def patients(self) -> AsyncIterator[Pulled]:
        """The patients in the order of their ids, a failing one with its error."""
        async for pulled in _ahead(_each(self._ids), self._attempt, self._client.concurrency):
            if pulled.error is not None:
                self.faults.append(f"Patient/{pulled.patient_id} could not be read: {pulled.error}")
            yield pulled

    async def _attempt(self, patient_id: str) -> Pulled:
        try:
            return Pulled(patient_id, tuple(await self._pull(patient_id)))
        except MeasurewiseError as error:
            return Pulled(patient_id, error=error)

    async def _pull(self, patient_id: str) -> list[Resource]:
        raise NotImplementedError

    async def _follow(self, gathered: _Gathered, kinds: frozenset[str]) -> None:
        """Read what is referred to and belongs to no patient, and what that refers to in turn."""
        asked: set[tuple[str, str]] = set()
        while True:
            pending: dict[str, list[str]] = {}
            for kind, identity in sorted(gathered.references(kinds) - asked):
                asked.add((kind, identity))
                if (kind, identity) not in gathered:
                    pending.setdefault(kind, []).append(identity)
            if not pending:
                return
            for kind, identities in pending.items():
                for start in range(0, len(identities), 100):
                    parameters = [("_id", ",".join(identities[start : start + 100]))]
                    parameters.append(("_count", "100"))
                    async for resource in self._client.search(kind, parameters):
                        gathered.add(resource)


class SearchedPatients(_Served):
    """Way (a): what the measures retrieve, by searches for each patient."""

    def __init__(
        self,
        client: FhirClient,
        plan: SearchPlan,
        patients: Iterable[str] | AsyncIterable[str] | None = None,
        *,
        count: int = 500,
    ) -> None:
        """``patients`` are ids, all of the server's by default; ``count`` is the page size asked for."""
        super().__init__(client, patients)
        self._plan = plan
        self._count = count

    async def _pull(self, patient_id: str) -> list[Resource]:
        gathered = _Gathered()
        gathered.add(await self._client.get(f"Patient/{patient_id}"))
        for search in self._plan.searches:
            for parameters in search.requests(patient_id, self._count):
                async for resource in self._client.search(search.resource_type, parameters):
                    gathered.add(resource)
        await self._follow(gathered, self._plan.by_reference)
        return gathered.resources()


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
    ) -> None:
        """``patients`` are ids, all of the server's by default."""
        super().__init__(client, patients)
        self._by_reference = by_reference

    async def _pull(self, patient_id: str) -> list[Resource]:
        gathered = _Gathered()
        address = f"Patient/{patient_id}/$everything"
        async for resource in self._client.pages(await self._client.get(address), address):
            # a link to another Patient (a mother, a duplicate) may come along
            if resource.get("resourceType") != "Patient" or resource.get("id") == patient_id:
                gathered.add(resource)
        await self._follow(gathered, self._by_reference)
        return gathered.resources()


class FilePatients:
    """Way (d): files and folders, as :mod:`measurewise.engine.runner.patients` reads them."""

    def __init__(self, path: Path) -> None:
        self.faults: list[str] = []
        self._path = path

    async def patients(self) -> AsyncIterator[Pulled]:
        """The patients in the order of the files. Raises RecordError or NotFoundError for unusable files."""
        source = Patients(self._path)
        lines = iter(source)
        while (line := await asyncio.to_thread(next, lines, None)) is not None:
            try:
                record = read_record(line.data, where=line.where)
            except RecordError as error:
                self.faults.append(str(error))
                yield Pulled(line.where, error=error)
            else:
                yield Pulled(str(record.patient.get("id", line.where)), tuple(record.resources()))
        self.faults += source.notices


class _Gathered:
    """A patient's resources, each once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Resource] = {}

    def __contains__(self, key: tuple[str, str]) -> bool:
        return key in self._found

    def add(self, resource: Any) -> None:
        """Keep a resource; a later version of a known one takes its place."""
        if type(resource) is not dict or not resource.get("resourceType"):
            raise SourceError("the server gave something that is no resource.", code="structure")
        identity = resource.get("id")
        # a server's resources have ids; one without is kept under a name of its own
        key = str(identity) if identity else f"#{len(self._found)}"
        self._found[str(resource["resourceType"]), key] = resource

    def references(self, kinds: frozenset[str]) -> set[tuple[str, str]]:
        """The (type, id) of all relative or absolute references to some types."""
        found: set[tuple[str, str]] = set()
        if not kinds:
            return found
        pending: list[Any] = list(self._found.values())
        while pending:
            value = pending.pop()
            if type(value) is list:
                pending += value
            elif type(value) is dict:
                reference = value.get("reference")
                if type(reference) is str:
                    parts = reference.partition("/_history/")[0].split("/")
                    if len(parts) > 1 and parts[-2] in kinds:
                        found.add((parts[-2], parts[-1]))
                pending += [part for part in value.values() if type(part) in (dict, list)]
        return found

    def resources(self) -> list[Resource]:
        return list(self._found.values())


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


async def _ahead(
    ids: AsyncIterator[str], pull: Callable[[str], Awaitable[Pulled]], width: int
) -> AsyncIterator[Pulled]:
    """What ``pull`` gives for each id, in order, up to ``width`` of them under way."""
    under_way: deque[asyncio.Future[Pulled]] = deque()
    try:
        async for patient_id in ids:
            under_way.append(asyncio.ensure_future(pull(patient_id)))
            if len(under_way) >= width:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
