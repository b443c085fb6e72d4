"""A file that came with a request and that a job reads: taken into the job's folder, and found there."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from measurewise.api.fhir.outcomes import RequestError
from measurewise.api.services.bulk_files import import_folder
from measurewise.api.services.context import Services
from measurewise.api.services.qrda import Sent

_FILE: Final = "sent.zip"


def take_over(services: Services, job: str, received: Path) -> Path:
    """Move what was received to the job's files, unless that was done already; where it is then."""
    file = import_folder(services, job) / _FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    # The request and the worker both try, whichever comes first.
    with suppress(FileNotFoundError):
        received.replace(file)
    return file


def sent_file(services: Services, job: str, received: Path, name: str) -> Sent:
    """The archive, in the folder of the job's files. Raises RequestError where it is gone."""
    file = take_over(services, job, received)
    if not file.is_file():
        raise RequestError("the file that was sent is not there any more.", code="not-found", mend="Resend.")
    return Sent(file, name, True)
