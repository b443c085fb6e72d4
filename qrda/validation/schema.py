"""The CDA schema, compiled once in a process and run over documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, cast

from lxml import etree

from measurewise.qrda.validation.rule_files import RuleFilesError

_NAMESPACE: Final = re.compile(r"\{[^}]*\}")
_PREFIXED: Final = re.compile(r"/([^/@\[\]():]+:[^/@\[\]():]+)")
_CODED: Final = re.compile(r"^\[[^\]]*\]\s*")


@dataclass(frozen=True, slots=True)
class Violation:
    """What the schema has against an element; ``rule`` is the constraint of XML Schema that is broken."""

    rule: str
    text: str
    at: etree._Element | None


@cache
def compiled(path: Path) -> etree.XMLSchema:
    """The schema of a file; raises RuleFilesError when it cannot be used."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        return etree.XMLSchema(etree.parse(str(path), parser))
    except (OSError, etree.LxmlError) as error:
        raise RuleFilesError(
            f"the schema cannot be used: {error}.", where=str(path), mend="Take the published files again."
        ) from None


def violations(schema: etree.XMLSchema, root: etree._Element) -> Iterator[Violation]:
    """What is wrong with a document, in its order."""
    tree = root.getroottree()
    if schema.validate(tree):
        return
    # The stubs do not know that a log can be gone through.
    for entry in cast("Iterable[etree._LogEntry]", schema.error_log):
        at = _element(tree, entry.path) if entry.path else None
        yield Violation(entry.type_name, _NAMESPACE.sub("", _CODED.sub("", entry.message)), at)


def _element(tree: etree._ElementTree, path: str) -> etree._Element | None:
    """The element at a path of the schema processor, which uses the document's own prefixes."""
    found = tree.xpath(_PREFIXED.sub(r"/*[name()='\1']", path))
    return found[0] if isinstance(found, list) and found and etree.iselement(found[0]) else None
