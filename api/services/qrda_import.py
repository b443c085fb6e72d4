"""QRDA I documents as FHIR resources of an organisation: read, merged with each other and with the store.

Each patient is written in one transaction. What a document has and FHIR has no place for is listed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection

from measurewise.api.fhir.types import STORED
from measurewise.api.services.context import Services
from measurewise.api.services.qrda import Reading, Sent, Unread, processes
from measurewise.engine.measure.reports.edge import to_json
from measurewise.engine.record.compartment import decode_head
from measurewise.qrda.category1.cda import derived_id
from measurewise.qrda.category1.merging import Match, MergedPatient, merge
from measurewise.qrda.category1.reading import ImportedDocument
from measurewise.qrda.validation.sources import Source
from measurewise.qrda.validation.workers import Ended
from measurewise.store import resources as store
from measurewise.store.access import Access
from measurewise.store.resources import CONTENT_TYPES, Stored
from measurewise.store.search import Criterion, Search, search

_TAKEN: Final = STORED - CONTENT_TYPES
Json = dict[str, Any]


@dataclass(slots=True)
class Imported:
    """What became of documents: an object a patient, and one for each document that could not be read."""

    patients: list[Json] = field(default_factory=list)
    not_read: list[Json] = field(default_factory=list)

    def answer(self) -> Json:
        """As it is told; ``status`` is ERR where a document could not be read."""
        return {
            "status": "ERR" if self.not_read else "OK",
            "patients": self.patients,
            "notRead": self.not_read,
        }


def documents(sent: Sent, found: Sequence[Source]) -> tuple[list[ImportedDocument], list[Json]]:
    """The documents of some sources, and those that could not be read."""
    read: list[ImportedDocument] = []
    not_read: list[Json] = []
    for source, outcome in zip(found, processes().each(Reading(), found), strict=True):
        name = sent.name_of(source)
        if isinstance(outcome, ImportedDocument):
            read.append(replace(outcome, name=name))
        else:
            what, mend = _why(outcome)
            not_read.append({"document": name, "error": what, "mend": mend})
    return read, not_read


def _why(outcome: Unread | Ended) -> tuple[str, str]:
    if isinstance(outcome, Unread):
        return outcome.what, outcome.mend
    return outcome.text, "Send the document by itself; look whether it is what it should be."


def groups(found: Iterable[ImportedDocument], match: Match) -> list[list[str]]:
    """Names of documents, those of one patient together; of the documents only the patient matters."""
    bare = [replace(one, resources=(), own=frozenset(), not_mapped=()) for one in found]
    return [merged.documents for merged in merge(bare, match)]


def write_all(
    services: Services,
    organization: str,
    read: Sequence[ImportedDocument],
    match: Match,
    audited: Callable[[Connection, str], None] = lambda _, __: None,
) -> list[Json]:
    """Merge documents and write their patients, each in a transaction; what became of each.

    ``audited`` is told of each patient (by id) in the transaction that writes them.
    """
    by_name = {document.name: document for document in read}
    told = []
    for patient in merge(read, match):
        with services.database.write() as connection:
            own = [by_name[name] for name in patient.documents]
            stated = [(one.source, str(one.patient["id"])) for one in own]
            found = _Writing(services, connection, organization, patient, match, stated).write()
            audited(connection, str(found["patient"]).partition("/")[2])
        found["notMapped"] = [
            {"document": name, "path": one.path, "reason": one.reason}
            for name in patient.documents
            for one in by_name[name].not_mapped
        ]
        told.append(found)
    return told


class _Writing:
    """One patient on the way into the store."""

    def __init__(
        self,
        services: Services,
        connection: Connection,
        organization: str,
        merged: MergedPatient,
        match: Match,
        stated: Iterable[tuple[str | None, str]],
    ) -> None:
        """``stated`` are the sources that documents name, each with the patient's id there."""
        self._codes = services.catalog.codes
        self._connection = connection
        self._organization = organization
        self._access = Access(frozenset({organization}))
        self._merged = merged
        self._match = match
        self._notices = list(merged.notices)
        self._there: dict[str, Stored] = {}
        self._stated = [(source, identity) for source, identity in dict.fromkeys(stated) if source]

    def write(self) -> Json:
        """Write the patient and the resources; counts of what was new, changed and there already."""
        given = self._merged.patient
        # Under which id a source knows the patient is kept, so that the next document finds them again.
        numbers = [{"system": source, "value": identity} for source, identity in self._stated]
        told = list(given.get("identifier") or ())
        if numbers:
            given = {**given, "identifier": [*told, *(one for one in numbers if one not in told)]}
        known, identity = self._who(given)
        ids = {f"Patient/{given['id']}": f"Patient/{identity}"}
        patient = {**given, "id": identity}
        if known is not None:
            patient = _with_what_was_there(patient, known.parsed())
        resources = [one for one in self._merged.resources if self._may_be_written(one)]
        self._look_up(("Patient", identity), *((one["resourceType"], one["id"]) for one in resources))
        for one in resources:
            name = f"{one['resourceType']}/{one['id']}"
            free = self._free_id(_relinked(one, ids), identity)
            if free != one["id"]:
                ids[name] = f"{one['resourceType']}/{free}"
                self._notices.append(f"{name}: kept as {ids[name]}; another record has this id")
        self._look_up(*(name.split("/") for name in ids.values()))
        counts: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        for one in (patient, *resources):
            linked = _relinked(one, ids)
            new_name = ids.get(f"{one['resourceType']}/{one['id']}")
            if new_name is not None:
                linked["id"] = new_name.partition("/")[2]
            counts[self._put(linked)] += 1
            kinds[str(one["resourceType"])] += 1
        return {
            "patient": f"Patient/{identity}",
            "documents": self._merged.documents,
            "resources": dict(kinds),
            "created": counts["created"],
            "updated": counts["updated"],
            "unchanged": counts["unchanged"],
            "notices": self._notices,
        }

    def _put(self, resource: Json) -> str:
        before = self._there.get(f"{resource['resourceType']}/{resource['id']}")
        written = store.write(self._connection, self._organization, resource)
        if before is None:
            return "created"
        return "unchanged" if written.version == before.version else "updated"

    def _who(self, given: Json) -> tuple[Stored | None, str]:
        """The Patient of the store that this is, if any, and the id to write under."""
        same_id = self._current("Patient", str(given["id"]))
        if same_id is not None and self._may_be(same_id) and _is_same(given, same_id.parsed()):
            return same_id, same_id.id
        for candidate in filter(self._may_be, self._candidates(given)):
            self._notices.append(
                f"Patient/{given['id']}: is {candidate.reference} of the store, with which it shares identity"
            )
            return candidate, candidate.id
        if same_id is None:
            return None, str(given["id"])
        told = [given.get(name) for name in ("identifier", "name", "birthDate", "gender")]
        identity = derived_id("Patient", str(given["id"]), json.dumps(told, sort_keys=True, default=str))
        self._notices.append(
            f"Patient/{given['id']}: kept as Patient/{identity}; another patient of the store has this id"
        )
        return self._current("Patient", identity), identity

    def _may_be(self, candidate: Stored) -> bool:
        """Two ids within one source are two patients, whatever else they share."""
        theirs = _identifiers(candidate.parsed())
        return all(
            (source, identity) in theirs or source not in {system for system, _ in theirs}
            for source, identity in self._stated
        )

    def _candidates(self, given: Json) -> Iterator[Stored]:
        """Patients of the store who share an identifier or name, birth date and sex, whichever counts."""
        for source, identity in self._stated:
            yield from self._find(Criterion("identifier", None, (f"{source}|{identity}",)))
        if self._match in ("identifiers", "both"):
            for system, value in sorted(_identifiers(given)):
                for found in self._find(Criterion("identifier", None, (f"{system}|{value}",))):
                    if not _differ(given.get("birthDate"), found.parsed().get("birthDate")):
                        yield found
        told = _demographics(given)
        if self._match in ("demographics", "both") and all(told):
            born = Criterion("birthdate", None, (str(given["birthDate"]),))
            sex = Criterion("gender", None, (str(given["gender"]),))
            yield from (found for found in self._find(born, sex) if _demographics(found.parsed()) == told)

    def _find(self, *criteria: Criterion) -> list[Stored]:
        asked = Search("Patient", criteria, count=1000, total=False)
        return search(self._connection, self._access, asked, self._codes).matches

    def _current(self, kind: str, identity: str) -> Stored | None:
        self._look_up((kind, identity))
        return self._there.get(f"{kind}/{identity}")

    def _look_up(self, *names: Sequence[str]) -> None:
        """Remember what the organisation has under types and ids."""
        asked = [(name[0], name[1]) for name in names]
        for found in store.of_references(self._connection, self._access, asked):
            if found.organization == self._organization:
                self._there[found.reference] = found

    def _may_be_written(self, resource: Json) -> bool:
        kind, identity = resource.get("resourceType"), resource.get("id")
        if kind in _TAKEN and kind != "Patient" and store.valid_id(identity):
            return True
        self._notices.append(f"{kind}/{identity}: not written; it is no record of a patient")
        return False

    def _free_id(self, resource: Json, patient: str) -> str:
        """The resource's id, or another one where somebody else's record has it."""
        kind, identity = str(resource["resourceType"]), str(resource["id"])
        there = self._there.get(f"{kind}/{identity}")
        if there is None:
            return identity
        theirs = decode_head(to_json(resource)).compartment()
        if there.patient == theirs and (theirs is not None or _is_equal(there.parsed(), resource)):
            return identity
        return derived_id(patient, kind, identity)


def _relinked(node: Any, ids: Mapping[str, str]) -> Any:
    """A resource with other references in it."""
    if isinstance(node, dict):
        return {
            name: ids.get(value, value)
            if name == "reference" and isinstance(value, str)
            else _relinked(value, ids)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [_relinked(one, ids) for one in node]
    return node


def _with_what_was_there(patient: Json, known: Json) -> Json:
    """A Patient as the documents have it, with what else the store has of them."""
    whole = {**known, **patient}
    whole["meta"] = {**known.get("meta", {}), **patient.get("meta", {})}
    identifiers = list(patient.get("identifier") or ())
    identifiers += [one for one in known.get("identifier") or () if one not in identifiers]
    urls = {one.get("url") for one in patient.get("extension") or ()}
    extensions = list(patient.get("extension") or ())
    extensions += [one for one in known.get("extension") or () if one.get("url") not in urls]
    whole |= {"identifier": identifiers} if identifiers else {}
    return whole | ({"extension": extensions} if extensions else {})


def _is_same(given: Json, known: Json) -> bool:
    """Whether two Patients of one id are one person: nothing speaks against it and something for it."""
    if _differ(given.get("birthDate"), known.get("birthDate")):
        return False
    if _identifiers(given) & _identifiers(known):
        return True
    ours, theirs = _family(given), _family(known)
    if ours and theirs:
        return ours == theirs
    # With neither names nor numbers to compare, the id is what there is.
    return not (_identifiers(given) and _identifiers(known))


def _identifiers(patient: Json) -> set[tuple[str, str]]:
    told = patient.get("identifier") or ()
    return {(str(one["system"]), str(one["value"])) for one in told if one.get("system") and one.get("value")}


def _family(patient: Json) -> str:
    return str((patient.get("name") or [{}])[0].get("family") or "").casefold().strip()


def _demographics(patient: Json) -> tuple[str, ...]:
    name = (patient.get("name") or [{}])[0]
    told = (
        name.get("family"),
        " ".join(name.get("given") or ()),
        patient.get("birthDate"),
        patient.get("gender"),
    )
    return tuple(str(one or "").casefold().strip() for one in told)


def _differ(one: Any, other: Any) -> bool:
    return bool(one and other and one != other)


def _is_equal(known: Json, new: Json) -> bool:
    def bare(resource: Json) -> Json:
        return {name: value for name, value in resource.items() if name != "meta"}

    return json.dumps(bare(known), sort_keys=True, default=str) == json.dumps(
        bare(new), sort_keys=True, default=str
    )
