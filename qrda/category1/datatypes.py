"""The QDM datatypes: which template each has in QRDA I, STU 5.3, and where its FHIR elements stand in it.

The table is read both ways. A resource is written by the first datatype of its type that fits it; an entry
is read by the datatype of its template, and of the resource type its FHIR id names if several share the
template.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from measurewise.qrda.category1.slots import C, Q, Slot

QICORE: Final = "http://hl7.org/fhir/us/qicore/StructureDefinition/"


# The statuses of what was done (or, where it is a negation, was not), and of orders that stand.
_ORDERED: Final = ("active", "completed")
_ASSERTED: Final[dict[str, tuple[str, ...]]] = {
    "Encounter": ("finished",),
    "Observation": ("final", "amended", "corrected", "cancelled"),
    "Procedure": ("completed", "not-done"),
    "MedicationRequest": _ORDERED,
    "ServiceRequest": _ORDERED,
    "DeviceRequest": _ORDERED,
    "MedicationAdministration": ("completed", "not-done"),
    "MedicationDispense": ("completed", "declined"),
    "MedicationStatement": ("active", "completed", "intended"),
    "Immunization": ("completed", "not-done"),
    "Communication": ("completed", "not-done"),
    "Task": ("completed", "rejected"),
    "Coverage": ("active",),
}


@dataclass(frozen=True, slots=True)
class Datatype:
    """One QDM datatype.

    ``act`` is the entry's element with its attributes and templates (:mod:`cda`'s notation), ``inner`` the
    place of the element that the datatype itself is where a wrapping act comes first; ``key`` is the root
    of the template by which an entry is recognised. ``status`` is the statusCode that the templates fix
    (None: none). ``defaults`` is what an entry without FHIR elements of its own is read as, besides its
    slots.
    """

    name: str
    resource: str
    act: str
    key: str
    slots: tuple[Slot, ...]
    inner: str = ""
    status: str | None = "completed"
    fixed: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    fits: Callable[[dict[str, Any]], bool] = lambda resource: True
    defaults: dict[str, Any] = field(default_factory=dict)
    patient: str = "subject"


@cache
def all_datatypes() -> tuple[Datatype, ...]:
    """Every datatype, in the order in which resources are offered to them."""
    from measurewise.qrda.category1 import clinical_datatypes, medication_datatypes, order_datatypes

    return (
        *clinical_datatypes.DATATYPES,
        *medication_datatypes.DATATYPES,
        *order_datatypes.DATATYPES,
    )


def datatype_of(resource: dict[str, Any]) -> Datatype | None:
    """The datatype by which a resource is written.

    None where QRDA I has none for its type, and for what a QDM datatype would assert falsely: a refuted
    condition, a cancelled encounter, an observation entered in error.
    """
    kind = resource.get("resourceType")
    if not _is_asserted(resource):
        return None
    return next((one for one in all_datatypes() if one.resource == kind and one.fits(resource)), None)


def _is_asserted(resource: dict[str, Any]) -> bool:
    statuses = _ASSERTED.get(str(resource.get("resourceType")))
    if statuses is not None and resource.get("status") is not None and resource["status"] not in statuses:
        return False
    verified = codes(resource.get("verificationStatus"))
    return not verified or "confirmed" in verified


@cache
def datatypes_by_template() -> dict[str, tuple[Datatype, ...]]:
    """The datatypes by the root of their template."""
    found: dict[str, tuple[Datatype, ...]] = {}
    for one in all_datatypes():
        found[one.key] = (*found.get(one.key, ()), one)
    return found


def template(number: int, extension: str | None = "2021-08-01") -> str:
    """A QRDA I template in the notation of places."""
    return f"template={Q}{number}:{extension}" if extension else f"template={Q}{number}"


def c_cda(number: int, extension: str | None = "2014-06-09") -> str:
    """A C-CDA template in the notation of places."""
    return f"template={C}{number}:{extension}" if extension else f"template={C}{number}"


def profile(*names: str) -> dict[str, Any]:
    """``meta`` with QI-Core profiles."""
    return {"profile": [f"{QICORE}{name}" for name in names]}


def concept(system: str, code: str, display: str | None = None) -> dict[str, Any]:
    """A CodeableConcept of one coding."""
    coding = {"system": system, "code": code}
    return {"coding": [coding | ({"display": display} if display else {})]}


def codes(concepts: Any) -> set[str]:
    """The codes of a list of CodeableConcepts (or of one)."""
    if isinstance(concepts, dict):
        concepts = [concepts]
    listed = (
        (one.get("coding") for one in concepts if isinstance(one, dict)) if isinstance(concepts, list) else ()
    )
    return {
        str(coding.get("code"))
        for codings in listed
        if isinstance(codings, list)
        for coding in codings
        if isinstance(coding, dict)
    }
