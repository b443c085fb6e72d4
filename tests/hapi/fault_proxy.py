"""A reverse proxy over real sockets that answers, cuts, delays or repeats what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx


@dataclass(frozen=True)
class Asked:
    """A request as the proxy sees it; ``number`` counts from 1."""

    number: int
    method: str
    target: str
    body: bytes


@dataclass
class Given:
    """An answer; with ``cut`` the connection ends in the middle of its body."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


Ask = Callable[[], Awaitable[Given]]
Fault = Callable[[Asked, Ask], Awaitable[Given]]


@dataclass
class FaultProxy:
    """``base_url`` stands for that of the server behind it; ``asked`` keeps what came."""

    base_url: str
    asked: list[Asked]


@asynccontextmanager
async def fault_proxy(server: str, fault: Fault) -> AsyncIterator[FaultProxy]:
    """A proxy before ``server`` (its base address). ``fault`` gets each request and how to ask the server."""
    behind = urlsplit(server)
    asked: list[Asked] = []
    async with httpx.AsyncClient(timeout=300, trust_env=False) as http:

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                    first, *lines = head.rstrip().split("\r\n")
                    method, target, _ = first.split(" ", 2)
                    headers = {
                        name.lower(): value.strip()
                        for name, _, value in (line.partition(":") for line in lines)
                    }
                    body = await reader.readexactly(int(headers.get("content-length", 0)))
                    request = Asked(len(asked) + 1, method, target, body)
                    asked.append(request)

                    async def ask(request: Asked = request, headers: dict[str, str] = headers) -> Given:
                        # the host stays the proxy's, so that the server's links lead here again
                        kept = ("host", "accept", "content-type", "prefer", "if-none-match")
                        response = await http.request(
                            request.method,
                            f"{behind.scheme}://{behind.netloc}{request.target}",
                            content=request.body,
                            headers={name: headers[name] for name in kept if name in headers},
                        )
                        passed = ("content-type", "content-location", "x-progress", "retry-after", "location")
                        told = {name: response.headers[name] for name in passed if name in response.headers}
                        return Given(response.status_code, response.content, told)

                    given = await fault(request, ask)
                    lines = [f"HTTP/1.1 {given.status} Said", f"Content-Length: {len(given.body)}"]
                    lines += [f"{name}: {value}" for name, value in given.headers.items()]
                    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
                    writer.write(given.body[: len(given.body) // 2] if given.cut else given.body)
                    await writer.drain()
                    if given.cut:
                        break
            writer.close()

        listening = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1 << 20)
        port = listening.sockets[0].getsockname()[1]
        try:
            yield FaultProxy(f"http://127.0.0.1:{port}{behind.path}", asked)
        finally:
            listening.close()
