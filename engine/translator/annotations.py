"""Annotations: the CQL text of a definition, cut up by the ELM nodes it became (ELM, "Annotation").

A narrative is nested spans: ``r`` names the ``localId`` of a node, ``s`` holds what is below it, ``value`` is
text as it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from measurewise.engine import elm
from measurewise.engine.cql import tree

if TYPE_CHECKING:
    from measurewise.engine.translator.context import Context


def annotate(c: Context, definition: elm.Definition, at: tree.Node) -> None:
    """Give a definition its tags and its narrative."""
    if definition.local_id is None:
        return
    start, end = at.span
    comments = getattr(at, "comments", ())
    lead = comments[0].span.start if comments else start
    narrative = _narrative(c, definition, lead, end)
    tags = [{"name": tag.name, "value": tag.value} for tag in getattr(at, "tags", ())]
    object.__setattr__(definition, "annotation", ({"type": "Annotation", "t": tags, "s": narrative},))


def _narrative(c: Context, definition: elm.Element, start: int, end: int) -> dict[str, Any]:
    placed: dict[tuple[int, int], str] = {}
    for node in elm.walk(definition):
        at = c.positions.get(node)
        if at is not None and node.local_id is not None and node is not definition:
            placed.setdefault((at.span.start, -at.span.end), node.local_id)
    spans = sorted(placed)
    text = c.syntax.text
    cursor = 0

    def below(first: int, last: int) -> list[dict[str, Any]]:
        nonlocal cursor
        parts: list[dict[str, Any]] = []
        at = first
        while cursor < len(spans) and spans[cursor][0] < last:
            begin, minus_end = spans[cursor]
            finish = -minus_end
            number = placed[spans[cursor]]
            cursor += 1
            if begin < at or finish > last:
                continue
            if begin > at:
                parts.append({"value": [text[at:begin]]})
            parts.append({"r": number, "s": below(begin, finish)})
            at = finish
        if at < last:
            parts.append({"value": [text[at:last]]})
        return parts

    return {"r": definition.local_id, "s": below(start, end)}
