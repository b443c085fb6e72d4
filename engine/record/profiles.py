"""Profiles by their facts: does a resource meet a profile, by what it says or by what it is?

The facts are in ``profiles.json``, which names its sources: FHIR R4 vital signs, US Core 3.1.1 and 6.1.0,
QI-Core 4.1.1 and 6.0.0. They are those that tell one profile from another, so that a retrieve of a profile
works on records whose resources carry no ``meta.profile``; they are not for validation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import resources
from operator import itemgetter
from typing import Any

from measurewise.engine.errors import ContentError
from measurewise.engine.record.profile_rules import Predicate, all_of, compiled, none_of

BASE_DEFINITION = "http://hl7.org/fhir/StructureDefinition/"


class Matching(Enum):
    """How a retrieve decides whether a resource meets the profile it names."""

    LABEL = "label"
    """Only by ``meta.profile``."""
    STRUCTURE = "structure"
    """Only by content: fixed codes, categories, negation."""
    AUTO = "auto"
    """By label where the resource carries one that can tell, else by content.

    A label can tell when its profile is known for the resource's type and comes from a guide as special as
    that of the profile asked for: a US Core label does not say that a resource is not QI-Core's.
    """


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of one profile.

    ``requires`` and ``excludes`` are rules as ``profiles.json`` writes them; ``rank`` says how special its
    guide is: 0 for FHIR itself, 1 for US Core, 2 for QI-Core, which builds on both.
    """

    url: str
    resource_type: str
    base: str | None
    guides: tuple[str, ...]
    rank: int
    requires: tuple[Mapping[str, Any], ...]
    excludes: tuple[Mapping[str, Any], ...]
    source: str
    note: str


class ProfileTable:
    """Profiles by URL, with compiled tests for them.

    A URL may carry a version (``|6.0.0``), which is ignored: the profiles' URLs are the same in all versions
    of their guides, and records rarely say which they mean. A URL without facts is matched on the resource
    type alone and named once in :attr:`notices`.
    """

    def __init__(self, profiles: Iterable[Profile]) -> None:
        self._profiles = {profile.url: profile for profile in profiles}
        self._structural: dict[str, Predicate] = {}
        self._accepted: dict[str, frozenset[str]] = {}
        self._telling: dict[str, frozenset[str]] = {}
        self.notices: list[str] = []
        for profile in self._profiles.values():
            self._lineage(profile)

    def get(self, url: str) -> Profile | None:
        """The facts of a profile, or None where there are none."""
        return self._profiles.get(_unversioned(url))

    def urls(self) -> list[str]:
        """All profiles with facts."""
        return list(self._profiles)

    def _lineage(self, profile: Profile) -> list[Profile]:
        """The profile and those it derives from, as far as there are facts, most special first."""
        line = [profile]
        while line[-1].base is not None and (above := self._profiles.get(line[-1].base)) is not None:
            if above in line:
                raise ContentError("Profiles derive from each other in a circle.", where=profile.url)
            line.append(above)
        return line

    def structural_predicate(self, url: str) -> Predicate:
        """The test of a profile by content, on resources of any type."""
        url = _unversioned(url)
        predicate = self._structural.get(url)
        if predicate is None:
            predicate = self._structural[url] = self._compile(url)
        return predicate

    def _compile(self, url: str) -> Predicate:
        profile = self._profiles.get(url)
        if profile is None:
            return self._by_type(url)
        line = self._lineage(profile)
        requires = [compiled(rule) for p in line for rule in p.requires]
        excludes = [compiled(rule) for p in line for rule in p.excludes]
        return _of_type(profile.resource_type, all_of([*requires, *none_of(excludes)]))

    def _by_type(self, url: str) -> Predicate:
        if url.startswith(BASE_DEFINITION):
            name = url.removeprefix(BASE_DEFINITION)
            if name in ("Resource", "DomainResource"):
                return _anything
            if name[:1].isupper():
                return _of_type(name, _anything)
        sentence = f"Nothing is known of the profile {url}; resources are matched on their type alone."
        if sentence not in self.notices:
            self.notices.append(sentence)
        return _anything

    def matches_by_structure(self, url: str, resource: Mapping[str, Any]) -> bool:
        """Whether a resource meets a profile by its content."""
        return self.structural_predicate(url)(resource)

    def accepted_labels(self, url: str) -> frozenset[str]:
        """The labels, without versions, that declare a profile: its own URL and those derived from it."""
        url = _unversioned(url)
        accepted = self._accepted.get(url)
        if accepted is None:
            derived = {p.url for p in self._profiles.values() if any(a.url == url for a in self._lineage(p))}
            accepted = self._accepted[url] = frozenset(derived | {url})
        return accepted

    def declares(self, url: str, resource: Mapping[str, Any]) -> bool:
        """Whether a resource's ``meta.profile`` names a profile or one derived from it."""
        accepted = self.accepted_labels(url)
        return any(label in accepted for label in labels(resource))

    def telling_labels(self, url: str) -> frozenset[str]:
        """The labels by which ``Matching.AUTO`` lets a resource be judged when a profile is asked for."""
        url = _unversioned(url)
        telling = self._telling.get(url)
        if telling is None:
            asked = self._profiles.get(url)
            known = {
                p.url
                for p in self._profiles.values()
                if asked is not None and p.resource_type == asked.resource_type and p.rank >= asked.rank
            }
            telling = self._telling[url] = frozenset(known | {url})
        return telling

    def predicate(self, url: str, matching: Matching = Matching.AUTO) -> Predicate:
        """The test that a retrieve of a profile puts to each resource.

        A base resource's own URL (``http://hl7.org/fhir/StructureDefinition/Condition``) is a question about
        the type, so that labels play no part in it.
        """
        url = _unversioned(url)
        structural = self.structural_predicate(url)
        if matching is Matching.STRUCTURE or (url not in self._profiles and url.startswith(BASE_DEFINITION)):
            return structural
        accepted = self.accepted_labels(url)
        if matching is Matching.LABEL:
            return lambda resource: not accepted.isdisjoint(labels(resource))
        telling = self.telling_labels(url)

        return LabelOrStructure(telling, accepted, structural)


class LabelOrStructure:
    """The test of ``Matching.AUTO``: by label where the labels tell, else by content.

    Few different labels occur in a run, so what each of them says is remembered.
    """

    __slots__ = ("_accepted", "_telling", "_verdicts", "structural")

    def __init__(self, telling: frozenset[str], accepted: frozenset[str], structural: Predicate) -> None:
        self._telling = telling
        self._accepted = accepted
        self._verdicts: dict[Any, bool | None] = {}
        self.structural = structural

    def __call__(self, resource: Mapping[str, Any]) -> bool:
        """Whether a resource meets the profile."""
        verdict = self.verdict(label_key(resource))
        return self.structural(resource) if verdict is None else verdict

    def verdict(self, key: Label) -> bool | None:
        """What labels, as :func:`label_key` gives them, say alone; None where they do not tell."""
        if key is None:
            return None
        if isinstance(key, Exception):
            raise key
        try:
            return self._verdicts[key]
        except KeyError:
            stated = [_unversioned(label) for label in ((key,) if type(key) is str else key)]
            verdict = None
            if not self._telling.isdisjoint(stated):
                verdict = not self._accepted.isdisjoint(stated)
            if len(self._verdicts) > 1000:
                self._verdicts.clear()
            self._verdicts[key] = verdict
            return verdict


def label_key(resource: Mapping[str, Any]) -> str | tuple[str, ...] | None:
    """The labels in ``meta.profile`` as they stand: the only one, all of them, or None where there is none.

    Raises TypeError or AttributeError where the element has not the shape of FHIR (see ``profile_rules.py``).
    """
    meta = resource.get("meta")
    stated = None if meta is None else meta.get("profile")
    if not stated:
        return None
    if type(stated) is list:
        if len(stated) == 1 and type(stated[0]) is str:
            return stated[0]
        if all(type(label) is str for label in stated):
            return tuple(stated)
    elif type(stated) is str:
        return stated
    raise TypeError("meta.profile is no list of URLs")


Label = str | tuple[str, ...] | Exception | None
"""What :func:`label_keys` says of one resource."""


_META, _PROFILE = itemgetter("meta"), itemgetter("profile")


def label_keys(resources: list[dict[str, Any]]) -> list[Label]:
    """:func:`label_key` of each resource, with the error that it raises in the place of its answer."""
    try:
        if len(resources) < 12:
            return [label_key(resource) for resource in resources]
        # Nearly every resource has one label, so that all are read in one sweep and then looked over. Short
        # loops, because a record that was just read has to be fetched from memory: one fetch begins before
        # the other ends.
        metas = list(map(_META, resources))
        stated = list(map(_PROFILE, metas))
        keys: list[Label] = [key for (key,) in stated]
        if {*map(type, stated)} <= {list} and {*map(type, keys)} <= {str}:
            return keys
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    return [_label_or_error(resource) for resource in resources]


def _label_or_error(resource: Mapping[str, Any]) -> Label:
    try:
        return label_key(resource)
    except (TypeError, AttributeError) as error:
        return error


def labels(resource: Mapping[str, Any]) -> list[str]:
    """The URLs in ``meta.profile``, without their versions; see :func:`label_key`."""
    key = label_key(resource)
    if key is None:
        return []
    return [_unversioned(label) for label in ((key,) if type(key) is str else key)]


def _unversioned(url: str) -> str:
    return url.partition("|")[0]


def _anything(resource: Mapping[str, Any]) -> bool:
    return True


def _of_type(resource_type: str, test: Predicate) -> Callable[[Mapping[str, Any]], bool]:
    return lambda resource: resource.get("resourceType") == resource_type and test(resource)


@cache
def profile_table() -> ProfileTable:
    """The profiles of ``profiles.json``; read once a process."""
    return ProfileTable(read_profiles(resources.files(__package__).joinpath("profiles.json").read_bytes()))


def read_profiles(data: bytes) -> list[Profile]:
    """Profiles as ``profiles.json`` writes them; raises ContentError for a file that is not of that form."""
    try:
        document = json.loads(data)
        ranks = {name: guide["rank"] for name, guide in document["guides"].items()}
        return [
            Profile(
                url=entry["url"],
                resource_type=entry["type"],
                base=entry.get("base"),
                guides=tuple(entry["guides"]),
                rank=max(ranks[guide] for guide in entry["guides"]),
                requires=tuple(entry.get("requires", ())),
                excludes=tuple(entry.get("excludes", ())),
                source=entry["source"],
                note=entry.get("note", ""),
            )
            for entry in document["profiles"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContentError(f"The profile facts cannot be read: {error!r}.", where="profiles.json") from error


PROFILES = profile_table()
