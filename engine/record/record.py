"""One patient's resources, as they came, found by type.

The resources stay parsed JSON. Nothing is validated and nothing is dropped: what cannot be used is listed in
``issues``. Two things are made explicit, on copies, so that logic which joins by id finds its partners:
contained resources become resources of their own, and references inside the bundle by ``urn:uuid`` become
``Type/id``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from measurewise.engine.errors import RecordError

Resource = dict[str, Any]


class Record:
    """The resources of one patient.

    ``patient`` is the Patient; ``by_type`` the resources of each type in the order they came (the Patient
    included); ``issues`` sentences about what is not FHIR: entries that could not be used and, once the
    record was evaluated, elements that the logic stumbled over.
    """

    __slots__ = ("by_type", "issues", "patient")

    def __init__(self, resources: Iterable[Any], *, where: str = "") -> None:
        """Raises RecordError when there is no Patient, or more than one."""
        by_type: dict[str, list[Resource]] = {}
        self.issues: list[str] = []
        contained = False
        for resource in resources:
            try:
                kind = resource["resourceType"]
                if "contained" in resource:
                    contained = True
                by_type[kind].append(resource)
            except KeyError:
                kind = resource.get("resourceType")
                if type(kind) is str:
                    by_type[kind] = [resource]
                else:
                    self._enter_odd(resource, by_type)
            except TypeError:
                self._enter_odd(resource, by_type)
        patients = by_type.get("Patient")
        if patients is None:
            raise RecordError(
                "There is no Patient among the resources.",
                where=where,
                mend="Add the Patient that the data belongs to.",
            )
        if len(patients) > 1:
            raise RecordError(
                f"There are {len(patients)} Patients among the resources ({_ids(patients)}).",
                where=where,
                mend="Give each patient a bundle (or NDJSON line) of its own.",
            )
        self.patient = patients[0]
        self.by_type = by_type
        if contained:
            self._lift_contained()

    def _enter_odd(self, resource: Any, by_type: dict[str, list[Resource]]) -> None:
        """Put what is not quite a resource among the others, if it is one at all."""
        if not isinstance(resource, dict):
            self.issues.append("An entry is not a JSON object and is left out.")
            return
        kind = resource.get("resourceType")
        if type(kind) is list and len(kind) == 1 and type(kind[0]) is str:
            self.issues.append(f"The resourceType {kind[0]} is a list; its only entry is read.")
            by_type.setdefault(kind[0], []).append({**resource, "resourceType": kind[0]})
        elif kind is None:
            self.issues.append("An entry has no resourceType and is left out.")
        else:
            self.issues.append("An entry's resourceType is not a string; the entry is left out.")

    @property
    def subject(self) -> str:
        """The reference to the patient, as results and reports name it.

        A Patient need not have an id (FHIR R4, Resource.id), and a report must name its subject: such a
        patient gets a placeholder made from the whole record, which is the same wherever and whenever the
        record is read, and an issue says so.
        """
        identity = self.patient.get("id")
        return f"Patient/{identity}" if type(identity) is str and identity else self._placeholder(identity)

    def _placeholder(self, identity: Any) -> str:
        if type(identity) is int:
            sentence = "The id of the Patient is a number where a string belongs; it is read as one."
            subject = f"Patient/{identity}"
        else:
            record = msgspec.json.encode(self.by_type, enc_hook=str, order="deterministic")
            subject = f"Patient/without-id-{hashlib.blake2b(record, digest_size=8).hexdigest()}"
            sentence = f"The Patient has no id; results name it {subject}."
        self.remark(sentence)
        return subject

    def remark(self, *sentences: str) -> None:
        """Put sentences among the issues, each once."""
        self.issues += [sentence for sentence in sentences if sentence not in self.issues]

    def with_resources(self, by_type: dict[str, list[Resource]]) -> Record:
        """The same patient with other copies of the same resources; the issues stay with this record."""
        copy = object.__new__(Record)
        copy.by_type = by_type
        copy.issues = []
        copy.patient = by_type["Patient"][0]
        return copy

    def resources(self) -> list[Resource]:
        """All resources, by type."""
        return [r for rs in self.by_type.values() for r in rs]

    def find(self, reference: str) -> Resource | None:
        """The resource that a relative or absolute reference means (``Type/id``, any base, any version)."""
        parts = reference.split("/_history/")[0].split("/")
        if len(parts) < 2:
            return None
        kind, identifier = parts[-2], parts[-1]
        for resource in self.by_type.get(kind, ()):
            if resource.get("id") == identifier:
                return resource
        return None

    def _lift_contained(self) -> None:
        """Make contained resources findable as ``<container id>#<id>`` and point their container there."""
        lifted: dict[str, list[Resource]] = {}
        for kind, resources in self.by_type.items():
            for index, resource in enumerate(resources):
                inner = resource.get("contained")
                if not inner:
                    continue
                identity = resource.get("id")
                if isinstance(inner, dict):
                    inner = [inner]
                    self.issues.append(f"{kind}/{identity}: contained is an object where a list belongs.")
                elif not isinstance(inner, list):
                    self.issues.append(f"{kind}/{identity}: contained is no list and is left out.")
                    continue
                names: dict[str, str] = {}
                container = f"without-id-{kind}-{index}" if identity is None else identity
                for child in inner:
                    if not isinstance(child, dict) or type(child.get("resourceType")) is not str:
                        self.issues.append(f"{kind}/{identity} contains an entry with no resourceType.")
                        continue
                    local = str(child.get("id", "")).lstrip("#")
                    name = f"{container}#{local}"
                    names["#" + local] = f"{child['resourceType']}/{name}"
                    if child["resourceType"] != "Patient":
                        lifted.setdefault(child["resourceType"], []).append({**child, "id": name})
                copy = _repointed({k: v for k, v in resource.items() if k != "contained"}, names)
                copy["contained"] = inner
                resources[index] = copy
        for kind, found in lifted.items():
            self.by_type.setdefault(kind, []).extend(found)


def _repointed(resource: Resource, names: dict[str, str]) -> Resource:
    """A copy of a resource whose references go by other names."""
    try:
        copy: Resource = _copied(resource, names)
    except RecursionError:
        raise RecordError("A resource is nested too deeply to be read.") from None
    return copy


def _copied(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            k: names.get(v, v) if k == "reference" and isinstance(v, str) else _copied(v, names)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_copied(v, names) for v in value]
    return value


def _ids(resources: list[Resource]) -> str:
    return ", ".join(str(r.get("id", "without an id")) for r in resources[:3])


def record_of_bundle(bundle: Any, *, where: str = "") -> Record:
    """The record of a FHIR Bundle: the resources of its entries, references by ``urn:uuid`` made
    ``Type/id``."""
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        kind = bundle.get("resourceType") if isinstance(bundle, dict) else type(bundle).__name__
        raise RecordError(f"It is a {kind}, not a Bundle.", where=where, mend="Give a FHIR Bundle.")
    entries = bundle.get("entry") or []
    issues: list[str] = []
    if type(entries) is dict:
        issues.append(
            "The entry of the Bundle is an object where a list belongs; it is read as a list of one."
        )
        entries = [entries]
    elif type(entries) is not list:
        raise RecordError("The entry of the Bundle is no list.", where=where, mend="Give a FHIR Bundle.")
    resources = []
    for entry in entries:
        resource = entry.get("resource") if type(entry) is dict else entry
        if type(resource) is dict:
            resources.append(resource)
        elif resource is not None or entry is None:
            issues.append("An entry is not a JSON object and is left out.")
    names: dict[str, str] = {}
    for entry in entries:
        url = entry.get("fullUrl") if type(entry) is dict else None
        if type(url) is str and url.startswith("urn:"):
            resource = entry.get("resource")
            if type(resource) is dict:
                identifier = resource.get("id") or url.rsplit(":", 1)[-1]
                if resource.get("id") is None:
                    resource["id"] = identifier
                names[url] = f"{resource.get('resourceType')}/{identifier}"
    if names:
        resources = [_repointed(r, names) for r in resources]
    record = Record(resources, where=where)
    if issues:
        record.issues[:0] = issues
    return record
