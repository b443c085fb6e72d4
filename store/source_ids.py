"""Ids and references of a source's resources, as they stand in the store.

A source that is the only one of its organisation keeps its ids. Those of a ``prefixed`` source begin with
its name (``clinic.123``), in every resource and every reference, so that two sources never mean each other's
``Patient/123``. An id that would become longer than FHIR's 64 characters is shortened to a digest.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from measurewise.store.resources import CONTENT_TYPES
from measurewise.store.sources import Source

_LONGEST: Final = 64
_REFERENCE: Final = re.compile(
    r"(?P<base>.*/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?P<version>/_history/[^/]+)?"
)


def local_id(source: Source, identity: str) -> str:
    """The id in the store of a resource of a source."""
    if not source.settings.prefixed:
        return identity
    prefix = f"{source.id}."
    if len(prefix) + len(identity) <= _LONGEST:
        return prefix + identity
    room = _LONGEST - len(prefix)
    return prefix + hashlib.sha256(identity.encode()).hexdigest()[:room]


def local_reference(source: Source, reference: str) -> str:
    """``Type/id`` of the source as ``Type/id`` of the store."""
    kind, _, identity = reference.partition("/")
    return f"{kind}/{local_id(source, identity)}"


def localized(source: Source, resource: dict[str, Any]) -> dict[str, Any]:
    """A resource of the source as the store keeps it; the one given stays as it is.

    References to the source by its own address become relative. Those to other servers, to contained
    resources and to content (a Measure, a Library) stay as they are.
    """
    base = source.url.rstrip("/") + "/"
    made = _rewritten(source, base, resource)
    made["id"] = local_id(source, str(resource["id"]))
    return made


def _rewritten(source: Source, base: str, value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in value.items():
        if type(part) is dict:
            found[name] = _rewritten(source, base, part)
        elif type(part) is list:
            found[name] = [_rewritten(source, base, one) if type(one) is dict else one for one in part]
        elif name == "reference" and type(part) is str:
            found[name] = _reference(source, base, part)
        else:
            found[name] = part
    return found


def _reference(source: Source, base: str, reference: str) -> str:
    form = _REFERENCE.fullmatch(reference)
    if form is None or form["type"] in CONTENT_TYPES or form["base"] not in (None, base):
        return reference
    # the store's versions are its own: a reference to one of the source's would lead nowhere
    return f"{form['type']}/{local_id(source, form['id'])}"
