"""Where in a document a schematron's contexts can match: sets found by key, never smaller than what matches.

A context is an XSLT pattern. Most contexts of HL7's and CMS's schematrons begin with an element of a certain
template, or end with a template's id; those are found through a key over the templates' ids, the rest by the
name that the context ends with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

_XSL: Final = "http://www.w3.org/1999/XSL/Transform"
_LITERAL: Final = r"'[^']*'|\"[^\"]*\""
_NAME: Final = r"[A-Za-z_][\w.-]*(?::[A-Za-z_][\w.-]*)?"
_ID: Final = r"(?P<id>(?:[A-Za-z_][\w.-]*:)?templateId)\s*\[\s*@root\s*=\s*(?P<root>" + _LITERAL + r")\s*\]"
_OF_TEMPLATE: Final = re.compile(rf"\s*(?://)?(?P<first>{_NAME})\s*\[\s*{_ID}")
_TEMPLATE_ID: Final = re.compile(rf".*/\s*{_ID}\s*$", re.DOTALL)
_CHILD_STEPS: Final = re.compile(rf"(?:\s*/\s*{_NAME}\s*)*")
_LAST_STEP: Final = re.compile(rf"(?:^|[/:])\s*(?P<name>{_NAME}|\*)\s*$")


@dataclass(slots=True)
class Candidates:
    """Finds the sets; ``template_ids`` gathers the element names whose keys they use."""

    template_ids: set[str] = field(default_factory=set)

    def of(self, contexts: list[str]) -> str:
        """An XPath for nodes among which are all that any of these contexts matches."""
        found = {self._of_alternative(one) for context in contexts for one in _alternatives(context)}
        return "|".join(sorted(found)) or "/.."

    def add_keys(self, sheet: etree._Element) -> None:
        """Add the keys that the sets use to a stylesheet."""
        for name in sorted(self.template_ids):
            etree.SubElement(sheet, f"{{{_XSL}}}key", name=_key(name), match=name, use="@root")

    def _of_alternative(self, pattern: str) -> str:
        identifier = _TEMPLATE_ID.fullmatch(pattern)
        if identifier is not None and pattern.count("[") == 1:
            return self._with_id(identifier)
        template = _OF_TEMPLATE.match(pattern)
        if template is not None:
            rest = _without_predicates(pattern).strip().removeprefix("//").removeprefix(template["first"])
            if _CHILD_STEPS.fullmatch(rest):
                return f"{self._with_id(template)}/parent::{template['first']}{''.join(rest.split())}"
        last = _LAST_STEP.search(_without_predicates(pattern))
        # What ends otherwise (an attribute, text) is looked for everywhere.
        return f"//{last['name']}" if last else "//node()|//@*"

    def _with_id(self, found: re.Match[str]) -> str:
        self.template_ids.add(found["id"])
        return f"key('{_key(found['id'])}',{found['root']})"


def _key(name: str) -> str:
    return name.replace(":", ".")


def _alternatives(context: str) -> list[str]:
    """The alternatives of a pattern: what stands between the bars outside of predicates and literals."""
    found = [""]
    depth = 0
    for piece in _pieces(context):
        depth += (piece == "[") - (piece == "]")
        if piece == "|" and depth == 0:
            found.append("")
        else:
            found[-1] += piece
    return found


def _without_predicates(pattern: str) -> str:
    bare: list[str] = []
    depth = 0
    for piece in _pieces(pattern):
        depth += piece == "["
        if depth == 0:
            bare.append(piece)
        depth -= piece == "]"
    return "".join(bare)


def _pieces(expression: str) -> list[str]:
    """Literals whole, everything else letter by letter."""
    return re.findall(rf"{_LITERAL}|.", expression, re.DOTALL)
