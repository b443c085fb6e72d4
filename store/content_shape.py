"""The shape that content must have to be kept.

One measure, library or value set whose elements are of wrong types would stop all content from being loaded,
and so all evaluation: it is refused when it is written. What it means is found out when it is used.
"""

from __future__ import annotations

from typing import Any

import msgspec

from measurewise.engine.errors import ContentError

Objects = list[dict[str, Any]] | None


class _Canonical(msgspec.Struct):
    """What FHIR R4's canonical resources have in common, as far as it is read."""

    url: str | None = None
    version: str | None = None
    name: str | None = None
    title: str | None = None
    identifier: Objects = None
    useContext: Objects = None
    topic: Objects = None
    relatedArtifact: Objects = None
    extension: Objects = None


class _Group(msgspec.Struct):
    population: Objects = None
    stratifier: Objects = None
    extension: Objects = None


class _Measure(_Canonical):
    library: list[str] | None = None
    group: list[_Group] | None = None
    supplementalData: Objects = None


class _Attachment(msgspec.Struct):
    contentType: str | None = None
    data: str | None = None
    url: str | None = None


class _Library(_Canonical):
    content: list[_Attachment] | None = None
    parameter: Objects = None
    dataRequirement: Objects = None


class _Contains(msgspec.Struct):
    system: str | None = None
    version: str | None = None
    code: str | None = None
    display: str | None = None
    contains: list[_Contains] | None = None


class _Expansion(msgspec.Struct):
    identifier: str | None = None
    timestamp: str | None = None
    contains: list[_Contains] | None = None
    parameter: Objects = None


class _Concept(msgspec.Struct):
    code: str | None = None
    display: str | None = None
    concept: list[_Concept] | None = None


class _Include(msgspec.Struct):
    system: str | None = None
    version: str | None = None
    concept: list[_Concept] | None = None
    valueSet: list[str] | None = None
    filter: Objects = None


class _Compose(msgspec.Struct):
    include: list[_Include] | None = None
    exclude: list[_Include] | None = None


class _ValueSet(_Canonical):
    expansion: _Expansion | None = None
    compose: _Compose | None = None


class _CodeSystem(_Canonical):
    concept: list[_Concept] | None = None


_SHAPES: dict[str, type[_Canonical]] = {
    "Measure": _Measure,
    "Library": _Library,
    "ValueSet": _ValueSet,
    "CodeSystem": _CodeSystem,
}


def check_content_shape(resource: dict[str, Any]) -> None:
    """Raises ContentError that names the first element of a wrong type; other resources pass."""
    kind = str(resource.get("resourceType"))
    shape = _SHAPES.get(kind)
    if shape is None:
        return
    try:
        msgspec.convert(resource, shape)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at ")
        place = path.strip("`").removeprefix("$")
        raise ContentError(
            f"{what[:1].lower()}{what[1:]}, so the {kind} cannot be kept.",
            where=f"{kind}{place}",
            mend="Correct the element's type.",
        ) from None
