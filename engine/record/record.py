"""One patient's resources, as they came, found by type.

The resources stay parsed JSON. Nothing is validated and nothing is dropped: what cannot be used is listed in
``issues``. Two things are made explicit, on copies, so that logic which joins by id finds its partners:
contained resources become resources of their own, and references inside the bundle by ``urn:uuid`` become
``Type/id``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from measurewise.engine.errors import RecordError

Resource = dict[str, Any]


class Record:
    """The resources of one patient.

    ``patient`` is the Patient; ``by_type`` the resources of each type in the order they came (the Patient
    included); ``issues`` sentences about entries that could not be used.
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
                if kind is None:
                    self.issues.append("An entry has no resourceType and is left out.")
                else:
                    by_type[kind] = [resource]
            except TypeError:
                self.issues.append("An entry is not a JSON object and is left out.")
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
                if not isinstance(inner, list) or not inner:
                    continue
                names: dict[str, str] = {}
                for child in inner:
                    if not isinstance(child, dict) or "resourceType" not in child:
                        self.issues.append(
                            f"{kind}/{resource.get('id')} contains an entry with no resourceType."
                        )
                        continue
                    local = str(child.get("id", "")).lstrip("#")
                    name = f"{resource.get('id')}#{local}"
                    names["#" + local] = f"{child['resourceType']}/{name}"
                    if child["resourceType"] != "Patient":
                        lifted.setdefault(child["resourceType"], []).append({**child, "id": name})
                copy = _repointed({k: v for k, v in resource.items() if k != "contained"}, names)
                copy["contained"] = inner
                resources[index] = copy
        for kind, found in lifted.items():
            self.by_type.setdefault(kind, []).extend(found)


def _repointed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            k: names.get(v, v) if k == "reference" and isinstance(v, str) else _repointed(v, names)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [_repointed(v, names) for v in value]
    return value


def _ids(resources: list[Resource]) -> str:
    return ", ".join(str(r.get("id", "without an id")) for r in resources[:3])


def record_of_bundle(bundle: Any, *, where: str = "") -> Record:
    """The record of a FHIR Bundle: the resources of its entries, references by ``urn:uuid`` made
    ``Type/id``."""
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        kind = bundle.get("resourceType") if isinstance(bundle, dict) else type(bundle).__name__
        raise RecordError(f"It is a {kind}, not a Bundle.", where=where, mend="Give a FHIR Bundle.")
    entries = [e for e in bundle.get("entry") or () if isinstance(e, dict)]
    resources = [e["resource"] for e in entries if isinstance(e.get("resource"), dict)]
    names: dict[str, str] = {}
    for entry in entries:
        url, resource = entry.get("fullUrl"), entry.get("resource")
        if isinstance(url, str) and url.startswith("urn:") and isinstance(resource, dict):
            identifier = resource.get("id") or url.rsplit(":", 1)[-1]
            resource.setdefault("id", identifier)
            names[url] = f"{resource.get('resourceType')}/{identifier}"
    if names:
        resources = [_repointed(r, names) for r in resources]
    return Record(resources, where=where)
