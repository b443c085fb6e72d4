"""The kinds of jobs there are."""

from __future__ import annotations

from typing import Final

from measurewise.api.jobs import (
    care_gaps,
    evaluating,
    exporting,
    importing,
    qrda1_import,
    qrda3,
    qrda_judging,
    qrda_zips,
    refreshing,
    syncing,
)
from measurewise.api.jobs.kind import Kind
from measurewise.store.errors import StoreError

KINDS: Final = {
    kind.name: kind
    for kind in (
        evaluating.KIND,
        care_gaps.KIND,
        exporting.KIND,
        importing.KIND,
        qrda1_import.KIND,
        qrda3.KIND,
        qrda_judging.KIND,
        qrda_zips.KIND,
        refreshing.KIND,
        syncing.KIND,
    )
}


def named(name: str) -> Kind:
    """The kind of a name. Raises StoreError for a job that a newer version of the program queued."""
    kind = KINDS.get(name)
    if kind is None:
        raise StoreError(f"this version knows no jobs of the kind '{name}'.", mend="Update the workers.")
    return kind
