"""What every service works with, made once when the server or a worker starts."""

from __future__ import annotations

from dataclasses import dataclass

from measurewise.api.services.catalog import Catalog
from measurewise.api.services.live_results import Bases
from measurewise.api.settings import Settings
from measurewise.store.database import Database


@dataclass(frozen=True, slots=True)
class Services:
    """Settings, store, compiled content, and what kept results hang on."""

    settings: Settings
    database: Database
    catalog: Catalog
    bases: Bases


def open_services(settings: Settings) -> Services:
    """Open the store, bring its tables to this version and give it the shipped content if it has none.

    Raises StoreError.
    """
    database = Database(settings.database_url)
    database.migrate()
    catalog = Catalog(
        database,
        matching=settings.matching,
        missing_valuesets=settings.missing_valuesets,
        zone=settings.zone_minutes,
    )
    if settings.shipped_content:
        catalog.fill_if_empty()
    decisive = settings.model_dump(mode="json", include={"matching", "missing_valuesets", "zone_minutes"})
    return Services(settings, database, catalog, Bases(catalog, decisive))
