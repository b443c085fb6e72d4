"""CDA elements: found and made by a short notation of their place, always in the order of the schema.

A place is a path such as ``participant[typeCode=DEV]/participantRole[classCode=MANU]/playingDevice/code``.
What stands in brackets are attributes; ``template=root:extension`` is a templateId. A step is matched by
its attributes and by the template's root whatever its version, and made with all that is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from lxml import etree

CDA: Final = "urn:hl7-org:v3"
SDTC: Final = "urn:hl7-org:sdtc"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
TYPE: Final = f"{{{XSI}}}type"
VALUE_SET: Final = f"{{{SDTC}}}valueSet"

# The order in which POCD_MT000040_SDTC.xsd has the children of acts; one order fits them all.
_NAMES: Final = (
    "realmCode typeId templateId id code derivationExpr text statusCode time effectiveTime "
    "dischargeDispositionCode priorityCode repeatNumber languageCode independentInd quantity "
    "expectedUseTime value interpretationCode methodCode routeCode approachSiteCode targetSiteCode "
    "doseQuantity rateQuantity maxDoseQuantity administrationUnitCode consumable product subject "
    "specimen performer author informant participant entryRelationship component reference "
    "precondition referenceRange inFulfillmentOf1 participantRole assignedAuthor addr telecom "
    "playingDevice playingEntity low high "
)
_ORDER: Final = {name: position for position, name in enumerate(_NAMES.split())}
_SDTC_NAMES: Final = ("dischargeDispositionCode", "inFulfillmentOf1", "actReference")

# What a template fixes besides its own id: children made with it, by the root of the template.
_LOINC: Final = "2.16.840.1.113883.6.1"
_SNOMED: Final = "2.16.840.1.113883.6.96"
_ACT_CODE: Final = "2.16.840.1.113883.5.4"
_Q: Final = "2.16.840.1.113883.10.20.24.3."
_C: Final = "2.16.840.1.113883.10.20.22.4."
_FIXED: Final[dict[str, tuple[tuple[str, dict[str, str]], ...]]] = {
    f"{_Q}88": (
        (
            "code",
            {"code": "77301-0", "codeSystem": _LOINC, "displayName": "Reason care action performed or not"},
        ),
    ),
    f"{_Q}93": (("code", {"code": "33999-4", "codeSystem": _LOINC, "displayName": "Status"}),),
    f"{_Q}112": (
        ("code", {"code": "75323-6", "codeSystem": _LOINC, "displayName": "Condition"}),
        ("code/translation", {"code": "64572001", "codeSystem": _SNOMED, "displayName": "Condition"}),
        ("statusCode", {"code": "completed"}),
    ),
    f"{_Q}135": (
        ("code", {"code": "29308-4", "codeSystem": _LOINC, "displayName": "diagnosis"}),
        ("code/translation", {"code": "282291009", "codeSystem": _SNOMED, "displayName": "diagnosis"}),
        ("statusCode", {"code": "completed"}),
    ),
    f"{_Q}148": (("code", {"code": "ASSERTION", "codeSystem": _ACT_CODE}),),
    f"{_Q}166": (("code", {"code": "263486008", "codeSystem": _SNOMED, "displayName": "Rank"}),),
    f"{_Q}168": (("code", {"code": "29308-4", "codeSystem": _LOINC, "displayName": "Diagnosis"}),),
    f"{_Q}169": (("code", {"code": "78026-2", "codeSystem": _LOINC, "displayName": "Present on admission"}),),
    f"{_Q}87": (("statusCode", {"code": "completed"}),),
    f"{_C}8": (("code", {"code": "SEV", "codeSystem": _ACT_CODE}), ("statusCode", {"code": "completed"})),
    f"{_C}9": (
        ("code", {"code": "ASSERTION", "codeSystem": _ACT_CODE}),
        ("statusCode", {"code": "completed"}),
    ),
}


# Templates within an entry that require an id of their own.
_IDENTIFIED: Final = (f"{_C}9",)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a place."""

    name: str
    attributes: tuple[tuple[str, str], ...]
    templates: tuple[tuple[str, str | None], ...]


@cache
def steps(place: str) -> tuple[Step, ...]:
    """A place read from its notation."""
    return tuple(_step(text) for text in place.split("/")) if place else ()


def qualified(name: str) -> str:
    """An element's name with its name space."""
    return f"{{{SDTC if name in _SDTC_NAMES else CDA}}}{name}"


def local(element: etree._Element) -> str:
    """An element's name without its name space; empty for comments and the like."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def children(element: etree._Element, name: str) -> list[etree._Element]:
    """The children of a name."""
    return element.findall(qualified(name))


def child(element: etree._Element, name: str) -> etree._Element | None:
    """The first child of a name."""
    return element.find(qualified(name))


def has_template(element: etree._Element, root: str) -> bool:
    """Whether an element states a template, whatever the version."""
    return any(one.get("root") == root for one in element if local(one) == "templateId")


def find(element: etree._Element, place: str) -> etree._Element | None:
    """The first element at a place, None where there is none."""
    return next(find_all(element, place), None)


def find_all(element: etree._Element, place: str) -> Iterator[etree._Element]:
    """The elements at a place, in document order."""
    yield from _find(element, steps(place))


def make(element: etree._Element, place: str, *, new: bool = False) -> etree._Element:
    """The element at a place, made with what leads to it where it is missing; ``new``: the last step anew."""
    current = element
    path = steps(place)
    for position, step in enumerate(path):
        found = None if new and position == len(path) - 1 else next(_find(current, (step,)), None)
        current = found if found is not None else _made(current, step)
    return current


def insert(parent: etree._Element, made: etree._Element) -> etree._Element:
    """Put a child where the schema has it."""
    rank = _ORDER.get(local(made), len(_ORDER))
    for position, other in enumerate(parent):
        if _ORDER.get(local(other), len(_ORDER)) > rank:
            parent.insert(position, made)
            return made
    parent.append(made)
    return made


def add(parent: etree._Element, name: str, text: str | None = None, **attributes: str) -> etree._Element:
    """A new last child, with attributes and text."""
    made = etree.SubElement(parent, qualified(name), attributes)
    made.text = text
    return made


def add_templates(element: etree._Element, templates: tuple[tuple[str, str | None], ...]) -> None:
    """State the templates that an element follows."""
    for root, extension in templates:
        stated = etree.Element(f"{{{etree.QName(element).namespace}}}templateId", root=root)
        if extension:
            stated.set("extension", extension)
        insert(element, stated)


def _find(element: etree._Element, path: tuple[Step, ...]) -> Iterator[etree._Element]:
    if not path:
        yield element
        return
    step, *rest = path
    for one in element.iterchildren(qualified(step.name)):
        if all(one.get(name) == value for name, value in step.attributes) and all(
            has_template(one, root) for root, _ in step.templates[-1:]
        ):
            yield from _find(one, tuple(rest))


def _made(parent: etree._Element, step: Step) -> etree._Element:
    made = etree.Element(qualified(step.name), dict(step.attributes))
    insert(parent, made)
    add_templates(made, step.templates)
    for root, _ in step.templates:
        if root in _IDENTIFIED:
            owners = (one.get("root", "") for above in made.iterancestors() for one in children(above, "id"))
            insert(made, etree.Element(qualified("id"), root=derived_id(root, *owners)))
        for place, attributes in _FIXED.get(root, ()):
            leading, _, last = place.rpartition("/")
            holder = make(made, leading)
            insert(holder, etree.Element(qualified(last), attributes))
    return made


def _step(text: str) -> Step:
    name, _, rest = text.partition("[")
    attributes: list[tuple[str, str]] = []
    templates: list[tuple[str, str | None]] = []
    for part in rest.removesuffix("]").split(",") if rest else ():
        key, _, value = part.partition("=")
        if key == "template":
            root, _, extension = value.partition(":")
            templates.append((root, extension or None))
        else:
            attributes.append((key, value))
    return Step(name, tuple(attributes), tuple(templates))


def derived_id(*parts: str) -> str:
    """A UUID that stands for these words and no others."""
    return str(uuid5(NAMESPACE_URL, "|".join(parts)))
