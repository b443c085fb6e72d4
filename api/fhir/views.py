"""How much of a resource is shown: ``_summary`` and ``_elements`` (FHIR R4, 3.1.1.5.8 and 3.1.1.5.9).

Which elements are mandatory or belong to a summary is told by fhir.resources (its R4B, as it has no R4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

from measurewise.api.fhir.outcomes import RequestError
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store.resources import parse

SUMMARIES: Final = ("true", "text", "data", "count", "false")
_ALWAYS: Final = frozenset({"resourceType", "id", "meta", "implicitRules", "modifierExtension"})
_SUBSETTED: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED",
}  # fmt: skip


class _Elements(NamedTuple):
    """Element names of a type: all, the mandatory, those of a summary; choices (``value``) with theirs."""

    names: frozenset[str]
    mandatory: frozenset[str]
    summary: frozenset[str]
    choices: dict[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class View:
    """``summary`` is ``true``, ``text``, ``data`` or None; ``elements`` those asked for, None for all."""

    summary: str | None = None
    elements: frozenset[str] | None = None

    @classmethod
    def parse(cls, resource_type: str, summary: str | None, elements: str | None) -> View:
        """From the parameters' values. Raises RequestError for what cannot be honoured."""
        if summary is not None and summary not in SUMMARIES:
            raise RequestError(
                f"_summary is '{summary}'.", where="_summary", mend=f"Write one of {', '.join(SUMMARIES)}."
            )
        if summary in ("false", "count"):
            summary = None
        if summary is not None and elements is not None:
            raise RequestError(
                "_summary and _elements say different things.", where="_elements", mend="Send one of them."
            )
        if summary == "true" and _elements(resource_type) is None:
            raise RequestError(
                f"the summary of a {resource_type} is not known here.", code="not-supported",
                where="_summary", mend="Name the elements with _elements.",
            )  # fmt: skip
        return cls(summary, None if elements is None else _named(resource_type, elements.split(",")))

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.summary is None and self.elements is None

    def of(self, body: bytes) -> bytes:
        """A resource's JSON as far as it is shown, tagged as a subset where it is one."""
        if self.whole:
            return body
        resource: dict[str, Any] = parse(body)
        known = _elements(str(resource["resourceType"]))
        mandatory = known.mandatory if known is not None else frozenset()
        if self.summary == "data":
            kept = {name: value for name, value in resource.items() if name not in ("text", "_text")}
        else:
            chosen = _ALWAYS | mandatory | self._chosen(known)
            kept = {name: value for name, value in resource.items() if name.lstrip("_") in chosen}
        meta = dict(resource.get("meta") or {})
        kept["meta"] = {**meta, "tag": [*(meta.get("tag") or ()), _SUBSETTED]}
        return to_json(kept)

    def _chosen(self, known: _Elements | None) -> frozenset[str]:
        if self.summary == "text":
            return frozenset({"text"})
        if self.elements is not None:
            return self.elements
        return known.summary if known is not None else frozenset()


def _named(resource_type: str, asked: Iterable[str]) -> frozenset[str]:
    """The elements that names mean. Raises RequestError for a name that the type does not have."""
    known = _elements(resource_type)
    found: set[str] = set()
    for name in asked:
        if known is None:
            found.add(name)
        elif name in known.choices:
            found |= known.choices[name]
        elif name in known.names:
            found.add(name)
        else:
            raise RequestError(
                f"{resource_type} has no element '{name}'.",
                where="_elements",
                mend="Name elements of the resource itself, such as id or status.",
            )
    return frozenset(found)


@cache
def _elements(resource_type: str) -> _Elements | None:
    """None for a type of R4 that the model does not have."""
    from fhir.resources.R4B import get_fhir_model_class

    try:
        model = get_fhir_model_class(resource_type)
    except (KeyError, LookupError):
        return None
    names, mandatory, summary = set(), set(), set()
    choices: dict[str, set[str]] = {}
    for name, field in model.model_fields.items():
        said = field.json_schema_extra
        if not isinstance(said, dict) or not said.get("element_property"):
            continue
        element = field.alias or name
        names.add(element)
        choice = said.get("one_of_many")
        if isinstance(choice, str):
            choices.setdefault(choice, set()).add(element)
        if field.is_required() or said.get("element_required") or said.get("one_of_many_required"):
            mandatory.add(element)
        if said.get("summary_element_property"):
            summary.add(element)
    return _Elements(
        frozenset(names | {"id", "meta", "implicitRules", "language", "text"}),
        frozenset(mandatory),
        frozenset(summary),
        {choice: frozenset(elements) for choice, elements in choices.items()},
    )
