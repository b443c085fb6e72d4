"""XML from anyone, read without harm: no DTD, no entities, no network, limits on size and depth.

A file that cannot be read is an answer like any other (CMS's code 2), so what is wrong is raised as
:class:`UnreadableXmlError` with a plain sentence.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final
from xml.parsers import expat

from lxml import etree

from measurewise.engine.errors import MeasurewiseError

SIZE_LIMIT: Final = 64 * 1024 * 1024
DEPTH_LIMIT: Final = 100
# Of "<" and "=", which bound the elements and attributes that a parser must keep: some 0.2 KiB each.
MARKUP_LIMIT: Final = 2_000_000
_ARCHIVES: Final = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf")
_ENCODING: Final = re.compile(rb"""[^<]{0,4}<\?xml[^>]{0,60}?encoding\s*=\s*["'](?P<name>[^"']{1,40})["']""")
_READ_ENCODINGS: Final = re.compile(
    r"utf-?8|utf-?16(?:[bl]e)?|us-ascii|ascii|iso-?8859-\d{1,2}|latin-?1|windows-125\d|cp125\d", re.IGNORECASE
)
_TOO_DEEP: Final = etree.XPath(f"boolean({'/*' * (DEPTH_LIMIT + 1)})")
_MEND: Final = "Export the report again as one XML file in UTF-8."


class UnreadableXmlError(MeasurewiseError):
    """A file that is no XML document, or none that can be read safely."""

    code = "structure"


class _AllFoundError(Exception):
    """Ends the reading of places."""


def read_xml(data: bytes, *, size_limit: int = SIZE_LIMIT) -> etree._Element:
    """The root element of an XML document; raises :class:`UnreadableXmlError`.

    Refused: archives, more than ``size_limit`` bytes or 2,000,000 elements and attributes, more than 100
    levels, a document type declaration (and with it every entity that is not XML's own), an encoding other
    than UTF-8, UTF-16, ASCII, ISO 8859 and Windows code pages, bytes that do not fit the encoding.
    """
    if len(data) > size_limit:
        raise UnreadableXmlError(
            f"the file has {len(data):,} bytes, more than the {size_limit:,} that are read.", mend=_MEND
        )
    if data.startswith(_ARCHIVES):
        raise UnreadableXmlError("the file is a compressed archive, not XML.", mend="Unpack it first.")
    if data.count(b"<") + data.count(b"=") > MARKUP_LIMIT:
        raise UnreadableXmlError(
            f"the file has more than {MARKUP_LIMIT:,} elements and attributes.",
            mend="Split the report, or export it again without what is repeated.",
        )
    _check_encoding(data)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise UnreadableXmlError(f"the file is not well-formed XML: {error}.", mend=_MEND) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise UnreadableXmlError(
            "the file declares a document type; such files may carry entities and are not read.", mend=_MEND
        )
    _check_depth(root)
    return root


def places(elements: Iterable[etree._Element], data: bytes) -> dict[etree._Element, tuple[int, int]]:
    """Line and column (from 1) of the start tags of elements of one document that was read from ``data``.

    Where the column cannot be told (an encoding that the reader of places does not know) it is 0.
    """
    wanted = set(elements)
    found: dict[etree._Element, tuple[int, int]] = {}
    if not wanted:
        return found
    root = next(iter(wanted)).getroottree().getroot()
    numbers: dict[int, etree._Element] = {}
    for number, element in enumerate(root.iter("{*}*")):
        if element in wanted:
            numbers[number] = element
            if len(numbers) == len(wanted):
                break
    told = _start_tags(data, numbers.keys())
    for number, element in numbers.items():
        line = element.sourceline
        found[element] = told.get(number, (line if isinstance(line, int) else 0, 0))
    return found


def _start_tags(data: bytes, wanted: Collection[int]) -> dict[int, tuple[int, int]]:
    """Line and column of the start tags with these numbers, counted in document order from 0."""
    found: dict[int, tuple[int, int]] = {}
    parser = expat.ParserCreate()
    number = 0

    def started(_name: str, _attributes: object) -> None:
        nonlocal number
        if number in wanted:
            found[number] = (parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)
            if len(found) == len(wanted):
                raise _AllFoundError
        number += 1

    parser.StartElementHandler = started
    try:
        parser.Parse(data, True)
    except _AllFoundError:
        return found
    except (expat.ExpatError, LookupError, ValueError):
        return {}
    return found


def path_of(element: etree._Element) -> str:
    """An XPath that any XPath 1.0 processor can follow without knowing a prefix."""
    return Paths().of(element)


class Paths:
    """XPaths of many elements of one document; siblings are counted once."""

    def __init__(self) -> None:
        # By parent, each child's place among those of its name (0 where it is the only one).
        self._places: dict[etree._Element, dict[etree._Element, int]] = {}

    def of(self, element: etree._Element) -> str:
        """The path of an element: see :func:`path_of`."""
        steps: list[str] = []
        current: etree._Element | None = element
        while current is not None:
            name = etree.QName(current)
            test = f"*[local-name() = '{name.localname}' and namespace-uri() = '{name.namespace or ''}']"
            parent = current.getparent()
            place = 0 if parent is None else self._place(parent, current)
            steps.append(f"{test}[{place}]" if place else test)
            current = parent
        return "/" + "/".join(reversed(steps))

    def _place(self, parent: etree._Element, child: etree._Element) -> int:
        found = self._places.get(parent)
        if found is None:
            found = self._places[parent] = {}
            by_name: dict[str, list[etree._Element]] = {}
            for one in parent.iterchildren("{*}*"):
                by_name.setdefault(str(one.tag), []).append(one)
            for same in by_name.values():
                for number, one in enumerate(same, start=1):
                    found[one] = number if len(same) > 1 else 0
        return found[child]


def _check_encoding(data: bytes) -> None:
    declared = _ENCODING.match(data.replace(b"\0", b"") if b"\0" in data[:4] else data)
    if declared is None:
        return
    name = declared["name"].decode("ascii", "replace")
    if not _READ_ENCODINGS.fullmatch(name):
        raise UnreadableXmlError(f"the file is in the encoding {name}, which is not read.", mend=_MEND)


def _check_depth(root: etree._Element) -> None:
    if _TOO_DEEP(root.getroottree()):
        raise UnreadableXmlError(f"the file nests elements more than {DEPTH_LIMIT} levels deep.", mend=_MEND)
