"""Slots: where a FHIR element stands in a QRDA entry, written and read by one and the same description."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from lxml import etree

from measurewise.qrda.category1.cda import (
    SDTC,
    TYPE,
    add,
    child,
    derived_id,
    find,
    find_all,
    insert,
    make,
    qualified,
)
from measurewise.qrda.category1.code_systems import code_system_uid
from measurewise.qrda.category1.data_types import (
    is_xml_text,
    read_concept,
    read_period,
    read_quantity,
    read_time,
    read_value,
    to_ts,
    write_concept,
    write_period,
    write_quantity,
    write_value,
)
from measurewise.qrda.category1.paths import get, put

Q: Final = "2.16.840.1.113883.10.20.24.3."
C: Final = "2.16.840.1.113883.10.20.22.4."
REASON: Final = f"observation[classCode=OBS,moodCode=EVN,template={Q}88:2017-08-01]"
RESULT: Final = f"observation[classCode=OBS,moodCode=EVN,template={C}2:2015-08-01,template={Q}87:2019-12-01]"
AUTHOR: Final = f"author[template={Q}155:2019-12-01]"
RESOURCE_ID: Final = code_system_uid("http://hl7.org/fhir/R4/resource")[0]
NOT_DONE: Final = "http://hl7.org/fhir/us/qicore/StructureDefinition/qicore-notDone"


@dataclass(slots=True)
class Writing:
    """What an entry is written with: value set OIDs by (system, code), the record's resources by reference.

    ``filled`` collects what a template requires and the resource has not. ``cms``: CMS's guide is followed.
    """

    value_sets: dict[tuple[str, str], str]
    resources: Mapping[str, dict[str, Any]]
    stamp: str
    cms: bool = False
    filled: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Reading:
    """What an entry is read with; ``used`` are the elements that were understood.

    ``patient`` is the reference to the patient; ``resources`` takes up what an entry tells besides its own
    resource.
    """

    patient: str
    used: set[etree._Element] = field(default_factory=set)
    resources: list[dict[str, Any]] = field(default_factory=list)

    def use(self, *elements: etree._Element | None) -> None:
        """Tell that elements were understood."""
        self.used.update(element for element in elements if element is not None)

    def use_whole(self, *elements: etree._Element | None) -> None:
        """Tell that elements were understood with all that is in them."""
        self.used.update(one for element in elements if element is not None for one in element.iter())


class Slot(Protocol):
    """One element's place."""

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """Write the element if the resource has it."""

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """Set the element if the entry has it."""


@dataclass(frozen=True, slots=True)
class Concept:
    """A CodeableConcept as CD; ``kind`` is the xsi:type where the schema leaves it open.

    ``required``: what the template must have even where the resource has nothing.
    """

    path: str
    place: str
    kind: str | None = None
    required: bool = False

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        concept = get(resource, self.path)
        if not isinstance(concept, Mapping):
            if not self.required:
                return
            concept = {}
        element = make(act, self.place)
        if self.kind:
            element.set(TYPE, self.kind)
        write_concept(element, dict(concept), context.value_sets)
        if not concept:
            context.filled.append(f"{self.path}: the null flavour UNK")

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        element = find(act, self.place)
        if element is None:
            return
        concept = read_concept(element)
        context.use_whole(element)
        if concept:
            put(resource, self.path, concept)


@dataclass(frozen=True, slots=True)
class Coded:
    """A Coding as CD."""

    path: str
    place: str
    kind: str | None = None

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        coding = get(resource, self.path)
        if isinstance(coding, Mapping) and coding.get("code"):
            element = make(act, self.place)
            if self.kind:
                element.set(TYPE, self.kind)
            write_concept(element, {"coding": [dict(coding)]}, {})

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        element = find(act, self.place)
        concept = None if element is None else read_concept(element)
        if concept and concept.get("coding"):
            put(resource, self.path, concept["coding"][0])
            context.use(element)


@dataclass(frozen=True, slots=True)
class Moment:
    """A date or dateTime as TS; ``stamped``: the template requires a value, and gets the document's time."""

    path: str
    place: str
    required: bool = False
    stamped: bool = False

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        stamp = to_ts(get(resource, self.path))
        if stamp:
            make(act, self.place).set("value", stamp)
        elif self.required or self.stamped:
            element = make(act, self.place)
            if self.stamped:
                _stamp(element, self.path, context)
            else:
                element.set("nullFlavor", "UNK")

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        element = find(act, self.place)
        moment = read_time(element)
        context.use(element)
        if moment:
            put(resource, self.path, moment)


@dataclass(frozen=True, slots=True)
class When:
    """A choice of dateTime and Period as effectiveTime.

    ``interval``: the template allows low and high only; ``point``: it allows a value only; ``kind`` is the
    xsi:type where the schema needs one.
    """

    moment: str | None
    period: str | None
    place: str = "effectiveTime"
    interval: bool = False
    point: bool = False
    kind: str | None = None

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        moment = to_ts(get(resource, self.moment)) if self.moment else None
        period = get(resource, self.period) if self.period else None
        element = make(act, self.place, new=True)
        if self.point:
            start = to_ts(period.get("start")) if isinstance(period, Mapping) else None
            if moment or start:
                element.set("value", moment or start or "")
            else:
                _stamp(element, self.moment or "effectiveTime", context)
        elif isinstance(period, Mapping) or self.interval:
            if self.kind:
                element.set(TYPE, self.kind)
            write_period(element, dict(period) if isinstance(period, Mapping) else {})
            if moment and not isinstance(period, Mapping):
                _bounded(element, moment)
        elif moment:
            element.set("value", moment)
        elif self.kind:
            # C-CDA medication templates know no null flavour of the whole time.
            element.set(TYPE, self.kind)
            write_period(element, {})
        else:
            element.set("nullFlavor", "UNK")

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        for element in find_all(act, self.place):
            if element.get(TYPE, "").rpartition(":")[2] in ("PIVL_TS", "EIVL_TS"):
                continue
            context.use_whole(element)
            moment, period = read_time(element), read_period(element)
            if period and self.period:
                put(resource, self.period, period)
            elif moment and self.moment:
                put(resource, self.moment, moment)
            elif moment and self.period:
                put(resource, self.period, {"start": moment, "end": moment})
            elif period and self.moment:
                put(resource, self.moment, period.get("start") or period.get("end"))
            return


@dataclass(frozen=True, slots=True)
class Quantity:
    """A Quantity as PQ."""

    path: str
    place: str
    required: bool = False

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        quantity = get(resource, self.path)
        if isinstance(quantity, Mapping):
            write_quantity(make(act, self.place), dict(quantity))
        elif self.required:
            make(act, self.place).set("nullFlavor", "UNK")

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        element = find(act, self.place)
        context.use(element)
        quantity = read_quantity(element)
        if quantity:
            put(resource, self.path, quantity)


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer as INT or as the value of a quantity without unit; ``offset``: CDA's number less FHIR's."""

    path: str
    place: str
    kind: str | None = None
    offset: int = 0

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        number = get(resource, self.path)
        if isinstance(number, int) and not isinstance(number, bool):
            element = make(act, self.place)
            if self.kind:
                element.set(TYPE, self.kind)
            element.set("value", str(number + self.offset))

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        element = find(act, self.place)
        text = "" if element is None else element.get("value", "")
        context.use(element)
        if text.isdecimal() and len(text) < 10:
            put(resource, self.path, int(text) - self.offset)


@dataclass(frozen=True, slots=True)
class Value:
    """``value[x]`` as a value with xsi:type, in a Result observation (``within``) or in the act itself.

    ``null``: the template requires a value without content beside it; ``required``: it requires a value, and
    be it a null flavour; ``parent`` is the path of what has the choice, where that is not the resource. The
    Result's own code is that of the act, its time the moment at which the result was issued.
    """

    path: str = "value"
    within: str | None = None
    null: bool = False
    parent: str = ""
    required: bool = False

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        owner = get(resource, self.parent) if self.parent else resource
        names = owner if isinstance(owner, Mapping) else {}
        name = next(
            (one for one in names if one.startswith(self.path) and one[len(self.path) :][:1].isupper()), None
        )
        if self.null or (self.required and name is None):
            insert(
                act,
                etree.Element(qualified("value"), {TYPE: "CD", "nullFlavor": "NA" if self.null else "UNK"}),
            )
        if name is None:
            return
        holder = act
        if self.within:
            holder = make(act, f"{self.within}")
            add_id(holder, "result", *(one.get("root", "") for one in act.findall(qualified("id"))))
            write_concept(make(holder, "code"), resource.get("code") or {}, {})
            stamp = to_ts(resource.get("issued"))
            make(holder, "effectiveTime").set(*(("value", stamp) if stamp else ("nullFlavor", "UNK")))
        if not write_value(holder, name[len(self.path) :], names[name], context.value_sets):
            insert(holder, etree.Element(qualified("value"), {TYPE: "CD", "nullFlavor": "OTH"}))

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        for place in (f"{self.within}/value" if self.within else None, "value"):
            element = find(act, place) if place else None
            if element is None:
                continue
            context.use_whole(element)
            holder = element.getparent()
            in_result = holder is not None and holder is not act
            if holder is not None and in_result:
                context.use(holder.getparent(), holder)
                context.use_whole(*(child(holder, name) for name in ("code", "statusCode", "effectiveTime")))
            read = read_value(element)
            if read is None:
                continue
            if holder is not None and in_result:
                issued = read_time(child(holder, "effectiveTime"))
                if issued and len(issued) > 10 and issued[-6] in "+-":
                    resource["issued"] = issued
            put(
                resource,
                f"{self.parent}.{self.path}{read[0]}" if self.parent else self.path + read[0],
                read[1],
            )
            return


@dataclass(frozen=True, slots=True)
class Reason:
    """A CodeableConcept as the value of a Reason observation (2.16.840.1.113883.10.20.24.3.88).

    ``negated`` says for which acts, None for all; those negated need a reason, if only a null flavour.
    """

    path: str
    negated: bool | None = None
    link: str = "RSON"
    required: bool = False

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        is_negated = act.get("negationInd") == "true"
        if self.negated is not None and is_negated is not self.negated:
            return
        Concept(
            self.path,
            f"entryRelationship[typeCode={self.link}]/{REASON}/value",
            "CD",
            required=self.required or (is_negated and self.link == "RSON"),
        ).write(act, resource, context)

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        if self.negated is not None and (act.get("negationInd") == "true") is not self.negated:
            return
        observation = find(act, f"entryRelationship[typeCode={self.link}]/{REASON}")
        if observation is not None:
            context.use(observation.getparent(), observation, child(observation, "code"))
            Concept(self.path, "value").read(observation, resource, context)


@dataclass(frozen=True, slots=True)
class Negation:
    """What in the resource says that it was not done, as negationInd; ``negated`` is what then stands where.

    ``always``: the template requires the attribute.
    """

    is_negated: Callable[[dict[str, Any]], bool]
    negated: dict[str, Any]
    always: bool = False

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        if self.is_negated(resource):
            act.set("negationInd", "true")
        elif self.always:
            act.set("negationInd", "false")

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        if act.get("negationInd") == "true":
            for path, value in self.negated.items():
                put(resource, path, deepcopy(value))


@dataclass(frozen=True, slots=True)
class Author:
    """The time at which something was written down, as the author's (2.16.840.1.113883.10.20.24.3.155)."""

    path: str
    within: str = ""
    required: bool = False

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        if get(resource, self.path) is None and not self.required:
            return
        place = f"{self.within}/{AUTHOR}" if self.within else AUTHOR
        author = make(act, place)
        Moment(self.path, "time", stamped=True).write(author, resource, context)
        make(author, "assignedAuthor/id").set("nullFlavor", "NA")

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        place = f"{self.within}/author" if self.within else "author"
        author = find(act, place)
        if author is not None:
            context.use(author)
            Moment(self.path, "time").read(author, resource, context)


@dataclass(frozen=True, slots=True)
class Each:
    """A list, an element for each of its members; ``also`` are places that others write them to."""

    path: str
    place: str
    slots: tuple[Slot, ...]
    id_of: str = ""
    also: tuple[str, ...] = ()

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        items = get(resource, self.path)
        leading, _, last = self.place.partition("/")
        for position, item in enumerate(items if isinstance(items, list) else ()):
            if not isinstance(item, dict):
                continue
            holder = make(act, leading, new=True)
            element = make(holder, last) if last else holder
            if self.id_of:
                roots = [one.get("root", "") for one in act.findall(qualified("id"))]
                add_id(element, self.id_of, *roots, str(position))
            for slot in self.slots:
                slot.write(element, item, context)

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        items = []
        for element in (one for place in (self.place, *self.also) for one in find_all(act, place)):
            item: dict[str, Any] = {}
            for slot in self.slots:
                slot.read(element, item, context)
            if item:
                items.append(item)
                context.use(
                    element, *element.findall(qualified("id")), *element.findall(qualified("code"))[:1]
                )
                if "/" in self.place:
                    context.use(element.getparent())
        if items:
            put(resource, self.path, items)


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often a dose is taken, as PIVL_TS: ``timing.repeat`` with once in a period."""

    path: str
    place: str

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        repeat = get(resource, self.path)
        if not isinstance(repeat, Mapping) or repeat.get("frequency", 1) != 1 or not repeat.get("periodUnit"):
            return
        element = make(act, self.place, new=True)
        element.set(TYPE, "PIVL_TS")
        element.set("institutionSpecified", "true")
        element.set("operator", "A")
        quantity = {"value": repeat.get("period"), "code": repeat["periodUnit"]}
        write_quantity(add(element, "period"), quantity)

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        for element in find_all(act, self.place):
            period = child(element, "period")
            quantity = read_quantity(period)
            if element.get(TYPE, "").rpartition(":")[2] == "PIVL_TS" and quantity and quantity.get("code"):
                context.use_whole(element)
                put(resource, f"{self.path}.frequency", 1)
                put(resource, f"{self.path}.period", quantity["value"])
                put(resource, f"{self.path}.periodUnit", quantity["code"])
                return


@dataclass(frozen=True, slots=True)
class RelatedTo:
    """References to other entries, as sdtc:inFulfillmentOf1 (2.16.840.1.113883.10.20.24.3.150)."""

    path: str

    def write(self, act: etree._Element, resource: dict[str, Any], context: Writing) -> None:
        """See Slot."""
        references = get(resource, self.path)
        for reference in references if isinstance(references, list) else ():
            text = reference.get("reference") if isinstance(reference, dict) else None
            if not isinstance(text, str) or not text or not is_xml_text(text):
                continue
            fulfilled = etree.SubElement(act, f"{{{SDTC}}}inFulfillmentOf1", typeCode="FLFS")
            etree.SubElement(fulfilled, f"{{{SDTC}}}templateId", root=f"{Q}150", extension="2017-08-01")
            related = etree.SubElement(fulfilled, f"{{{SDTC}}}actReference", classCode="ACT", moodCode="RQO")
            etree.SubElement(related, f"{{{SDTC}}}id", root=RESOURCE_ID, extension=text)

    def read(self, act: etree._Element, resource: dict[str, Any], context: Reading) -> None:
        """See Slot."""
        references = []
        for related in find_all(act, "inFulfillmentOf1/actReference"):
            one = related.find(f"{{{SDTC}}}id")
            if one is not None and one.get("root") == RESOURCE_ID and one.get("extension"):
                references.append({"reference": one.get("extension")})
                context.use(related.getparent(), related, one)
        if references:
            put(resource, self.path, references)


def add_id(element: etree._Element, *parts: str) -> None:
    """An id that is always the same for the same words."""
    insert(element, etree.Element(qualified("id"), root=derived_id(*parts)))


def _stamp(element: etree._Element, path: str, context: Writing) -> None:
    """Put the document's time where a template requires one; CMS's guide allows no null flavour beside it."""
    element.set("value", context.stamp)
    if not context.cms:
        element.set("nullFlavor", "UNK")
    context.filled.append(f"{path}: the document's time")


def _bounded(element: etree._Element, moment: str) -> None:
    low = child(element, "low")
    if low is not None:
        low.attrib.clear()
        low.set("value", moment)
