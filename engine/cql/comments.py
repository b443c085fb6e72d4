"""Tags in comments (CQL 1.5.3 Developer's Guide, "Tags"): ``@description: ...`` before a definition."""

from __future__ import annotations

import re
from collections.abc import Iterator

from measurewise.engine.cql.tree import Comment, Span, Tag

# A tag begins a line; the marks of the comment and a column of asterisks may stand before it.
_TAG = re.compile(r"(?m)^[ \t]*(?:/\*+|//+|\*(?!/))?[ \t]*@([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*:?")


def tags_of(comment: Comment) -> Iterator[Tag]:
    """The tags of a comment; a value runs to the next tag or the comment's end, its own line breaks kept."""
    text = comment.text
    end = len(text) - 2 if text.startswith("/*") else len(text)
    found = list(_TAG.finditer(text, 0, end))
    for index, tag in enumerate(found):
        stop = found[index + 1].start() if index + 1 < len(found) else end
        start = comment.span.start
        yield Tag(Span(start + tag.start(1) - 1, start + stop), tag[1], text[tag.end() : stop].strip())
