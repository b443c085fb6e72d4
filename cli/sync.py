"""``measurewise source`` and ``measurewise sync``: FHIR servers whose patients the store keeps."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from measurewise.cli.options import AsJson
from measurewise.cli.output import Column, print_json, print_table
from measurewise.cli.progress import display
from measurewise.cli.store import DatabaseUrl, DataFolder
from measurewise.cli.subscribing import Name, SubscribeOptions, described, opened, subscribe, unsubscribe
from measurewise.engine.errors import MeasurewiseError
from measurewise.store.sources import SignInName, WayName

if TYPE_CHECKING:
    from measurewise.api.services.context import Services
    from measurewise.store.sources import Source

source = App(name="source", help="FHIR servers (or files) whose patients the server keeps in its store.")
source.command(subscribe)
source.command(unsubscribe)


@source.command
def add(
    name: Annotated[str, Parameter(help="Up to 20 small letters, digits and hyphens.")],
    url: Annotated[
        str, Parameter(help="The base URL of a FHIR R4 server; for --way files a path or address.")
    ],
    /,
    *,
    way: Annotated[WayName, Parameter(help="How patients are read; auto asks the server.")] = "auto",
    sign_in: Annotated[
        SignInName,
        Parameter(
            help="Secrets come from MEASUREWISE_SOURCES__[NAME]__TOKEN and the like; see docs/sync.md."
        ),
    ] = "none",
    group: Annotated[str | None, Parameter(help="Only the members of this Group of the source.")] = None,
    rule: Annotated[str | None, Parameter(help="Only patients attributed by this rule.")] = None,
    provider: Annotated[
        list[str] | None, Parameter(negative="", help="For --rule: names of one provider.")
    ] = None,
    practice: Annotated[
        list[str] | None, Parameter(negative="", help="For --rule: names of one practice.")
    ] = None,
    period: Annotated[str | None, Parameter(help="For --rule and --group: 2026, or two dates.")] = None,
    type: Annotated[
        list[str] | None,
        Parameter(name="--type", negative="", help="Only these resource types, beside Patient."),
    ] = None,
    ids: Annotated[
        Literal["kept", "prefixed"] | None,
        Parameter(help="Whether ids begin with the source's name; prefixed for an organisation's second."),
    ] = None,
    page_size: Annotated[int, Parameter(help="Resources a page.")] = 500,
    concurrency: Annotated[int, Parameter(help="Requests at once, of each worker.")] = 4,
    batch: Annotated[int, Parameter(help="Patients a step of the job.")] = 20,
    overlap: Annotated[
        float, Parameter(help="Seconds before the last sync from which changes are asked for again.")
    ] = 60.0,
    organization: Annotated[
        str | None, Parameter(help="Whose patients they are; the operator's own when not given.")
    ] = None,
    subscribe: Annotated[
        bool,
        Parameter(negative="", help="Have the source tell of changes: the workers keep Subscriptions there."),
    ] = False,
    options: SubscribeOptions | None = None,
    data_folder: DataFolder = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> int:
    """Name a source. Nothing is read yet: measurewise sync does that."""
    from measurewise.api.services.sources import add_source
    from measurewise.engine import Period
    from measurewise.store.sources import Source, SourceSettings

    services = opened(data_folder, database)
    span = None if period is None else Period.parse(period)
    for option, number in (("--page-size", page_size), ("--concurrency", concurrency), ("--batch", batch)):
        if number < 1:
            raise MeasurewiseError(f"{number} is too few.", where=option, mend="Give 1 or more.")
    if overlap < 0:
        raise MeasurewiseError("the overlap is negative.", where="--overlap", mend="Give 0 or more.")
    settings = SourceSettings(
        way=way,
        sign_in=sign_in,
        page_size=page_size,
        concurrency=concurrency,
        batch=batch,
        overlap=overlap,
        group=group,
        rule=rule,
        provider=tuple(provider or ()),
        practice=tuple(practice or ()),
        start=None if span is None else span.start[:10],
        end=None if span is None else span.end[:10],
        types=tuple(type or ()),
    )
    if subscribe:
        settings = (options or SubscribeOptions()).applied(settings)
    elif options is not None and options != SubscribeOptions():
        raise MeasurewiseError(
            "these options are for Subscriptions.", where="--topic and the like", mend="Give --subscribe too."
        )
    kept = add_source(
        services, Source(name, organization or services.settings.organization, url, settings), ids=ids
    )
    if json:
        print_json(_described(kept))
    else:
        how = f"ids begin with {kept.id}." if kept.settings.prefixed else "ids are kept"
        print(f"{kept.id}: {kept.url} ({how}). Read it with: measurewise sync {kept.id}")
    return 0


@source.command(name="list")
def list_sources(
    *, data_folder: DataFolder = None, database: DatabaseUrl = None, json: AsJson = False
) -> int:
    """List the sources: how far they are synced, how many patients they gave, how many failed."""
    from measurewise.store import sources
    from measurewise.store.access import OPERATOR

    services = opened(data_folder, database)
    with services.database.read() as connection:
        found = [(one, sources.counts(connection, one.id)) for one in sources.listed(connection, OPERATOR)]
    if json:
        print_json({"sources": [_described(one) | asdict(counts) for one, counts in found]})
        return 0
    columns = [
        Column("Name"),
        Column("Organisation"),
        Column("URL"),
        Column("Way"),
        Column("Synced"),
        Column("Subscriptions"),
        Column("Patients", "right"),
        Column("Failed", "right"),
    ]
    rows = [
        (
            one.id,
            one.organization,
            one.url,
            one.settings.way,
            one.synced or "never",
            _told_by(one),
            f"{counts.held:,}",
            f"{counts.failed:,}",
        )
        for one, counts in found
    ]
    print_table("", columns, rows)
    return 0


@source.command
def remove(
    name: Name,
    /,
    *,
    with_data: Annotated[
        bool, Parameter(negative="", help="Delete what it gave, too; else that stays in the store.")
    ] = False,
    data_folder: DataFolder = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> int:
    """Forget a source, and delete the Subscriptions that were kept there."""
    from measurewise.api.services.subscribing import end_subscriptions
    from measurewise.store import source_data, sources
    from measurewise.store.access import OPERATOR
    from measurewise.store.database import now

    services = opened(data_folder, database)
    with services.database.read() as connection:
        known = sources.read(connection, OPERATOR, name)
    if known.settings.subscribe != "no":
        try:
            end_subscriptions(services, known)
        except MeasurewiseError as error:
            print(f"its Subscriptions stay at the source until they end: {error}", file=sys.stderr)
    with services.database.write() as connection:
        deleted = source_data.remove_all(connection, known, now()).deleted if with_data else 0
        sources.remove(connection, known)
    if json:
        print_json({"source": name, "deleted": deleted})
    else:
        print(f"{name} is forgotten; {deleted:,} resources were deleted.")
    return 0


def sync(
    name: Name,
    /,
    *,
    full: Annotated[
        bool, Parameter(negative="", help="Read everything anew; who is gone at the source is deleted.")
    ] = False,
    patient: Annotated[
        list[str] | None, Parameter(negative="", help="Only this patient, by the id at the source.")
    ] = None,
    every: Annotated[
        float | None, Parameter(help="Sync again and again, so many seconds after each end.")
    ] = None,
    data_folder: DataFolder = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> int:
    """Bring a source's patients into the store: all the first time, then what has changed.

    This process does the work, beside the workers of a server that runs. The exit status is 1 when a patient
    could not be read or stored; that one is tried again with the next sync.
    """
    services = opened(data_folder, database)
    if every is not None and every <= 0:
        raise MeasurewiseError("there must be some time between.", where="--every", mend="Give seconds.")
    while True:
        report = _synced(services, name, full=full, patients=tuple(patient or ()))
        if json:
            print_json(report)
        else:
            _tell(report)
        if every is None:
            return 1 if any(issue["severity"] == "error" for issue in _issues(report)) else 0
        time.sleep(every)
        full = False


def _synced(services: Services, name: str, *, full: bool, patients: tuple[str, ...]) -> dict[str, Any]:
    """Queue a sync, work until it has ended, and give its report. Raises MeasurewiseError if it failed."""
    import msgspec

    from measurewise.api.jobs.syncing import queue_sync
    from measurewise.api.jobs.worker import Worker
    from measurewise.api.services.sync import SyncRequest
    from measurewise.store import jobs, sources
    from measurewise.store.access import OPERATOR

    with services.database.write() as connection:
        known = sources.read(connection, OPERATOR, name)
        identity = queue_sync(connection, known, SyncRequest(name, full=full, patients=patients))
    worker = Worker(services)
    with display("Syncing", None, "patients") as shown:
        while True:
            worked = worker.work_once()
            with services.database.read() as connection:
                job = jobs.read(connection, OPERATOR, identity)
            if job.ended:
                break
            shown.advance(job.done, job.done)
            if not worked:
                time.sleep(0.2)
    result = msgspec.json.decode(job.result or b"{}")
    if job.state != "completed":
        issues = result.get("issue") or [{"diagnostics": job.progress}]
        raise MeasurewiseError(str(issues[0].get("diagnostics")), where=name)
    report: dict[str, Any] = {}
    for parameter in result["parameter"]:
        (report[parameter["name"]],) = (value for key, value in parameter.items() if key != "name")
    return report


def _tell(report: dict[str, Any]) -> None:
    from_when = f"since {report['since']}" if report.get("since") else "everything"
    print(f"{report['source']}: {from_when}, by {report.get('way') or 'nothing'}")
    print(
        f"patients: {report['read']:,} read, {report['written']:,} written, "
        f"{report['unchanged']:,} unchanged, {report['removed']:,} removed, {report['failed']:,} failed, "
        f"{report['skipped']:,} not wanted"
    )
    print(
        f"resources: {report['created_resources']:,} created, {report['updated_resources']:,} updated, "
        f"{report['unchanged_resources']:,} unchanged, {report['deleted_resources']:,} deleted"
    )
    for issue in _issues(report):
        print(f"{issue['severity']}: {', '.join(issue.get('expression', ()))}: {issue['details']['text']}")
    print(f"synced until {report.get('synced', 'never')}")


def _issues(report: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = report.get("issues", {}).get("issue", [])
    return found


def _described(kept: Any) -> dict[str, Any]:
    import msgspec

    return {
        "name": kept.id,
        "organization": kept.organization,
        "url": kept.url,
        "synced": kept.synced,
        "settings": msgspec.to_builtins(kept.settings),
        **described(kept),
    }


def _told_by(kept: Source) -> str:
    """How many Subscriptions work, of how many there are; in the table."""
    if kept.settings.subscribe == "no":
        return "none"
    held = kept.subscriptions.held
    working = sum(one.status == "active" for one in held)
    return f"{working} of {len(held)} active" + (", with errors" if kept.subscriptions.issues else "")
