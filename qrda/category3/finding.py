"""What is wrong with a report: CMS's code and text, where it stands, and how to mend it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from lxml import etree

from measurewise.qrda.year_data import YearData

_PLACE: Final = re.compile(r"`\(([^`]*)\)`")
_LINK: Final = re.compile(r"https://[^\s)]+")
_MENDING: Final = Path(__file__).parent.parent / "data" / "mending.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    ``code`` is CMS's, or from 1001 one of Measurewise's own. ``cms`` is the code that CMS's conversion tool
    answers with: the same, another where its own is a known slip, or None where it lets the report pass.
    A ``warning`` does not keep a report from being converted.
    """

    code: int
    message: str
    mend: str
    at: etree._Element | None
    cms: int | None
    warning: bool = False


def finding(
    year: YearData,
    code: int,
    at: etree._Element | None,
    *values: object,
    named: Mapping[str, object] | None = None,
    cms: int | None = -1,
    warning: bool = False,
) -> Finding:
    """A finding with the year's text of ``code``, ``values`` set in the order of the text's places.

    ``named`` is for texts whose places change their order between years. The year and the guide's address
    are known. ``cms`` left out means that CMS answers with the same code.
    """
    own, mend = _mending()[code]
    text = own or year.errors[code]
    guide = _guide(year, code)
    known = {
        "Submission year's": year.year,
        "Submission Year": year.year,
        "Implementation guide link": guide,
        **(named or {}),
    }
    rest = iter(values)
    message = _PLACE.sub(lambda place: str(known[place[1]] if place[1] in known else next(rest, "")), text)
    if message.endswith(":"):
        message = f"{message} {guide}"
    return Finding(code, message, mend, at, code if cms == -1 else cms, warning)


def _guide(year: YearData, code: int) -> str:
    """The address of the year's guide, at the page that a code refers to."""
    link = _LINK.search(year.guide)
    page = year.guide_pages.get(code)
    return f"{link[0] if link else year.guide}{f'#page={page}' if page else ''}"


@cache
def _mending() -> dict[int, tuple[str, str]]:
    """Measurewise's own texts (empty where CMS has one) and the sentences that help, by code."""
    content = json.loads(_MENDING.read_text("utf-8"))
    return {int(code): (entry.get("text", ""), entry["mend"]) for code, entry in content["codes"].items()}
