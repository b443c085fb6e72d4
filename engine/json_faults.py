"""Where a JSON text cannot be read, for people: what is wrong, at which line and column, how to mend it."""

from __future__ import annotations

import re
from typing import NamedTuple

_BYTE = re.compile(r"\(byte (\d+)\)")


class JsonFault(NamedTuple):
    """``place`` is ``line 3, column 14`` (``column 14`` in a text of one line), empty where not known."""

    what: str
    place: str
    mend: str

    def within(self, source: str) -> str:
        """The place in a named file or resource."""
        return ", ".join(part for part in (source, self.place) if part)


def json_fault(error: Exception, data: bytes) -> JsonFault:
    """What to say of JSON that cannot be decoded.

    ``error`` is what msgspec raised: an error of its own, a UnicodeDecodeError or a RecursionError.
    """
    if isinstance(error, UnicodeDecodeError):
        return JsonFault("the text is not UTF-8.", "", "Save it as UTF-8.")
    if isinstance(error, RecursionError):
        return JsonFault("the JSON is nested too deeply.", "", "Mend what wrote it.")
    message = str(error)
    found = _BYTE.search(message)
    if found is None and "truncated" in message:
        return JsonFault("the JSON ends early.", _place(data, len(data)), "Copy or download the file again.")
    what = f"the JSON cannot be read ({_BYTE.sub('', message).strip()})."
    return JsonFault(what, _place(data, int(found[1])) if found else "", "Mend the text there.")


def _place(data: bytes, offset: int) -> str:
    before = data[:offset]
    line = before.count(b"\n") + 1
    column = offset - (before.rfind(b"\n") + 1) + 1
    return f"line {line}, column {column}" if b"\n" in data.rstrip() else f"column {column}"
