"""Files that the commands for registries are given: JSON, FHIR resources, Measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from measurewise.engine.errors import MeasurewiseError


def parsed(path: Path) -> Any:
    """The JSON of a file; raises MeasurewiseError."""
    from measurewise.qrda.qpp_reading import SIZE_LIMIT, parse_json

    try:
        with path.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise MeasurewiseError(
            f"the file cannot be read: {error.strerror}.", where=str(path), mend="Check the name."
        ) from None
    try:
        return parse_json(data)
    except MeasurewiseError as error:
        raise named(error, path) from None


def resources_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """The FHIR resources of a file: one, a Bundle's, or one a line; raises MeasurewiseError."""
    if path.suffix == ".ndjson":
        from measurewise.qrda.qpp_reading import parse_json

        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise MeasurewiseError(
                f"the file cannot be read: {error.strerror}.", where=str(path), mend="Check the name."
            ) from None
        found = []
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    found.append(parse_json(line))
                except MeasurewiseError as error:
                    raise named(error, Path(f"{path}:{number}")) from None
    else:
        found = [parsed(path)]
    for one in found:
        if not isinstance(one, dict) or "resourceType" not in one:
            raise MeasurewiseError("it holds no FHIR resource.", where=str(path), mend="Give MeasureReports.")
        if one["resourceType"] == "Bundle":
            yield from (entry["resource"] for entry in one.get("entry") or () if "resource" in entry)
        else:
            yield one


def measures_of(content: list[Path] | None) -> list[Mapping[str, Any]]:
    """The Measure resources of content folders or packages."""
    if not content:
        return []
    from measurewise.engine.content.content import load_content

    return [measure.resource for measure in load_content(*content).measures]


def named(error: MeasurewiseError, path: Path) -> MeasurewiseError:
    """The error with the name of the file it is about."""
    where = f"{path}, {error.where}" if error.where else str(path)
    return type(error)(error.what, where=where, mend=error.mend)
