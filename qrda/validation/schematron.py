"""A schematron, compiled once in a process and run over documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from lxml import etree

from measurewise.qrda.validation.rule_files import RuleFilesError
from measurewise.qrda.validation.schematron_translation import (
    Assertion,
    UnsupportedSchematronError,
    translate,
)

# A schematron may read the voc.xml beside it, and nothing else.
_ACCESS: Final = etree.XSLTAccessControl(  # type: ignore[call-arg]  # the stubs know no arguments
    read_file=True, write_file=False, create_dir=False, read_network=False, write_network=False
)


@dataclass(frozen=True, slots=True)
class Broken:
    """A failed assertion and the element it was asked of."""

    assertion: Assertion
    at: etree._Element


@dataclass(frozen=True, slots=True)
class Schematron:
    """A compiled schematron."""

    path: Path
    _transform: etree.XSLT
    _assertions: dict[tuple[int, int, int], Assertion]

    def broken(self, root: etree._Element) -> Iterator[Broken]:
        """The failed assertions, pattern after pattern, each in the order of the document."""
        for one in self._transform(root.getroottree()).getroot():
            key = (int(one.get("p", "")), int(one.get("r", "")), int(one.get("a", "")))
            yield Broken(self._assertions[key], _element(root, one.get("at", "")))


@cache
def compiled(path: Path, *, warnings: bool) -> Schematron:
    """The schematron of a file, compiled at the first call of a process.

    ``document('voc.xml')`` is read beside the file. Raises RuleFilesError when the file cannot be used.
    """
    parser = etree.XMLParser(remove_comments=True, remove_pis=True, resolve_entities=False, no_network=True)
    try:
        schema = etree.parse(str(path), parser).getroot()
        translation = translate(schema, warnings=warnings)
        # The base that relative names in document() are resolved against.
        translation.stylesheet.getroottree().docinfo.URL = path.resolve().as_uri()
        transform = etree.XSLT(translation.stylesheet, access_control=_ACCESS)
    except (OSError, etree.LxmlError, UnsupportedSchematronError) as error:
        raise RuleFilesError(
            f"the schematron cannot be used: {error}.", where=str(path), mend="Take the published file again."
        ) from None
    return Schematron(path, transform, translation.assertions)


def _element(root: etree._Element, way: str) -> etree._Element:
    """The element that the numbers lead to; the first is the root's own."""
    element = root
    for number in way.split()[1:]:
        left = int(number)
        for child in element.iterchildren("*"):
            if left == 0:
                element = child
                break
            left -= 1
    return element
