"""The API's own documentation pages, which work without a network."""

from __future__ import annotations

from fastapi import FastAPI


def mount_documentation(app: FastAPI) -> None:
    """Placeholder."""
