"""FHIR elements that no QRDA template has a place for, each as an observation of its own within the entry.

CDA templates are open: an entry may hold observations that its templates do not name, and a reader that
does not know them passes them over (QRDA I, STU 5.3, 1.8.4 "Open and closed templates"). The observation's
code is the element's path in the resource, in the code system ``http://hl7.org/fhir/R4``; its value is the
element's. A null flavour says that the resource has not the element that its template would let a reader
suppose.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from lxml import etree

from measurewise.qrda.category1.cda import TYPE, add, child, find_all, insert, local, qualified
from measurewise.qrda.category1.code_systems import code_system_uid
from measurewise.qrda.category1.data_types import (
    is_xml_text,
    read_coding,
    read_concept,
    read_number,
    to_ts,
    write_coding,
    write_concept,
)
from measurewise.qrda.category1.paths import put, remove, tokens

FHIR: Final = "http://hl7.org/fhir/R4"
ELEMENTS: Final = code_system_uid(FHIR)[0]
ABSENT: Final = object()
_NATIVE: Final = ("resourceType", "text")


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of the elements that the templates have no place for: paths in the resource."""

    as_elements: tuple[str, ...]
    lost: tuple[str, ...]


def missing(original: Any, back: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Where a resource differs from what an entry reads back as: path and value, or ABSENT."""
    if isinstance(original, Mapping) and isinstance(back, Mapping):
        for name, value in original.items():
            place = f"{path}.{name}" if path else name
            if name in back:
                yield from missing(value, back[name], place)
            else:
                yield place, value
        for name in back:
            if name not in original:
                yield (f"{path}.{name}" if path else name), ABSENT
    elif isinstance(original, list) and isinstance(back, list):
        for place, value in enumerate(original):
            if place < len(back):
                yield from missing(value, back[place], f"{path}[{place}]")
            else:
                yield f"{path}[{place}]", value
        # From the last to the first, so that taking one away moves none of the others.
        for place in range(len(back) - 1, len(original) - 1, -1):
            yield f"{path}[{place}]", ABSENT
    elif not _same(original, back):
        yield path, original


def write_elements(act: etree._Element, differences: list[tuple[str, Any]], *, allowed: bool) -> Carried:
    """Add an observation for each difference; ``allowed=False`` adds none and counts them as lost."""
    kept: list[str] = []
    lost: list[str] = []
    for path, value in differences:
        if path.partition(".")[0] in _NATIVE:
            # The narrative repeats what the elements say; it is not data.
            lost.append(path)
        elif not allowed:
            if value is not ABSENT:
                lost.append(path)
        else:
            _write(act, path, value, kept, lost)
    return Carried(tuple(kept), tuple(lost))


def is_element(observation: etree._Element) -> bool:
    """Whether an observation is such an element."""
    code = child(observation, "code")
    return code is not None and code.get("codeSystem") == ELEMENTS


def read_elements(
    act: etree._Element, resource: dict[str, Any]
) -> Iterator[tuple[etree._Element, str | None]]:
    """Set the elements that an entry states, in its order: each observation, with what is wrong with it."""
    place = "component/observation" if local(act) == "organizer" else "entryRelationship/observation"
    for observation in find_all(act, place):
        if not is_element(observation):
            continue
        code, value = child(observation, "code"), child(observation, "value")
        path = "" if code is None else code.get("code", "")
        if value is None or path.partition(".")[0] in ("", *_NATIVE):
            yield observation, "a FHIR element without path or value"
            continue
        try:
            if value.get("nullFlavor"):
                remove(resource, path)
            else:
                put(resource, path, _read(value))
        except (ValueError, TypeError, InvalidOperation):
            yield observation, "a FHIR element whose path or value does not fit"
            continue
        yield observation, None


def _write(act: etree._Element, path: str, value: Any, kept: list[str], lost: list[str]) -> None:
    if not _is_path(path):
        lost.append(path)
        return
    if value is ABSENT:
        _observation(act, path, "CD").set("nullFlavor", "NA")
        return
    if _is_concept(value) or _is_coding(value):
        concept = _is_concept(value)
        made = _observation(act, path, "CD" if concept else "CV")
        if concept:
            write_concept(made, value, {})
        else:
            write_coding(made, value)
        back = read_concept(made) if concept else read_coding(made)
        if back is not None:
            kept.append(path)
            for place, part in missing(value, back, path):
                _write(act, place, part, kept, lost)
            return
        _remove(made)
    if isinstance(value, Mapping) and value:
        for name, part in value.items():
            _write(act, f"{path}.{name}", part, kept, lost)
    elif isinstance(value, list) and value:
        for position, part in enumerate(value):
            _write(act, f"{path}[{position}]", part, kept, lost)
    elif isinstance(value, bool):
        _observation(act, path, "BL").set("value", "true" if value else "false")
        kept.append(path)
    elif isinstance(value, int):
        _observation(act, path, "INT").set("value", str(value))
        kept.append(path)
    elif isinstance(value, Decimal | float):
        _observation(act, path, "REAL").set("value", format(Decimal(str(value)), "f"))
        kept.append(path)
    elif isinstance(value, str) and value and is_xml_text(value) and "\r" not in value:
        _observation(act, path, "ST").text = value
        kept.append(path)
    else:
        lost.append(path)


def _observation(act: etree._Element, path: str, kind: str) -> etree._Element:
    if local(act) == "organizer":
        holder = insert(act, etree.Element(qualified("component")))
    else:
        holder = insert(act, etree.Element(qualified("entryRelationship"), typeCode="COMP"))
    observation = add(holder, "observation", classCode="OBS", moodCode="EVN")
    add(observation, "code", code=path, codeSystem=ELEMENTS, codeSystemName=FHIR)
    return add(observation, "value", None, **{TYPE: kind})


def _remove(value: etree._Element) -> None:
    observation = value.getparent()
    holder = observation.getparent() if observation is not None else None
    act = holder.getparent() if holder is not None else None
    if act is not None and holder is not None:
        act.remove(holder)


def _read(value: etree._Element) -> Any:
    kind = value.get(TYPE, "").rpartition(":")[2]
    if kind == "CD":
        return read_concept(value)
    if kind == "CV":
        return read_coding(value)
    if kind == "BL":
        return value.get("value") == "true"
    if kind == "INT":
        return int(value.get("value", "")[:20])
    if kind == "REAL":
        number = read_number(value)
        if number is None:
            raise ValueError("no number")
        return number
    return value.text or ""


def _is_path(path: str) -> bool:
    try:
        return bool(tokens(path)) and path.isascii()
    except ValueError:
        return False


def _is_concept(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("coding"), list) and bool(value["coding"])


def _is_coding(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("code"), str)
        and isinstance(value.get("system"), str)
        and not value.keys() - {"system", "version", "code", "display", "userSelected", "id", "extension"}
    )


def _same(original: Any, back: Any) -> bool:
    if isinstance(original, bool) or isinstance(back, bool):
        return original is back
    if isinstance(original, str) and isinstance(back, str):
        if original == back:
            return True
        # Z and +00:00 are one offset.
        stamp = to_ts(original)
        return stamp is not None and len(stamp) > 8 and stamp == to_ts(back)
    return bool(original == back) and isinstance(original, str) == isinstance(back, str)
