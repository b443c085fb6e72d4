"""The content in the store, made ready to run and kept so until it changes."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import select

from measurewise.cql_libraries import library_resources, measure_resources
from measurewise.engine import Content, Engine, Matching, Period, Prepared, ProgramCache
from measurewise.engine.terminology.canonical import split_canonical
from measurewise.engine.terminology.value_sets import ValueSetIndex
from measurewise.store.access import OPERATOR, SHARED
from measurewise.store.database import Database
from measurewise.store.resources import CONTENT_TYPES, of_types, write
from measurewise.store.results import content_revision
from measurewise.store.tables import resources
from measurewise.valuesets import value_set_resources

_KEPT: Final = 32


@dataclass(frozen=True, slots=True)
class Loaded:
    """The content at one state of the store."""

    revision: int
    content: Content
    engine: Engine


class Catalog:
    """Measures, libraries and value sets of the store, as an engine; loaded anew when they change.

    Safe to use from several threads.
    """

    def __init__(
        self,
        database: Database,
        *,
        matching: Literal["auto", "label", "structure"] = "auto",
        missing_valuesets: Literal["error", "empty"] = "error",
        zone: int = 0,
    ) -> None:
        self._database = database
        self._matching = Matching(matching)
        self._missing: Literal["error", "empty"] = missing_valuesets
        self._zone = zone
        self._loaded: Loaded | None = None
        self._prepared: OrderedDict[tuple[Any, ...], Prepared] = OrderedDict()
        self._lock = threading.RLock()

    def loaded(self) -> Loaded:
        """The content as it is in the store now."""
        revision = self._revision()
        with self._lock:
            if self._loaded is None or self._loaded.revision != revision:
                with self._database.read() as connection:
                    found = [stored.body for stored in of_types(connection, OPERATOR, CONTENT_TYPES)]
                content = Content.of(found, source="the store")
                engine = Engine(
                    content,
                    matching=self._matching,
                    missing_valuesets=self._missing,
                    stale="notice",
                    cache=ProgramCache.default(),
                )
                self._loaded = Loaded(revision, content, engine)
                self._prepared.clear()
                _leave_out_of_collections()
            return self._loaded

    @property
    def content(self) -> Content:
        """The content as it is in the store now."""
        return self.loaded().content

    @property
    def value_sets(self) -> ValueSetIndex:
        """The value sets as they are in the store now."""
        return self.loaded().engine.value_sets

    def prepare(
        self,
        measures: tuple[str, ...],
        period: Period,
        *,
        parameters: Mapping[str, Any] | None = None,
        supplemental_data: bool = True,
        evaluated_resources: bool = False,
    ) -> Prepared:
        """Measures ready to run, by canonical URL (with ``|version`` where wanted), id or name.

        Measures asked for together share their retrieves and definitions. Raises NotFoundError and
        ContentError.
        """
        loaded = self.loaded()
        key = (measures, period, supplemental_data, evaluated_resources)
        with self._lock:
            known = self._prepared.get(key) if not parameters else None
            if known is not None:
                self._prepared.move_to_end(key)
                return known
            prepared = loaded.engine.prepare(
                *measures,
                period=period,
                zone=self._zone,
                parameters=parameters,
                supplemental_data=supplemental_data,
                evaluated_resources=evaluated_resources,
            )
            if not parameters:
                _leave_out_of_collections()
                self._prepared[key] = prepared
                while len(self._prepared) > _KEPT:
                    self._prepared.popitem(last=False)
            return prepared

    def codes(self, url: str) -> list[tuple[str, str]]:
        """The (system, code) pairs of a value set. Raises ContentError."""
        return sorted(self.value_sets.members(*split_canonical(url)))

    def fill_if_empty(self) -> None:
        """Give a store without any content the measures that ship."""
        with self._database.read() as connection:
            if connection.execute(select(resources.c.key).where(_is_content()).limit(1)).first():
                return
        shipped = [*value_set_resources(), *library_resources(), *measure_resources()]
        with self._database.write() as connection:
            for resource in shipped:
                write(connection, SHARED, dict(resource))

    def _revision(self) -> int:
        with self._database.read() as connection:
            return content_revision(connection)


def _leave_out_of_collections() -> None:
    """Let the garbage collector pass over what is here to stay.

    Walking the programs and the content that ships takes a tenth of a second, which every so many requests
    would wait for. What was left out before and is not used any more is collected now.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _is_content() -> Any:
    return (resources.c.organization == SHARED) & resources.c.type.in_(sorted(CONTENT_TYPES))
