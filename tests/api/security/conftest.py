"""Fixtures: an issuer elsewhere, a clock, and an app that trusts the issuer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from outside_issuer import BASE, ISSUER, Clock, OutsideIssuer, app_with, ask

from measurewise.api.security.settings import SecuritySettings


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outside(clock: Clock) -> OutsideIssuer:
    return OutsideIssuer(clock)


@pytest.fixture
def settings() -> SecuritySettings:
    return SecuritySettings.model_validate({"base_url": BASE, "issuers": [{"url": ISSUER}]})


Asking = Callable[..., httpx.Response]


@pytest.fixture
def asking(outside: OutsideIssuer, clock: Clock, settings: SecuritySettings) -> Iterator[Asking]:
    """``asking(path, token=..., method=...)``: the answer of an app that trusts the outside issuer."""
    app = app_with(
        settings, client=httpx.AsyncClient(transport=httpx.MockTransport(outside.answer)), clock=clock
    )
    with asyncio.Runner() as runner:

        def send(path: str, token: str | None = None, method: str = "GET", **options: Any) -> httpx.Response:
            async def go() -> httpx.Response:
                if token is not None:
                    options["headers"] = {"authorization": f"Bearer {token}"}
                async with ask(app) as client:
                    return await client.request(method, path, **options)

            return runner.run(go())

        yield send


@pytest.fixture
def keys_folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"
