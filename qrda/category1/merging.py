"""Documents of one patient, from one system or several, merged into one record.

Who is the same patient is told by identifiers (system and value), or by name, birth date and sex. Two
documents that state different FHIR ids of one source are never the same patient, whatever else they share;
nor are those whose identifiers agree and whose birth dates do not.

An entry that comes twice (the same FHIR id of one source, or the same CDA id) is taken once: as the later
document has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from measurewise.qrda.category1.cda import derived_id
from measurewise.qrda.category1.paths import leaves, put
from measurewise.qrda.category1.reading import ImportedDocument

Match: TypeAlias = Literal["identifiers", "demographics", "both", "none"]


@dataclass(slots=True)
class MergedPatient:
    """One patient's Patient and other resources; the documents they came of; what was decided in merging."""

    patient: dict[str, Any]
    resources: list[dict[str, Any]] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def merge(documents: Iterable[ImportedDocument], match: Match = "both") -> list[MergedPatient]:
    """Merge documents into patients, in the order in which each patient first comes.

    ``match``: ``identifiers``, ``demographics`` (name, birth date and sex), ``both`` (either will do), or
    ``none`` (only documents that state the same FHIR id of the same source are one patient's).
    """
    groups: list[list[ImportedDocument]] = []
    apart: dict[int, list[str]] = {}
    by_key: dict[tuple[str, ...], list[int]] = {}
    for document in documents:
        keys = _keys(document, match)
        near = list(dict.fromkeys(place for key in keys for place in by_key.get(key, ())))
        place = next((one for one in near if _may_join(groups[one], document)), None)
        if place is None:
            place = len(groups)
            groups.append([])
            if near:
                apart[place] = [
                    f"{document.name}: kept apart from {groups[one][0].name}, with which it shares identity, "
                    "because birth date or source id differ"
                    for one in near
                ]
        groups[place].append(document)
        for key in keys:
            places = by_key.setdefault(key, [])
            if place not in places:
                places.append(place)
    taken: set[str] = set()
    merged = []
    for place, group in enumerate(groups):
        one = _merged(group, taken)
        one.notices += apart.get(place, ())
        taken.add(str(one.patient["id"]))
        merged.append(one)
    return merged


def _keys(document: ImportedDocument, match: Match) -> list[tuple[str, ...]]:
    patient = document.patient
    keys: list[tuple[str, ...]] = []
    if document.source is not None:
        keys.append(("source", document.source, str(patient["id"])))
    if match in ("identifiers", "both"):
        keys += (
            ("identifier", str(one.get("system")), str(one.get("value")))
            for one in patient.get("identifier") or ()
        )
    name = (patient.get("name") or [{}])[0]
    told = (
        name.get("family"),
        " ".join(name.get("given") or ()),
        patient.get("birthDate"),
        patient.get("gender"),
    )
    if match in ("demographics", "both") and all(told):
        keys.append(("demographics", *(str(one).casefold().strip() for one in told)))
    if not keys:
        keys.append(("document", document.name))
    return keys


def _may_join(group: Sequence[ImportedDocument], document: ImportedDocument) -> bool:
    for other in group:
        if other.source is not None and other.source == document.source:
            if other.patient["id"] != document.patient["id"]:
                return False
        elif _differ(other.patient.get("birthDate"), document.patient.get("birthDate")):
            return False
    return True


def _differ(one: Any, other: Any) -> bool:
    return bool(one and other and one != other)


def _merged(group: Sequence[ImportedDocument], taken: set[str]) -> MergedPatient:
    # The earliest first, so that what is later stands.
    ordered = sorted(group, key=lambda document: document.created)
    latest = ordered[-1]
    patient = deepcopy(latest.patient)
    for document in ordered:
        for one in document.patient.get("identifier") or ():
            if one not in patient.setdefault("identifier", []):
                patient["identifier"].append(one)
        for name, value in document.patient.items():
            patient.setdefault(name, deepcopy(value))
    if patient["id"] in taken:
        patient["id"] = derived_id(str(patient["id"]), *(document.name for document in group))
    merged = MergedPatient(patient, documents=[document.name for document in group])
    if len({json.dumps(one.patient, sort_keys=True, default=str) for one in group}) > 1:
        merged.notices.append(f"patient {patient['id']}: the Patient is as {latest.name} has it")
    entries: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for document in ordered:
        _add(document, f"Patient/{patient['id']}", entries, merged.notices)
    used: set[tuple[str, str]] = set()
    renamed: list[tuple[list[dict[str, Any]], str, str]] = []
    for (source, kind, identity), resources in entries.items():
        if (kind, identity) in used:
            renamed.append((resources, source, identity))
        used.add((kind, identity))
    for resources, source, identity in renamed:
        _rename(resources, source, identity, entries)
    merged.resources = [one for resources in entries.values() for one in resources]
    return merged


def _add(
    document: ImportedDocument,
    patient: str,
    entries: dict[tuple[str, str, str], list[dict[str, Any]]],
    notices: list[str],
) -> None:
    own: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    before = f"Patient/{document.patient['id']}"
    for position, resource in enumerate(document.resources):
        source = document.source or "" if position in document.own else "entry"
        key = (source, str(resource["resourceType"]), str(resource.get("id")))
        copied = deepcopy(resource)
        if before != patient:
            _refer(copied, before, patient)
        own.setdefault(key, []).append(copied)
    for key, resources in own.items():
        if key in entries and entries[key] != resources:
            notices.append(
                f"{key[1]}/{key[2]}: as {document.name} has it, the latest of the documents that have it"
            )
        entries[key] = resources


def _rename(
    resources: list[dict[str, Any]],
    source: str,
    identity: str,
    entries: dict[tuple[str, str, str], list[dict[str, Any]]],
) -> None:
    """Give resources whose id another source has taken another id, also where their source refers to them."""
    kind = str(resources[0]["resourceType"])
    anew = derived_id(source, kind, identity)
    for one in resources:
        one["id"] = anew
    for (other, _, _), among in entries.items():
        if other == source:
            for one in among:
                _refer(one, f"{kind}/{identity}", f"{kind}/{anew}")


def _refer(resource: dict[str, Any], before: str, after: str) -> None:
    """Change the references that mean one resource."""
    for path, value in list(leaves(resource)):
        if value == before and path.endswith("reference"):
            put(resource, path, after)
