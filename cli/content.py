"""``measurewise content``: the measures, libraries and value sets of the server's store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from measurewise.cli.options import AsJson
from measurewise.cli.output import Column, print_json, print_table
from measurewise.cli.store import DatabaseUrl, DataFolder, settings_of
from measurewise.engine.errors import MeasurewiseError

if TYPE_CHECKING:
    from measurewise.api.services.content import Added, Held
    from measurewise.api.settings import Settings
    from measurewise.store.database import Database

content = App(name="content", help="The measures, libraries and value sets that the server works with.")

KEY: Final = "UMLS_API_KEY"
TOKEN: Final = "MEASUREWISE_SOURCE_TOKEN"  # noqa: S105, the name of a variable


@content.command
def add(
    *sources: Annotated[
        str, Parameter(help="Files, folders, archives (MADiE exports too), or a FHIR server's base URL.")
    ],
    measure: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=True,
            negative="",
            help="From a server: the measures, by id, name or URL, each with |version where wanted.",
        ),
    ] = None,
    data_folder: DataFolder = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> int:
    """Add measures with their libraries and value sets; versions of one measure stand side by side.

    A server that wants a bearer token is given that of $MEASUREWISE_SOURCE_TOKEN.
    """
    from measurewise.api.services import content as service

    if not sources:
        raise MeasurewiseError("there is nothing to add.", mend="Name files, folders or a server's URL.")
    paths = [Path(source) for source in sources if "://" not in source]
    urls = [source for source in sources if "://" in source]
    if urls and not measure:
        raise MeasurewiseError(
            "which of the server's measures?", where="--measure", mend="Name them by id, name or URL."
        )
    if measure and not urls:
        raise MeasurewiseError(
            "measures are named for a server only.", where="--measure", mend="Give its URL."
        )
    resources = service.resources_at(*paths) if paths else []
    remarks: list[str] = []
    for url in urls:
        found, more = asyncio.run(_from_server(url, measure or []))
        resources += found
        remarks += more
    added = service.add(_opened(settings_of(data_folder, database)), resources)
    return _tell(added, remarks, json)


@content.command(name="value-sets")
def value_sets(
    *names: Annotated[
        str, Parameter(help="OIDs or URLs, each with |version where wanted. Default: those that are missing.")
    ],
    source: Annotated[
        str, Parameter(name="--from", help="vsac (FHIR), svs (VSAC's older service), or a server's base URL.")
    ] = "vsac",
    data_folder: DataFolder = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> int:
    """Add value sets from VSAC or another terminology server; VSAC wants your UMLS key in $UMLS_API_KEY."""
    from measurewise.api.services import content as service

    settings = settings_of(data_folder, database)
    opened = _opened(settings)
    wanted = list(names) or _missing(settings, opened)
    if not wanted:
        if json:
            print_json({"added": []})
        else:
            print("Every value set that the measures use is there.")
        return 0
    found, remarks = asyncio.run(_from_terminology_server(source, wanted))
    if not found:
        raise MeasurewiseError(remarks[0] if remarks else "the server has none of them.", where=source)
    return _tell(service.add(opened, found), remarks, json)


@content.command(name="list")
def list_content(
    *,
    every: Annotated[
        bool, Parameter(name="--all", negative="", help="Libraries, value sets and code systems too.")
    ] = False,
    data_folder: DataFolder = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> int:
    """List the measures that are there, with their versions."""
    from measurewise.api.services import content as service

    held = service.held_content(_opened(settings_of(data_folder, database)))
    shown = [one for one in held if every or one.type == "Measure"]
    if json:
        print_json({"content": [_as_json(one) for one in shown]})
        return 0
    rows = [
        ((one.type,) if every else ()) + (one.name or "", one.version or "", one.id, one.url or "")
        for one in shown
    ]
    columns = [Column(title) for title in (("Type",) if every else ()) + ("Name", "Version", "Id", "URL")]
    print_table("", columns, rows)
    others = len(held) - len(shown)
    if others:
        print(f"\nBeside these {others} libraries, value sets and code systems (--all).")
    return 0


@content.command
def remove(
    *names: Annotated[str, Parameter(help="Name, url|version or Type/id.")],
    data_folder: DataFolder = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> int:
    """Take content away; what it was stays in the history."""
    from measurewise.api.services import content as service

    if not names:
        raise MeasurewiseError("there is nothing to remove.", mend="Name it; see measurewise content list.")
    gone = service.take_away(_opened(settings_of(data_folder, database)), names)
    if json:
        print_json({"removed": [_as_json(one) for one in gone]})
    else:
        for one in gone:
            print(f"{one.reference} ({one.canonical}) was removed.")
    return 0


def _opened(settings: Settings) -> Database:
    from measurewise.store.database import Database

    opened = Database(settings.database_url)
    opened.migrate()
    return opened


async def _from_server(url: str, names: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    from measurewise.api.services.content_server import measures_with_content
    from measurewise.fhir_server_adapter.client import FhirClient
    from measurewise.fhir_server_adapter.signin import Bearer

    token = os.environ.get(TOKEN)
    async with FhirClient(url, sign_in=Bearer(token) if token else None) as client:
        return await measures_with_content(client, names)


async def _from_terminology_server(
    source: str, wanted: Sequence[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    from measurewise.api.services.terminology_server import SVS, VSAC, expanded, from_svs, umls_key
    from measurewise.fhir_server_adapter.client import FhirClient
    from measurewise.fhir_server_adapter.faults import SourceError
    from measurewise.fhir_server_adapter.signin import Bearer, SignIn

    key, token = os.environ.get(KEY), os.environ.get(TOKEN)
    url = {"vsac": VSAC, "svs": SVS}.get(source, source)
    sign_in: SignIn | None = umls_key(key) if key else Bearer(token) if token else None
    if source in ("vsac", "svs") and not key:
        raise MeasurewiseError(
            "VSAC wants to know who asks.", where=KEY, mend=f"Put your UMLS key into ${KEY}."
        )
    # The older service has one operation; its base stands for the protocol.
    older = source == "svs" or url.rstrip("/").endswith("/svs")
    found: list[dict[str, Any]] = []
    remarks: list[str] = []
    async with FhirClient(url, sign_in=sign_in) as client:
        for name in wanted:
            try:
                found += await from_svs(client, name) if older else [await expanded(client, name)]
            except SourceError as error:
                if error.status in (401, 403):
                    raise
                remarks.append(f"{name}: {error.what}")
    return found, remarks


def _missing(settings: Settings, opened: Database) -> list[str]:
    """The canonicals of the value sets that measures use and that are not there."""
    from measurewise.api.services.catalog import Catalog
    from measurewise.engine.content.value_set_use import value_set_uses

    catalog = Catalog(opened, matching=settings.matching, missing_valuesets="empty")
    loaded = catalog.loaded()
    found: dict[str, None] = {}
    for one in loaded.content.measures:
        for use in value_set_uses(loaded.engine.trees.closure(one, [])):
            if use.canonical not in loaded.engine.value_sets:
                found[use.canonical] = None
    return list(found)


def _tell(added: Added, remarks: Sequence[str], as_json: bool) -> int:
    told = [*remarks, *added.remarks]
    written = added.written
    if as_json:
        print_json(
            {
                "added": [_as_json(one) for one in added.held],
                "created": written.created,
                "changed": written.updated,
                "unchanged": written.unchanged,
                "remarks": told,
            }
        )
    else:
        counts = ", ".join(
            f"{added.count(kind)} {words}"
            for kind, words in (
                ("Measure", "measures"),
                ("Library", "libraries"),
                ("ValueSet", "value sets"),
                ("CodeSystem", "code systems"),
            )
            if added.count(kind)
        )
        changes = f"{written.created} new, {written.updated} changed, {written.unchanged} as they were"
        print(f"{counts}: {changes}.")
        for remark in told:
            print(f"Note: {remark}")
    return 1 if told else 0


def _as_json(one: Held) -> dict[str, Any]:
    parts = {"type": one.type, "id": one.id, "url": one.url, "version": one.version, "name": one.name}
    return {name: value for name, value in parts.items() if value is not None}
