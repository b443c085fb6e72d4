"""CMS's collection of QRDA III files with the answers of its conversion tool."""

from __future__ import annotations

import tarfile

from shared_inputs import shared


def cms_pairs() -> dict[str, bytes]:
    """Reports, answers and ``manifest.json`` by name (``2024/0245.xml``, ``2024/0245.qpp.json``)."""
    with tarfile.open(shared("qrda", "category3", "pairs.tar.xz")) as archive:
        return {
            member.name.removeprefix("./"): file.read()
            for member in archive
            if (file := archive.extractfile(member)) is not None
        }
