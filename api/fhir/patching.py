"""JSON Patch (RFC 6902) on a resource (FHIR R4, 3.1.0.1.13 patch): all of a patch is done, or none of it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

import msgspec

from measurewise.api.fhir.media import parse_body
from measurewise.api.fhir.outcomes import RequestError
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store.resources import parse

JSON_PATCH: Final = "application/json-patch+json"
MOST_OPERATIONS: Final = 1000
_MOST_COPIED: Final = 1_000_000
"""Values that the copies of one patch may make together, so that a patch cannot double a resource forever."""
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_NEEDS: Final = {
    "add": "value", "replace": "value", "test": "value", "remove": None, "move": "from", "copy": "from",
}  # fmt: skip


def check_kind(content_type: str | None) -> None:
    """Raises RequestError (415) for a patch of another kind, FHIRPath Patch among them."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind != JSON_PATCH:
        raise RequestError(
            f"a patch of '{kind}' is not served; FHIRPath Patch and XML Patch are not, either.",
            code="not-supported",
            mend=f"Send {JSON_PATCH}.",
            status=415,
        )


def parse_patch(body: bytes) -> list[dict[str, Any]]:
    """The operations of a patch. Raises RequestError for what is no JSON Patch."""
    try:
        found = parse(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _misshapen(f"the patch is no JSON ({error})", "patch") from None
    if not isinstance(found, list) or not found:
        raise _misshapen("the patch is no list of operations", "patch")
    if len(found) > MOST_OPERATIONS:
        raise _misshapen(f"the patch has more than {MOST_OPERATIONS:,} operations", "patch")
    for position, operation in enumerate(found):
        _check_operation(operation, f"patch[{position}]")
    return found


def patched(resource: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """The resource after a patch. Raises RequestError (422) where the patch cannot be done."""
    try:
        changed = _done(resource, operations)
        kept = {name: resource[name] for name in ("resourceType", "id")}
        if not isinstance(changed, dict) or any(changed.get(name) != value for name, value in kept.items()):
            raise _impossible("a patch leaves resourceType and id as they are", "patch")
        return parse_body(to_json(changed))
    except RecursionError:
        raise _impossible("the patch nests too deeply", "patch") from None


def _done(resource: dict[str, Any], operations: list[dict[str, Any]]) -> Any:
    # The empty path means the resource itself, which has to be in something to be replaced.
    holder: dict[str, Any] = {"": copy.deepcopy(resource)}
    copied = 0
    for position, operation in enumerate(operations):
        where = f"patch[{position}]"
        if operation["op"] == "copy":
            copied += sum(1 for _ in _values(_at(holder, _path(operation["from"], where), where)))
            if copied > _MOST_COPIED:
                raise _impossible("the patch copies too much", where)
        _DO[operation["op"]](holder, operation, where)
    return holder.get("")


def _check_operation(operation: Any, where: str) -> None:
    if not isinstance(operation, dict) or operation.get("op") not in _NEEDS:
        raise _misshapen(f"it is no operation of JSON Patch: one of {', '.join(_NEEDS)}", where)
    needed = _NEEDS[operation["op"]]
    if needed is not None and needed not in operation:
        raise _misshapen(f"'{operation['op']}' needs '{needed}'", where)
    for name in ("path", "from"):
        if name == "path" or needed == "from":
            text = operation.get(name)
            if not isinstance(text, str) or (text and not text.startswith("/")):
                raise _misshapen(f"'{name}' is no JSON Pointer, such as /name/0/family", where)


def _add(holder: dict[str, Any], operation: dict[str, Any], where: str) -> None:
    _put(holder, _path(operation["path"], where), copy.deepcopy(operation["value"]), where)


def _replace(holder: dict[str, Any], operation: dict[str, Any], where: str) -> None:
    path = _path(operation["path"], where)
    _at(holder, path, where)
    parent = _at(holder, path[:-1], where)
    parent[_step(parent, path[-1], where)] = copy.deepcopy(operation["value"])


def _test(holder: dict[str, Any], operation: dict[str, Any], where: str) -> None:
    if not _equal(_at(holder, _path(operation["path"], where), where), operation["value"]):
        raise _impossible(f"the value at '{operation['path']}' is another than the test's", where)


def _remove(holder: dict[str, Any], operation: dict[str, Any], where: str) -> None:
    _take(holder, _path(operation["path"], where), where)


def _move(holder: dict[str, Any], operation: dict[str, Any], where: str) -> None:
    source, target = _path(operation["from"], where), _path(operation["path"], where)
    if target[: len(source)] == source and target != source:
        raise _impossible("nothing can be moved into itself", where)
    _put(holder, target, _take(holder, source, where), where)


def _copy(holder: dict[str, Any], operation: dict[str, Any], where: str) -> None:
    value = _at(holder, _path(operation["from"], where), where)
    _put(holder, _path(operation["path"], where), copy.deepcopy(value), where)


_DO: Final[dict[str, Callable[[dict[str, Any], dict[str, Any], str], None]]] = {
    "add": _add, "replace": _replace, "test": _test, "remove": _remove, "move": _move, "copy": _copy,
}  # fmt: skip


def _path(pointer: str, where: str) -> list[str]:
    """The steps of a JSON Pointer (RFC 6901) below the holder of the resource."""
    steps = pointer.split("/")
    if any(re.search(r"~(?![01])", step) for step in steps):
        raise _misshapen(f"'{pointer}' is no JSON Pointer", where)
    return [step.replace("~1", "/").replace("~0", "~") for step in steps]


def _at(node: Any, path: list[str], where: str) -> Any:
    for step in path:
        node = node[_step(node, step, where)]
    return node


def _step(node: Any, step: str, where: str) -> Any:
    """The name or index by which a step is there. Raises RequestError where it is not."""
    if isinstance(node, dict) and step in node:
        return step
    if isinstance(node, list) and _INDEX.fullmatch(step) and int(step) < len(node):
        return int(step)
    raise _impossible(f"there is no '{step}' where the path leads", where)


def _put(holder: dict[str, Any], path: list[str], value: Any, where: str) -> None:
    parent, step = _at(holder, path[:-1], where), path[-1]
    if isinstance(parent, dict):
        parent[step] = value
    elif isinstance(parent, list) and step == "-":
        parent.append(value)
    elif isinstance(parent, list) and _INDEX.fullmatch(step) and int(step) <= len(parent):
        parent.insert(int(step), value)
    else:
        raise _impossible(f"nothing can be put at '{step}'", where)


def _take(holder: dict[str, Any], path: list[str], where: str) -> Any:
    parent = _at(holder, path[:-1], where)
    return parent.pop(_step(parent, path[-1], where))


def _equal(one: Any, other: Any) -> bool:
    """Equality of JSON: numbers by value, true and false are no numbers (RFC 6902, 4.6)."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    numbers = (int, float, Decimal)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, numbers) and isinstance(other, numbers):
        return one == other
    return type(one) is type(other) and bool(one == other)


def _values(node: Any) -> Iterator[Any]:
    pending = [node]
    while pending:
        one = pending.pop()
        yield one
        pending.extend(one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())


def _misshapen(what: str, where: str) -> RequestError:
    return RequestError(f"{what}.", code="structure", where=where, mend="See RFC 6902.")


def _impossible(what: str, where: str) -> RequestError:
    return RequestError(
        f"{what}.", code="processing", where=where, mend="Read the resource and mend the patch."
    )
