"""XML from anyone, read without harm: no DTD, no entities, no network, limits on size and depth.

A file that cannot be read is an answer like any other (CMS's code 2), so what is wrong is raised as
:class:`UnreadableXmlError` with a plain sentence.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from xml.parsers import expat

from lxml import etree

from measurewise.engine.errors import MeasurewiseError

SIZE_LIMIT: Final = 64 * 1024 * 1024
DEPTH_LIMIT: Final = 100
_ARCHIVES: Final = (b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf")
_MEND: Final = "Export the report again as one XML file in UTF-8."


class UnreadableXmlError(MeasurewiseError):
    """A file that is no XML document, or none that can be read safely."""

    code = "structure"


def read_xml(data: bytes, *, size_limit: int = SIZE_LIMIT) -> etree._Element:
    """The root element of an XML document; raises :class:`UnreadableXmlError`.

    Refused: archives, more than ``size_limit`` bytes, more than 100 levels, a document type declaration (and
    with it every entity that is not XML's own), bytes that do not fit the declared encoding.
    """
    if len(data) > size_limit:
        raise UnreadableXmlError(
            f"the file has {len(data):,} bytes, more than the {size_limit:,} that are read.", mend=_MEND
        )
    if data.startswith(_ARCHIVES):
        raise UnreadableXmlError("the file is a compressed archive, not XML.", mend="Unpack it first.")
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


def positions(data: bytes) -> list[tuple[int, int]]:
    """Line and column (both from 1) of each element's start tag, in document order.

    An encoding that the reader of positions does not know gives an empty list.
    """
    found: list[tuple[int, int]] = []
    parser = expat.ParserCreate()

    def started(_name: str, _attributes: object) -> None:
        found.append((parser.CurrentLineNumber, parser.CurrentColumnNumber + 1))

    parser.StartElementHandler = started
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError):
        return []
    return found


def places(elements: Iterable[etree._Element], data: bytes) -> dict[etree._Element, tuple[int, int]]:
    """Line and column (from 1) of the start tags of elements of one document that was read from ``data``.

    Where the column cannot be told it is 0.
    """
    wanted = set(elements)
    found: dict[etree._Element, tuple[int, int]] = {}
    for element in wanted:
        line = element.sourceline
        found[element] = (line if isinstance(line, int) else 0, 0)
    if wanted:
        root = next(iter(wanted)).getroottree().getroot()
        for element, place in zip(root.iter("{*}*"), positions(data), strict=False):
            if element in wanted:
                found[element] = place
    return found


def path_of(element: etree._Element) -> str:
    """An XPath that any XPath 1.0 processor can follow without knowing a prefix."""
    steps: list[str] = []
    current: etree._Element | None = element
    while current is not None:
        name = etree.QName(current)
        test = f"*[local-name() = '{name.localname}' and namespace-uri() = '{name.namespace or ''}']"
        parent = current.getparent()
        if parent is not None:
            same = list(parent.iterchildren(current.tag))
            if len(same) > 1:
                test += f"[{same.index(current) + 1}]"
        steps.append(test)
        current = parent
    return "/" + "/".join(reversed(steps))


def _check_depth(root: etree._Element) -> None:
    depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > DEPTH_LIMIT:
            raise UnreadableXmlError(
                f"the file nests elements more than {DEPTH_LIMIT} levels deep.", mend=_MEND
            )
