"""Value sets and code systems by canonical URL, expanded when first used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from measurewise.engine.errors import ContentError, EvaluationError, NotFoundError
from measurewise.engine.runtime.values import Code
from measurewise.engine.terminology.canonical import code_system_key, latest, split_canonical, value_set_key
from measurewise.engine.terminology.code_system import CodeSystemContent
from measurewise.engine.terminology.compose import composed
from measurewise.engine.terminology.expansion import (
    ExpansionIdentity,
    Listed,
    listed,
    newest_expansion,
)

Members = frozenset[tuple[str, str]]
Raw = Mapping[str, Any] | bytes


class _Header(msgspec.Struct):
    """What must be known of a resource before anybody asks for its content."""

    resourceType: str | None = None
    url: str | None = None
    version: str | None = None


_decode_header = msgspec.json.Decoder(_Header).decode
_decode = msgspec.json.Decoder().decode


class ValueSetIndex:
    """The value sets (and code systems) that a run may ask for.

    Made from ValueSet and CodeSystem resources, each a parsed dictionary or the JSON bytes of one resource;
    bytes are only skimmed for url and version until the value set is asked for. Other resource types are
    passed over. One url may be present in several versions, and one version on several pages.

    A look-up without a version takes the highest version. ``urn:oid:<oid>``, the bare OID and VSAC's URL
    mean the same value set. An expansion wins over a compose.

    ``missing`` says what a value set that is absent, incomplete or not computable gives: ``"error"`` raises
    ContentError; ``"empty"`` gives what there is (no members when there is nothing) and adds one sentence
    to :attr:`notices`.
    """

    def __init__(
        self, resources: Iterable[Raw] = (), *, missing: Literal["error", "empty"] = "error"
    ) -> None:
        self.notices: list[str] = []
        self._missing = missing
        self._value_sets: dict[str, dict[str | None, list[Raw]]] = {}
        self._code_systems: dict[str, dict[str | None, list[Raw]]] = {}
        self._expanded: dict[tuple[str, str | None], tuple[list[Listed], ExpansionIdentity]] = {}
        self._members: dict[tuple[str, str | None], Members] = {}
        self._content: dict[tuple[str, str | None], CodeSystemContent | None] = {}
        self._under_way: list[str] = []
        for raw in resources:
            self._add(raw)

    @classmethod
    def from_ndjson(cls, data: bytes, *, missing: Literal["error", "empty"] = "error") -> ValueSetIndex:
        """The index of a newline-delimited JSON file's content, one resource a line."""
        return cls((line for line in data.split(b"\n") if line.strip()), missing=missing)

    def _add(self, raw: Raw) -> None:
        if isinstance(raw, bytes):
            try:
                header = _decode_header(raw)
            except msgspec.MsgspecError as error:
                raise ContentError(
                    f"A terminology resource is not readable JSON: {error}.",
                    where=raw[:80].decode("utf-8", "replace"),
                ) from error
            kind, url, version = header.resourceType, header.url, header.version
        else:
            kind, url, version = raw.get("resourceType"), raw.get("url"), raw.get("version")
        if not url:
            return
        if kind == "ValueSet":
            self._value_sets.setdefault(value_set_key(url), {}).setdefault(version, []).append(raw)
        elif kind == "CodeSystem":
            self._code_systems.setdefault(code_system_key(url), {}).setdefault(version, []).append(raw)

    def __len__(self) -> int:
        """How many value sets (each version counted) are at hand."""
        return sum(map(len, self._value_sets.values()))

    def __contains__(self, canonical: str) -> bool:
        """Whether a value set is at hand, by ``url`` or ``url|version``."""
        url, version = split_canonical(canonical)
        versions = self._value_sets.get(value_set_key(url))
        return versions is not None and (version is None or version in versions)

    def urls(self) -> list[str]:
        """The URLs of the value sets at hand, VSAC's form for those known by OID."""
        return list(self._value_sets)

    def members(self, url: str, version: str | None = None) -> Members:
        """The (system, code) pairs of a value set, given as ``url`` or ``url|version``."""
        asked = (url, version)
        found = self._members.get(asked)
        if found is None:
            found = frozenset(member[:2] for member in self._outermost(url, version)[0])
            self._members[asked] = found
        return found

    def codes(self, url: str, version: str | None = None) -> list[Code]:
        """The members as Codes, in the order of the expansion (for ExpandValueSet)."""
        return [Code(m.code, m.system, m.version, m.display) for m in self._outermost(url, version)[0]]

    def expansion_identity(self, url: str, version: str | None = None) -> ExpansionIdentity:
        """Which version and expansion of a value set the members came from."""
        return self._outermost(url, version)[1]

    def get(self, url: str, version: str | None = None) -> dict[str, Any]:
        """The ValueSet resource; raises NotFoundError when it is not at hand."""
        resources = self._resources(url, version)[1]
        expansion = newest_expansion(resources)
        return dict(expansion.resource if expansion is not None else resources[-1])

    def _outermost(self, url: str, version: str | None) -> tuple[list[Listed], ExpansionIdentity]:
        try:
            return self._expand(url, version)
        except ContentError as error:
            if self._missing == "error":
                raise
            self._notice(f"{error} It is taken as empty.")
            plain, inline = split_canonical(url)
            return [], ExpansionIdentity(plain, version or inline, "none", None, None)

    def _notice(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)

    def _resources(self, url: str, version: str | None) -> tuple[str | None, list[Mapping[str, Any]]]:
        plain, inline = split_canonical(url)
        wanted = version or inline
        versions = self._value_sets.get(value_set_key(plain))
        if versions is None:
            raise NotFoundError(
                "The value set is not at hand.",
                where=plain,
                mend="Add its ValueSet resource with an expansion to the value sets of this run.",
            )
        if wanted is None:
            wanted = latest(versions)
        raws = versions.get(wanted)
        if raws is None:
            held = ", ".join(sorted(str(v) for v in versions))
            raise NotFoundError(
                f"Version {wanted} of the value set is not at hand; there is {held}.",
                where=plain,
                mend="Add that version, or ask for one of these.",
            )
        return wanted, [_parsed(raw) for raw in raws]

    def _expand(self, url: str, version: str | None) -> tuple[list[Listed], ExpansionIdentity]:
        plain, inline = split_canonical(url)
        key = (value_set_key(plain), version or inline)
        known = self._expanded.get(key)
        if known is not None:
            return known
        found_version, resources = self._resources(url, version)
        stated: str = resources[0].get("url") or plain
        where = f"{stated}|{found_version}" if found_version else stated
        expansion = newest_expansion(resources)
        if expansion is None:
            result = self._from_compose(resources[-1], stated, found_version, where)
        else:
            shortfall = expansion.shortfall()
            if shortfall is not None and "compose" in expansion.resource:
                result = self._from_compose(expansion.resource, stated, found_version, where)
            else:
                if shortfall is not None:
                    self._incomplete(shortfall, where)
                result = (
                    _distinct(listed(expansion.contains, where)),
                    ExpansionIdentity(
                        stated, found_version, "expansion", expansion.identifier, expansion.timestamp
                    ),
                )
        self._expanded[key] = result
        return result

    def _from_compose(
        self, resource: Mapping[str, Any], url: str, version: str | None, where: str
    ) -> tuple[list[Listed], ExpansionIdentity]:
        compose = resource.get("compose")
        if compose is None:
            raise ContentError(
                "The value set has neither an expansion nor a compose.",
                where=where,
                mend="Load an expansion of it.",
            )
        if where in self._under_way:
            path = " includes ".join([*self._under_way[self._under_way.index(where) :], where])
            raise ContentError(f"Value sets include each other in a circle: {path}.", where=where)
        self._under_way.append(where)
        try:
            members = composed(compose, self, where)
        finally:
            self._under_way.pop()
        return members, ExpansionIdentity(url, version, "compose", None, None)

    def _incomplete(self, shortfall: str, where: str) -> None:
        mend = "Load its remaining pages, or expand it again without paging."
        if self._missing == "error":
            raise ContentError(shortfall, where=where, mend=mend)
        self._notice(f"{where}: {shortfall} {mend} What there is was used.")

    def expand(self, canonical: str) -> list[Listed]:
        """The members of a value set that another one includes; always raises when they cannot be had."""
        return self._expand(canonical, None)[0]

    def code_system(self, url: str, version: str | None = None) -> CodeSystemContent | None:
        """A code system's complete content, or None where it is not at hand."""
        plain, inline = split_canonical(url)
        wanted = version or inline
        key = (code_system_key(plain), wanted)
        if key not in self._content:
            versions = self._code_systems.get(key[0], {})
            self._content[key] = None
            complete = {
                v: resource
                for v, raws in versions.items()
                for resource in map(_parsed, raws)
                if resource.get("content") == "complete"
            }
            chosen = latest(complete) if complete and wanted is None else wanted
            if chosen in complete:
                self._content[key] = CodeSystemContent(complete[chosen])
        return self._content[key]

    def code_system_members(self, url: str, version: str | None = None) -> Members:
        """All (system, code) pairs of a code system; raises NotFoundError without its complete content."""
        content = self.code_system(url, version)
        if content is None:
            raise NotFoundError(
                "The code system's complete content is not at hand.",
                where=url,
                mend="Add its CodeSystem resource with content 'complete' to the value sets of this run.",
            )
        return frozenset((content.url, code) for code in content.concepts)

    def subsumes(self, ancestor: Code, descendant: Code) -> bool:
        """Whether one code is the same as, or stands above, the other in their code system's hierarchy.

        Codes of different systems never subsume each other. Raises EvaluationError where the system's
        hierarchy is not at hand.
        """
        if ancestor.system != descendant.system:
            return False
        if ancestor.code == descendant.code:
            return True
        if ancestor.system is None or ancestor.code is None or descendant.code is None:
            return False
        content = self.code_system(ancestor.system)
        if content is None or not content.subsumes_by_hierarchy:
            raise EvaluationError(
                f"Whether {ancestor.code} subsumes {descendant.code} cannot be told without the hierarchy of "
                f"{ancestor.system}.",
                mend="Add its CodeSystem resource with complete content and an is-a hierarchy.",
            )
        return ancestor.code in content.ancestors(descendant.code)


def _parsed(raw: Raw) -> Mapping[str, Any]:
    if not isinstance(raw, bytes):
        return raw
    try:
        resource: Mapping[str, Any] = _decode(raw)
    except msgspec.MsgspecError as error:
        raise ContentError(
            f"A terminology resource is not readable JSON: {error}.",
            where=raw[:80].decode("utf-8", "replace"),
        ) from error
    return resource


def _distinct(members: Iterable[Listed]) -> list[Listed]:
    """Members in order; a code listed again in the same version of its system counts once."""
    return list({member[:3]: member for member in members}.values())
