"""Comparing trees: one without its parentheses, and the nodes of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from measurewise.engine.cql.parser import parse_expression
from measurewise.engine.cql.tree import Expression, Node, Parenthesized


def bare(node: Any) -> Any:
    """A tree without Parenthesized nodes."""
    if isinstance(node, Parenthesized):
        return bare(node.expression)
    if isinstance(node, tuple) and not hasattr(node, "_fields"):
        return tuple(bare(item) for item in node)
    if isinstance(node, Node):
        return dataclasses.replace(
            node,
            **{f.name: bare(getattr(node, f.name)) for f in dataclasses.fields(node) if f.name != "span"},
        )
    return node


def parse(text: str) -> Expression:
    return parse_expression(text)


def groups(text: str, like: str) -> bool:
    """Whether a text groups as one with parentheses does."""
    return bool(bare(parse_expression(text)) == bare(parse_expression(like)))


def nodes(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    yield node
    for field in dataclasses.fields(node):
        if field.name in ("comments", "tags"):
            continue
        value = getattr(node, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Node):
                yield from nodes(item)
