"""``measurewise attribute``: a Group of those who count for a clinician or a practice."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from measurewise.cli.options import AsJson
from measurewise.cli.output import print_json
from measurewise.cli.store import DatabaseUrl, DataFolder, settings_of


def attribute(
    *,
    rule: Annotated[
        str,
        Parameter(help="general-practitioner, managing-organization, encounter-participant or most-visits."),
    ],
    period: Annotated[str, Parameter(help="2026, or 2026-01-01/2026-12-31.")],
    provider: Annotated[
        list[str] | None,
        Parameter(negative="", help="Practitioner/[id] or [system]|[NPI]; several are names of one."),
    ] = None,
    practice: Annotated[
        list[str] | None,
        Parameter(negative="", help="Organization/[id] or [system]|[TIN]; several are names of one."),
    ] = None,
    id: Annotated[str | None, Parameter(name="--id", help="The Group's id.")] = None,
    organization: Annotated[
        str | None, Parameter(help="Whose patients; the operator's own organisation when not given.")
    ] = None,
    data_folder: DataFolder = None,
    database: DatabaseUrl = None,
    json: AsJson = False,
) -> int:
    """Write the Group of the patients who count for a provider, a practice, or both, in a period.

    The Group is a subject of $evaluate-measure, $evaluate and $care-gaps.
    """
    from measurewise.api.services.attribution import attribute as attributed
    from measurewise.engine import Period
    from measurewise.store.database import Database

    settings = settings_of(data_folder, database)
    store = Database(settings.database_url)
    store.migrate()
    try:
        stored = attributed(
            store,
            organization or settings.organization,
            rule,
            Period.parse(period),
            provider=provider or [],
            practice=practice or [],
            identity=id,
        )
    finally:
        store.close()
    members = stored.parsed()["quantity"]
    if json:
        print_json({"group": stored.reference, "version": stored.version, "members": members})
    else:
        print(f"{stored.reference} has {members:,} members.")
    return 0
