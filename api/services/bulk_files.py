"""Where the files of exports and imports are kept, and when they go."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, timedelta
from pathlib import Path
from typing import Final

from measurewise.api.services.context import Services
from measurewise.store import jobs
from measurewise.store.access import OPERATOR
from measurewise.store.database import now
from measurewise.store.errors import NoSuchResourceError

_RECEIVED: Final = timedelta(days=1)
"""How long an upload is kept that its job never took."""
_JOB: Final = re.compile(r"[0-9a-f-]{36}")
_FILE: Final = re.compile(r"[A-Za-z]+\.(?:[0-9]+|deleted|error)\.ndjson")


def export_folder(services: Services, job: str) -> Path:
    """The folder of an export's files."""
    return services.settings.data_folder / "exports" / job


def import_folder(services: Services, job: str) -> Path:
    """The folder of what an import has fetched."""
    return services.settings.data_folder / "imports" / job


def export_file(services: Services, job: str, name: str) -> Path | None:
    """A file of an export, None where there is none of that name."""
    if not _JOB.fullmatch(job) or not _FILE.fullmatch(name):
        return None
    file = export_folder(services, job) / name
    return file if file.is_file() else None


def forget_export(services: Services, job: str) -> None:
    """Remove an export's files."""
    shutil.rmtree(export_folder(services, job), ignore_errors=True)


def forget_import(services: Services, job: str) -> None:
    """Remove what an import has fetched."""
    shutil.rmtree(import_folder(services, job), ignore_errors=True)


def kept_seconds(services: Services) -> float:
    """How long the files of an export are kept after it ended."""
    return services.settings.export_hours * 3600


def remove_expired(services: Services) -> None:
    """Remove the files of exports and imports that are too old, were cancelled, or whose job is forgotten."""
    before = now() - timedelta(seconds=kept_seconds(services))
    received = services.settings.data_folder / "received"
    for file in received.iterdir() if received.is_dir() else ():
        if file.stat().st_mtime < (now() - _RECEIVED).timestamp():
            file.unlink(missing_ok=True)
    for kind in ("exports", "imports"):
        parent = services.settings.data_folder / kind
        for folder in parent.iterdir() if parent.is_dir() else ():
            with services.database.read() as connection:
                try:
                    job = jobs.read(connection, OPERATOR, folder.name)
                except NoSuchResourceError:
                    job = None
            if job is None or job.state == "cancelled":
                shutil.rmtree(folder, ignore_errors=True)
            elif job.finished is not None:
                finished = job.finished
                if finished.tzinfo is None:
                    finished = finished.replace(tzinfo=UTC)
                if kind == "imports" or finished < before:
                    shutil.rmtree(folder, ignore_errors=True)
