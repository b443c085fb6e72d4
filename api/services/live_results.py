"""Results that are kept and reused: only what is new or has changed is computed.

See ``store/results.py`` for what makes a kept result fit to be reused.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from measurewise.api.services.catalog import Catalog
from measurewise.engine import Period, Prepared
from measurewise.engine.compiler.cache import engine_digest
from measurewise.engine.measure.result_json import from_result_json, to_result_json
from measurewise.engine.measure.results import PatientResult
from measurewise.engine.terminology.value_sets import ValueSetIndex
from measurewise.store import results
from measurewise.store.database import Database, again
from measurewise.store.results import Kept, Question, Revision

_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a measure's results hang on beside the patients' data and the period."""

    provenance: str
    types: frozenset[str]


class Bases:
    """The provenance of measures, computed once for each state of the content. Safe to use from threads."""

    def __init__(self, catalog: Catalog, settings: Mapping[str, Any]) -> None:
        self._catalog = catalog
        self._settings = msgspec.json.encode(dict(settings), order="deterministic")
        self._known: dict[tuple[Any, ...], _Basis] = {}
        self._lock = threading.Lock()

    def of(self, measure: str, period: Period) -> _Basis:
        """The basis of a measure by canonical URL. Raises NotFoundError and ContentError."""
        loaded = self._catalog.loaded()
        key = (loaded.revision, measure)
        with self._lock:
            known = self._known.get(key)
        if known is not None:
            return known
        prepared = self._catalog.prepare((measure,), period)
        value_sets = loaded.engine.value_sets
        digest = hashlib.blake2b(engine_digest(), digest_size=20)
        digest.update(self._settings)
        digest.update(repr(prepared.measures).encode())
        digest.update(prepared.program.source.encode())
        digest.update(repr(prepared.program.tables.retrievals).encode())
        for url, version in _used(prepared):
            digest.update(_members(value_sets, url, version))
        for code_system in loaded.content.code_systems:
            digest.update(code_system if isinstance(code_system, bytes) else msgspec.json.encode(code_system))
        types = frozenset(retrieval.resource_type for retrieval in prepared.program.tables.retrievals)
        basis = _Basis(digest.hexdigest(), types | {"Patient"})
        with self._lock:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = basis
        return basis


class LiveResults:
    """Kept results of some measures in a period."""

    def __init__(self, database: Database, bases: Bases, prepared: Prepared, period: Period) -> None:
        self._database = database
        found = [(one.canonical, bases.of(one.canonical, period)) for one in prepared.measures]
        self.questions = [
            Question(measure, period.start, period.end, basis.provenance) for measure, basis in found
        ]
        self._types = {measure: basis.types for measure, basis in found}

    def fresh(
        self, connection: Connection, organization: str, patients: Sequence[str]
    ) -> dict[str, dict[str, PatientResult]]:
        """For each patient the results that can be reused, by measure."""
        kept = results.fresh(connection, organization, patients, self.questions)
        found: dict[str, dict[str, PatientResult]] = {}
        for (patient, measure), body in kept.items():
            found.setdefault(patient, {})[measure] = from_result_json(body)
        return found

    def keep(
        self, organization: str, new: Sequence[tuple[str, PatientResult]], read_at: Mapping[str, Revision]
    ) -> None:
        """Keep new results, (patient, result) each, unless data have changed since they were read."""
        if not new:
            return
        questions = {question.measure: question for question in self.questions}
        kept = [Kept(patient, questions[result.measure], to_result_json(result)) for patient, result in new]

        def keep() -> None:
            with self._database.write() as connection:
                for measure, types in self._types.items():
                    results.note_types(connection, measure, types)
                results.keep(connection, organization, kept, read_at)

        again(keep)


def _used(prepared: Prepared) -> list[tuple[str, str | None]]:
    tables = prepared.program.tables
    used: dict[tuple[str, str | None], None] = dict.fromkeys(tables.value_sets)
    for retrieval in tables.retrievals:
        coded = retrieval.code_filter
        if coded is not None and coded.value_set is not None:
            used[coded.value_set, coded.version] = None
    return sorted(used, key=lambda item: (item[0], item[1] or ""))


def _members(value_sets: ValueSetIndex, url: str, version: str | None) -> bytes:
    members = sorted(value_sets.members(url, version), key=lambda member: (member[0] or "", member[1]))
    return msgspec.json.encode([url, version, members])
