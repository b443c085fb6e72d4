"""The codes that a ValueSet resource's compose means, computed offline.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from measurewise.engine.errors import ContentError
from measurewise.engine.terminology.code_system import CodeSystemContent
from measurewise.engine.terminology.expansion import Listed


class TerminologySource(Protocol):
    """What a compose may lean on."""

    def expand(self, canonical: str) -> Iterable[Listed]:
        """The members of another value set; raises ContentError when they cannot be had."""
        ...

    def code_system(self, url: str, version: str | None) -> CodeSystemContent | None:
        """A code system's complete content, or None where it is not at hand."""
        ...


def composed(compose: Mapping[str, Any], source: TerminologySource, where: str) -> list[Listed]:
    """The members of a compose: what any include selects less what any exclude selects.

    ``where`` names the value set in errors. Raises ContentError for what needs a terminology server: a whole
    system or a filter over a system whose content is not at hand.
    """
    includes = compose.get("include") or ()
    if not includes:
        raise ContentError("The compose includes nothing.", where=where)
    active_only = compose.get("inactive") is False
    members: dict[tuple[str, str], Listed] = {}
    for include in includes:
        for member in _selected(include, source, where, active_only):
            members.setdefault(member[:2], member)
    for exclude in compose.get("exclude") or ():
        for member in _selected(exclude, source, where, False):
            members.pop(member[:2], None)
    return list(members.values())


def _selected(
    clause: Mapping[str, Any], source: TerminologySource, where: str, active_only: bool
) -> list[Listed]:
    """One include or exclude: the system's selection and every value set it names, intersected."""
    value_sets = clause.get("valueSet") or ()
    if clause.get("system"):
        selection = _of_system(clause, source, where, active_only)
    elif value_sets:
        if clause.get("concept") or clause.get("filter"):
            raise ContentError("An include lists concepts or filters without a code system.", where=where)
        selection = list(source.expand(value_sets[0]))
        value_sets = value_sets[1:]
    else:
        raise ContentError("An include names neither a code system nor a value set.", where=where)
    for canonical in value_sets:
        others = {member[:2] for member in source.expand(canonical)}
        selection = [member for member in selection if member[:2] in others]
    return selection


def _of_system(
    clause: Mapping[str, Any], source: TerminologySource, where: str, active_only: bool
) -> list[Listed]:
    system: str = clause["system"]
    version: str | None = clause.get("version")
    concepts, filters = clause.get("concept"), clause.get("filter")
    if concepts and filters:
        raise ContentError(f"An include of {system} has both concepts and filters.", where=where)
    content = source.code_system(system, version)
    if concepts:
        stated = [Listed(system, c["code"], version, c.get("display")) for c in concepts if c.get("code")]
        return [m for m in stated if content is None or _usable(content, m.code, active_only)]
    if content is None:
        raise ContentError(
            f"Its compose takes {'codes by filter' if filters else 'all codes'} from {system}"
            f"{'|' + version if version else ''}, whose content is not at hand.",
            where=where,
            mend="Load an expansion of the value set, or the CodeSystem resource with complete content.",
        )
    tests = [
        content.select(f.get("property") or "", f.get("op") or "", f.get("value") or "")
        for f in filters or ()
    ]
    return [
        Listed(system, code, content.version, concept.display)
        for code, concept in content.concepts.items()
        if _usable(content, code, active_only) and all(test(code) for test in tests)
    ]


def _usable(content: CodeSystemContent, code: str, active_only: bool) -> bool:
    concept = content.concepts.get(code)
    return concept is None or not (concept.abstract or (active_only and concept.inactive))
