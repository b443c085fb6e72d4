"""Patients of a FHIR server for ``measurewise evaluate --server``, read while others are evaluated."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from measurewise.engine.errors import MeasurewiseError

if TYPE_CHECKING:
    from measurewise.engine import Prepared
    from measurewise.engine.compiler.planner import Terminology
    from measurewise.engine.runner.patients import PatientData
    from measurewise.fhir_server_adapter.capabilities import Capabilities, ExportLevel
    from measurewise.fhir_server_adapter.client import FhirClient
    from measurewise.fhir_server_adapter.signin import SignIn
    from measurewise.fhir_server_adapter.sources import PatientSource, Pulled

WayName = Literal["searches", "everything", "bulk"]
SignInName = Literal["none", "bearer", "basic", "client-credentials", "backend-services"]

_AHEAD: Final = 256
_VARIABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "bearer": ("MEASUREWISE_TOKEN",),
    "basic": ("MEASUREWISE_USER", "MEASUREWISE_PASSWORD"),
    "client-credentials": (
        "MEASUREWISE_TOKEN_URL",
        "MEASUREWISE_CLIENT_ID",
        "MEASUREWISE_CLIENT_SECRET",
    ),
    "backend-services": ("MEASUREWISE_CLIENT_ID", "MEASUREWISE_KEY_FILE"),
}


@dataclass(frozen=True)
class ServerOptions:
    """Where the patients are, and how to get them; ``patients`` are ids, none for all.

    ``by_date`` says whether searches leave out resources whose time keeps them from changing a result.
    """

    url: str
    way: WayName | None = None
    group: str | None = None
    sign_in: SignInName = "none"
    patients: tuple[str, ...] = ()
    most: int | None = None
    concurrency: int = 4
    by_date: bool = True


class ServerPatients:
    """The patients of a server as raw JSON; iterating starts the reading.

    ``failures`` has those that could not be read, by id; ``notices`` are sentences about what is missing.
    ``position`` is the number of patients that came.
    """

    size: int | None = None

    def __init__(self, options: ServerOptions, prepared: Prepared, value_sets: Terminology) -> None:
        """``value_sets`` are those of ``prepared``. Raises MeasurewiseError for a sign-in that lacks its
        environment variables, and for what does not go together.
        """
        self.position = 0
        self.failures: list[tuple[str, MeasurewiseError]] = []
        self.notices: list[str] = []
        self._options = options
        self._prepared = prepared
        self._value_sets = value_sets
        self._sign_in = sign_in(options.sign_in)

    def __iter__(self) -> Iterator[PatientData]:
        """Raises what reading as a whole raises; a patient that cannot be read is in ``failures``."""
        from measurewise.engine.measure.reports.edge import to_json
        from measurewise.engine.runner.patients import PatientData

        for pulled in _from_a_thread(self._pulled):
            self.position += 1
            if pulled.error is not None:
                self.failures.append((pulled.patient_id, pulled.error))
                continue
            data = to_json({"resources": list(pulled.resources)})
            yield PatientData(f"{self._options.url}, Patient/{pulled.patient_id}", data)

    async def _pulled(self) -> AsyncIterator[Pulled]:
        from measurewise.fhir_server_adapter.capabilities import read_capabilities
        from measurewise.fhir_server_adapter.client import FhirClient

        options = self._options
        async with FhirClient(
            options.url, sign_in=self._sign_in, concurrency=options.concurrency, timeout=120
        ) as client:
            with tempfile.TemporaryDirectory(prefix="measurewise-export-") as folder:
                source = await self._source(client, await read_capabilities(client), Path(folder))
                count = 0
                async for pulled in source.patients():
                    yield pulled
                    count += 1
                    if count == options.most:
                        break
                self.notices += [fault for fault in source.faults if not fault.startswith("Patient/")]

    async def _source(self, client: FhirClient, capabilities: Capabilities, folder: Path) -> PatientSource:
        from measurewise.fhir_server_adapter.bulk import BulkPatients, ExportRequest
        from measurewise.fhir_server_adapter.pulling import EverythingPatients, SearchedPatients, patient_ids
        from measurewise.fhir_server_adapter.search_plan import BY_REFERENCE, required_types, search_plan
        from measurewise.fhir_server_adapter.sources import Way, choose_source

        options = self._options
        retrievals = self._prepared.program.tables.retrievals
        plan = search_plan(retrievals, capabilities, self._value_sets)
        way = choose_source(
            capabilities,
            Way(options.way) if options.way else None,
            few=bool(options.patients) or options.most is not None,
            group=options.group is not None and options.way == "bulk",
            unsearchable=plan.unsearchable,
        )
        if way is Way.BULK:
            if options.patients:
                raise MeasurewiseError(
                    "an export is of a group or of all patients, not of named ones.",
                    where="--patient",
                    mend="Give --way searches or --way everything, or --group.",
                )
            level: ExportLevel = (
                "group" if options.group else "patient" if "patient" in capabilities.exports else "system"
            )
            # exports of patients and groups take no types that belong to no patient, so these are read after
            types = required_types(retrievals) - (frozenset() if level == "system" else BY_REFERENCE)
            request = ExportRequest(level, group=options.group, types=tuple(sorted(types)))
            return BulkPatients(
                client,
                request,
                folder,
                capabilities=capabilities,
                by_reference=plan.by_reference,
                poll=1.0,
            )
        ids: Any = list(options.patients) or patient_ids(client)
        if options.group is not None:
            ids = await _members(client, options.group, self._prepared)
        if way is Way.EVERYTHING:
            return EverythingPatients(client, ids, by_reference=plan.by_reference)
        if options.by_date:
            windows = self._prepared.windows
            plan = search_plan(retrievals, capabilities, self._value_sets, windows=windows)
        return SearchedPatients(client, plan, ids)


def sign_in(name: SignInName, environment: Mapping[str, str] | None = None) -> SignIn | None:
    """How to sign in, with what stands in the environment: secrets are no command's arguments.

    Raises MeasurewiseError that lists the variables that are missing, or for a key that cannot be read.
    """
    from measurewise.fhir_server_adapter.signin import BackendServices, Basic, Bearer, ClientCredentials

    if name == "none":
        return None
    variables = os.environ if environment is None else environment
    missing = [variable for variable in _VARIABLES[name] if not variables.get(variable)]
    if missing:
        raise MeasurewiseError(
            f"the environment lacks {', '.join(missing)}.",
            where=f"--sign-in {name}",
            mend="Set them and run the command again.",
        )
    values = [variables[variable] for variable in _VARIABLES[name]]
    if name == "bearer":
        return Bearer(*values)
    if name == "basic":
        return Basic(*values)
    if name == "client-credentials":
        return ClientCredentials(*values)
    client_id, key_file = values
    try:
        key = Path(key_file).read_text()
    except OSError as error:
        raise MeasurewiseError(
            f"the private key cannot be read ({error.strerror}).", where="MEASUREWISE_KEY_FILE"
        ) from None
    algorithm = variables.get("MEASUREWISE_KEY_ALGORITHM", "ES384")
    if algorithm not in ("ES384", "RS384"):
        raise MeasurewiseError("it is ES384 or RS384.", where="MEASUREWISE_KEY_ALGORITHM")
    kid = variables.get("MEASUREWISE_KEY_ID")
    return BackendServices(client_id, key, algorithm=algorithm, kid=kid)  # type: ignore[arg-type]


async def _members(client: FhirClient, group: str, prepared: Prepared) -> list[str]:
    from measurewise.fhir_server_adapter.attribution import Span, group_members

    resource = await client.get(f"Group/{group}")
    span = Span(prepared.period.start[:10], prepared.period.end[:10])
    names = sorted(group_members(resource, span))
    return [name.removeprefix("Patient/") for name in names if name.startswith("Patient/")]


def _from_a_thread(patients: Any) -> Iterator[Pulled]:
    """What an asynchronous source gives, read ahead in a thread of its own, so that the network works while
    this thread evaluates."""
    waiting: queue.Queue[Any] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    async def read() -> None:
        async for pulled in patients():
            while not stopped.is_set():
                try:
                    waiting.put_nowait(pulled)
                    break
                except queue.Full:
                    await asyncio.sleep(0.01)
            if stopped.is_set():
                return

    def run() -> None:
        error: BaseException | None = None
        try:
            asyncio.run(read())
        except BaseException as raised:
            error = raised
        while not stopped.is_set():
            try:
                waiting.put((error,), timeout=0.1)
                return
            except queue.Full:
                continue

    thread = threading.Thread(target=run, name="reading patients", daemon=True)
    thread.start()
    try:
        while True:
            got = waiting.get()
            if type(got) is tuple:
                if got[0] is not None:
                    raise got[0]
                return
            yield got
    finally:
        stopped.set()
        thread.join(timeout=5 if sys.exc_info()[0] is None else 1)
