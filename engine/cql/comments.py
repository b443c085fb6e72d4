"""Tags in comments (CQL 1.5.3 Developer's Guide, "Tags"): ``@description: ...`` before a definition."""

from __future__ import annotations

import re
from collections.abc import Iterator

from measurewise.engine.cql.tree import Comment, Span, Tag

# An @ at the start of a line; the marks of the comment and a column of asterisks may stand before it.
_AT = re.compile(r"(?m)^[ \t]*(?:/\*+|//+|\*(?!/))?[ \t]*@(?=[A-Za-z_])")
# A colon, or the end of the line, follows the name of a tag.
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)[ \t]*(?::|(?=[\r\n])|\Z)")
_LINE_START = re.compile(r"(?:\r\n|\n|\r)[ \t]*\*?[ \t]*")


def tags_of(comment: Comment) -> Iterator[Tag]:
    """The tags of a comment.

    A value runs to the next line that begins with an @, or to the comment's end; it keeps its line breaks,
    but not the indentation or the asterisk that a further line begins with.
    """
    text = comment.text
    end = len(text) - 2 if text.startswith("/*") else len(text)
    found = list(_AT.finditer(text, 0, end))
    for index, at in enumerate(found):
        stop = found[index + 1].start() if index + 1 < len(found) else end
        name = _NAME.match(text, at.end(), stop)
        if name is not None:
            start = comment.span.start
            value = _LINE_START.sub("\n", text[name.end() : stop].strip())
            yield Tag(Span(start + at.end() - 1, start + stop), name[1], value)
