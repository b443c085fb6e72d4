"""The server under load: one patient's report at a fixed rate, and everybody's while the server stays awake.

    python benchmarks/server.py --patients 20000
    python benchmarks/server.py --patients 20000 --postgresql

A real ``measurewise serve`` in a folder of its own is given synthetic patients. Then, each in turn:

1. ``Measure/[id]/$evaluate-measure`` for one patient after another, begun at fixed moments (``--rate`` a
   second) whether earlier answers have come or not, from another process. Latency counts from the moment at
   which a request was due, so that waiting in line shows.
2. ``$evaluate-measure`` over everybody, asynchronously, with no results kept, and again with all of them
   kept; meanwhile ``/health`` is asked 20 times a second.

Exit status 1 says that an aim was missed: p95 of one patient under 20 ms, p99 of ``/health`` under 50 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import postgresql_server
from sqlalchemy import create_engine, text
from stopwatch import machine, put_out, table

from measurewise.store.bulk_writing import write_many
from measurewise.store.database import Database
from measurewise.store.resources import parse
from measurewise.synthetic import bundle_json, synthetic_patient

YEAR = "periodStart=2026-01-01&periodEnd=2026-12-31"
HEALTH_A_SECOND = 20
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Latencies:
    """Milliseconds of answers, from when they were due."""

    milliseconds: list[float] = field(default_factory=list)
    failures: int = 0

    def at(self, share: float) -> float:
        """A percentile: the least time that so great a share of the answers kept to."""
        ordered = sorted(self.milliseconds)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def load(database: Database, patients: int, *, at_once: int = 200) -> float:
    """Store synthetic patients; the seconds it took."""
    started = time.perf_counter()
    for first in range(0, patients, at_once):
        bundles = (synthetic_patient(n) for n in range(first, min(first + at_once, patients)))
        resources = [e["resource"] for bundle in bundles for e in parse(bundle_json(bundle))["entry"]]
        with database.write() as connection:
            write_many(connection, "default", resources)
    return time.perf_counter() - started


@contextlib.contextmanager
def served(folder: Path, url: str, workers: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A running server; gives its process and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "MEASUREWISE_DATA_FOLDER": str(folder),
        "MEASUREWISE_DATABASE": url,
        "MEASUREWISE_PORT": str(port),
        "MEASUREWISE_WORKERS": str(workers),
    }
    command = [sys.executable, "-c", "from measurewise.cli import main; main()", "serve"]
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.1)
        yield process, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


class Client:
    """HTTP/1.1 on kept connections, with as little work of its own as can be."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def get(self, path: str, *headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an answer."""
        kept = bool(self._idle)
        if kept:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self._port}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            if not kept:
                raise
            # The server closes connections that nobody has used for a while.
            writer.close()
            return await self.get(path, *headers)
        found = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        body = await reader.readexactly(int(found.get("content-length", "0")))
        self._idle.append((reader, writer))
        return int(head[0].split()[1]), found, body


async def _at_a_rate(port: int, paths: list[str], rate: float) -> Latencies:
    client, found = Client(port), Latencies()
    started = time.perf_counter() + 0.1

    async def one(number: int, path: str) -> None:
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        status, _, _ = await client.get(path)
        found.milliseconds.append((time.perf_counter() - due) * 1000)
        found.failures += status != 200

    await asyncio.gather(*(one(number, path) for number, path in enumerate(paths)))
    return found


def _one_patient_load(port: int, patients: int, rate: float, seconds: float, measure: str, out: Any) -> None:
    chance = random.Random(1)  # noqa: S311
    path = f"/fhir/Measure/{measure}/$evaluate-measure?{YEAR}&subject=Patient/synthetic-1-"
    paths = [f"{path}{chance.randrange(patients) + 1:06d}" for _ in range(int(rate * seconds))]
    out.put(asyncio.run(_at_a_rate(port, paths, rate)))


def one_patient(port: int, patients: int, rate: float, seconds: float, measure: str) -> Latencies:
    """Latencies of reports on single patients; the load comes from a process of its own."""
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    process = context.Process(target=_one_patient_load, args=(port, patients, rate, seconds, measure, out))
    process.start()
    found: Latencies = out.get(timeout=seconds + 120)
    process.join()
    return found


@dataclass
class Population:
    """A run over everybody: seconds, the progress that was told, how the server answered meanwhile."""

    seconds: float
    progress: list[str]
    health: Latencies
    cpu: float
    report: dict[str, Any]


async def _everybody(port: int, pid: int, measure: str) -> Population:
    client, health = Client(port), Latencies()
    ended = asyncio.Event()

    async def stay_awake() -> None:
        number, begun = 0, time.perf_counter()
        while not ended.is_set():
            due = begun + number / HEALTH_A_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            status, _, _ = await client.get("/health")
            health.milliseconds.append((time.perf_counter() - due) * 1000)
            health.failures += status != 200
            number += 1

    started, before = time.perf_counter(), cpu_seconds(pid)
    path = f"/fhir/Measure/{measure}/$evaluate-measure?{YEAR}"
    status, headers, body = await client.get(path, "Prefer: respond-async")
    assert status == 202, body
    where = "/" + headers["content-location"].split("/", 3)[3]
    awake = asyncio.create_task(stay_awake())
    progress: list[str] = []
    while True:
        status, headers, body = await client.get(where)
        if status != 202:
            break
        if not progress or progress[-1] != headers["x-progress"]:
            progress.append(headers["x-progress"])
        await asyncio.sleep(0.1)
    seconds = time.perf_counter() - started
    cpu = cpu_seconds(pid) - before
    ended.set()
    await awake
    assert status == 200, body
    (entry,) = json.loads(body)["entry"]
    return Population(seconds, progress, health, cpu, entry["resource"])


def cpu_seconds(parent: int) -> float:
    """CPU time of a process and of those that it started, so far."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent or int(stat.parent.name) == parent:
                total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database on a server that is thrown away."""
    programs = postgresql_server.server_programs()
    if programs is None:
        sys.exit("No PostgreSQL server is installed.")
    with postgresql_server.server(programs) as url:
        engine = create_engine(url.format(name="postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("CREATE DATABASE benchmark"))
        engine.dispose()
        yield url.format(name="benchmark")


def measured(folder: Path, url: str, asked: argparse.Namespace) -> tuple[list[str], bool]:
    """The page's lines, and whether every aim is met."""
    database = Database(url)
    database.migrate()
    took = load(database, asked.patients)
    if not database.is_sqlite:
        # What its own housekeeping does by and by.
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
    database.close()
    kind = "SQLite" if database.is_sqlite else "PostgreSQL"
    print(f"{kind}: {asked.patients} patients in the store after {took:.0f} s.", file=sys.stderr)
    with served(folder, url, asked.workers) as (process, port):
        # The first answers read the content and compile the measure, and the workers are still starting.
        one_patient(port, asked.patients, asked.rate, 8, asked.measure)
        before = cpu_seconds(process.pid)
        single = one_patient(port, asked.patients, asked.rate, asked.seconds, asked.measure)
        single_cpu = (cpu_seconds(process.pid) - before) / len(single.milliseconds) * 1000
        print(f"one patient: p95 {single.at(0.95):.1f} ms", file=sys.stderr)
        first = asyncio.run(_everybody(port, process.pid, asked.measure))
        again = asyncio.run(_everybody(port, process.pid, asked.measure))
    for report in (first.report, again.report):
        for name in ("id", "date"):
            del report[name]
    assert first.report == again.report, "kept results tell something else"
    rows = [
        [
            f"one patient, {asked.rate:g} a second", str(len(single.milliseconds)),
            *(f"{single.at(share):.1f}" for share in (0.5, 0.95, 0.99)), str(single.failures),
        ]
    ]  # fmt: skip
    for name, run in (("`/health`, computing everybody", first), ("`/health`, reusing everybody", again)):
        health = run.health
        rows.append(
            [name, str(len(health.milliseconds)), *(f"{health.at(s):.1f}" for s in (0.5, 0.95, 0.99)),
             str(health.failures)]
        )  # fmt: skip
    lines = [
        f"## {kind}", "",
        table(["requests", "count", "p50 ms", "p95 ms", "p99 ms", "failures"], rows), "",
        f"One patient costs the server {single_cpu:.1f} ms of CPU time, its audit record included.", "",
    ]  # fmt: skip
    columns = ["everybody", "seconds", "patients a second", "CPU seconds", "cores busy", "progress told"]
    lines.append(
        table(
            columns,
            [
                [
                    name, f"{run.seconds:.1f}", f"{asked.patients / run.seconds:.0f}", f"{run.cpu:.1f}",
                    f"{run.cpu / run.seconds:.2f}", f"{len(run.progress)} times",
                ]
                for name, run in (("computed", first), ("reused", again))
            ],
        )
    )  # fmt: skip
    # A run that is over at once asks /health too seldom to tell a percentile.
    awake = [run.health.at(0.99) < 50 for run in (first, again) if len(run.health.milliseconds) >= 100]
    return lines, single.at(0.95) < 20 and all(awake) and not single.failures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long single patients are asked for")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--measure", default="DiabetesGlycemicControl")
    parser.add_argument("--postgresql", action="store_true", help="start a PostgreSQL server for it")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="measurewise-benchmark-"))
    try:
        with (
            postgresql()
            if asked.postgresql
            else contextlib.nullcontext(f"sqlite:///{folder}/store.db") as url
        ):
            lines, met = measured(folder, url, asked)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    head = [
        "# The server under load", "",
        f"{machine()}; {asked.patients} synthetic patients, {asked.measure}, {asked.workers} workers.", "",
    ]  # fmt: skip
    put_out("\n".join([*head, *lines, "", f"Aims {'met' if met else 'missed'}."]), asked.output)
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
