"""ISO Schematron, XSLT 1 query binding, translated to an XSLT that tells failed assertions and nothing else.

The result of the transform is ``<failed>`` with an ``<f p= r= a= at=>`` a failed assertion: number of
pattern, rule and assertion, and the way from the document's root to the context node as numbers of child
elements. A node is judged by the first rule of each pattern whose context it matches (ISO/IEC 19757-3,
6.5). Nodes are looked for where a context can match (``candidates``), so that a pattern costs what its own
elements cost rather than a walk over the whole document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lxml import etree

from measurewise.qrda.validation.candidates import Candidates

SCHEMATRON: Final = "http://purl.oclc.org/dsdl/schematron"
_XSL: Final = "http://www.w3.org/1999/XSL/Transform"
_LITERAL: Final = r"'[^']*'|\"[^\"]*\""
_UNSUPPORTED: Final = ("include", "extends", "param")


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an assertion says: its id, its text, and whether breaking it is a warning only."""

    id: str | None
    text: str
    warning: bool


@dataclass(frozen=True, slots=True)
class Translation:
    """The stylesheet, and the assertions by (pattern, rule, assertion)."""

    stylesheet: etree._Element
    assertions: dict[tuple[int, int, int], Assertion]


class UnsupportedSchematronError(ValueError):
    """A schematron that uses what is not translated."""


def translate(schema: etree._Element, *, warnings: bool) -> Translation:
    """Translate a schematron; patterns of its ``warnings`` phase are left out unless asked for.

    Raises UnsupportedSchematronError for inclusions, abstract patterns and abstract rules.
    """
    for name in _UNSUPPORTED:
        if schema.find(f".//{{{SCHEMATRON}}}{name}") is not None:
            raise UnsupportedSchematronError(f"it uses sch:{name}")
    prefixes = {one.get("prefix", ""): one.get("uri", "") for one in schema.findall(f"{{{SCHEMATRON}}}ns")}
    sheet = etree.Element(f"{{{_XSL}}}stylesheet", nsmap={**prefixes, "xsl": _XSL}, version="1.0")
    assertions: dict[tuple[int, int, int], Assertion] = {}
    warned = {
        one.get("pattern")
        for phase in schema.findall(f"{{{SCHEMATRON}}}phase")
        if phase.get("id") == "warnings"
        for one in phase
    }
    etree.SubElement(sheet, f"{{{_XSL}}}output", method="xml")
    for let in schema.findall(f"{{{SCHEMATRON}}}let"):
        _variable(sheet, let, {})
    main = etree.SubElement(sheet, f"{{{_XSL}}}template", match="/")
    failed = etree.SubElement(main, "failed")
    candidates = Candidates()
    for number, pattern in enumerate(schema.findall(f"{{{SCHEMATRON}}}pattern")):
        if pattern.get("abstract") == "true":
            raise UnsupportedSchematronError("it has an abstract pattern")
        is_warning = pattern.get("id") in warned
        if is_warning and not warnings:
            continue
        _pattern(sheet, failed, pattern, number, is_warning, candidates, assertions)
    candidates.add_keys(sheet)
    _way(sheet)
    return Translation(sheet, assertions)


def _pattern(
    sheet: etree._Element,
    failed: etree._Element,
    pattern: etree._Element,
    number: int,
    is_warning: bool,
    candidates: Candidates,
    assertions: dict[tuple[int, int, int], Assertion],
) -> None:
    mode = f"p{number}"
    renamed = {
        let.get("name", ""): f"{let.get('name')}-{mode}" for let in pattern.findall(f"{{{SCHEMATRON}}}let")
    }
    for let in pattern.findall(f"{{{SCHEMATRON}}}let"):
        _variable(sheet, let, renamed)
    rules = pattern.findall(f"{{{SCHEMATRON}}}rule")
    contexts: list[str] = []
    for position, rule in enumerate(rules):
        if rule.get("abstract") == "true":
            raise UnsupportedSchematronError("it has an abstract rule")
        context = _with_names(rule.get("context", ""), renamed)
        contexts.append(context)
        template = etree.SubElement(
            sheet, f"{{{_XSL}}}template", match=context, mode=mode, priority=str(1000 - position)
        )
        if len(rules) >= 1000:
            raise UnsupportedSchematronError("it has a pattern of a thousand rules")
        inner = dict(renamed)
        for let in rule.findall(f"{{{SCHEMATRON}}}let"):
            _variable(template, let, inner)
        for place, assertion in enumerate(rule.findall(f"{{{SCHEMATRON}}}assert")):
            key = (number, position, place)
            assertions[key] = Assertion(
                assertion.get("id"), " ".join("".join(map(str, assertion.itertext())).split()), is_warning
            )
            test = _with_names(assertion.get("test", ""), inner)
            broken = etree.SubElement(template, f"{{{_XSL}}}if", test=f"not({test})")
            told = etree.SubElement(broken, "f", p=str(number), r=str(position), a=str(place))
            etree.SubElement(told, f"{{{_XSL}}}call-template", name="way")
    etree.SubElement(failed, f"{{{_XSL}}}apply-templates", select=candidates.of(contexts), mode=mode)
    etree.SubElement(sheet, f"{{{_XSL}}}template", match="*|@*|text()", mode=mode, priority="-1")


def _variable(parent: etree._Element, let: etree._Element, renamed: dict[str, str]) -> None:
    name = let.get("name", "")
    etree.SubElement(
        parent,
        f"{{{_XSL}}}variable",
        name=renamed.get(name, name),
        select=_with_names(let.get("value", ""), renamed),
    )


def _with_names(expression: str, renamed: dict[str, str]) -> str:
    """An expression with its variables renamed; literals are left as they are."""
    if not renamed:
        return expression
    return re.sub(
        rf"({_LITERAL})|\$([A-Za-z_][\w.-]*)",
        lambda one: one[1] or f"${renamed.get(one[2], one[2])}",
        expression,
    )


def _way(sheet: etree._Element) -> None:
    """The template that tells where the context node is."""
    template = etree.SubElement(sheet, f"{{{_XSL}}}template", name="way")
    attribute = etree.SubElement(template, f"{{{_XSL}}}attribute", name="at")
    each = etree.SubElement(attribute, f"{{{_XSL}}}for-each", select="ancestor-or-self::*")
    etree.SubElement(each, f"{{{_XSL}}}value-of", select="count(preceding-sibling::*)")
    etree.SubElement(each, f"{{{_XSL}}}text").text = " "
