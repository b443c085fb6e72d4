"""How much of the time that pulling and evaluating takes is waiting for the server.

Starts HAPI FHIR (Java 17, Maven), loads synthetic patients, then pulls and evaluates five measures by
searches. The server shares this machine's cores, so its own processor time is shown too.

    python benchmarks/pull_from_hapi.py --patients 2000
    python benchmarks/pull_from_hapi.py --server http://127.0.0.1:8080/fhir    # one that is loaded already
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "hapi"))

from agreement import Measures  # noqa: E402
from hapi_process import Hapi, build, hapi_server  # noqa: E402
from hapi_records import load, synthetic_records  # noqa: E402

from measurewise.fhir_server_adapter.capabilities import read_capabilities  # noqa: E402
from measurewise.fhir_server_adapter.client import FhirClient  # noqa: E402
from measurewise.fhir_server_adapter.pulling import EverythingPatients, SearchedPatients  # noqa: E402
from measurewise.fhir_server_adapter.sources import PatientSource  # noqa: E402


async def pulled(base_url: str, measures: Measures, way: str, concurrency: int) -> tuple[int, float, float]:
    """Patients, seconds, and seconds of this process's own processor time."""
    async with FhirClient(base_url, concurrency=concurrency, timeout=300) as client:
        plan = measures.plan(await read_capabilities(client))
        source: PatientSource = (
            SearchedPatients(client, plan)
            if way == "searches"
            else EverythingPatients(client, by_reference=plan.by_reference)
        )
        wall, own = time.perf_counter(), time.process_time()
        found = await measures.counted(source)
        if source.faults:
            raise SystemExit("\n".join(source.faults[:10]))
        return len(found), time.perf_counter() - wall, time.process_time() - own


def measure(base_url: str, server: Hapi | None, options: argparse.Namespace) -> None:
    """Pull and evaluate, and print what it took."""
    measures = Measures(ROOT.parent / "shared" / "ecqm")
    for _ in range(options.rounds):
        before = server.cpu_seconds() if server else 0.0
        patients, wall, own = asyncio.run(pulled(base_url, measures, options.way, options.concurrency))
        said = f", HAPI {server.cpu_seconds() - before:.1f} s of its own" if server else ""
        print(
            f"{options.way}: {patients:,} patients x {measures.count} measures in {wall:.1f} s; "
            f"this process {own:.1f} s of processor time{said}; waiting {1 - own / wall:.1%}"
        )


def main() -> None:
    """Read the options, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--way", choices=["searches", "everything"], default="searches")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", help="a server that runs and is loaded, in place of one of its own")
    options = parser.parse_args()
    if options.server:
        measure(options.server, None, options)
        return
    with hapi_server(build()) as server:
        started = time.perf_counter()
        asyncio.run(load(server.base_url, synthetic_records(options.patients)))
        server.analyze()
        print(f"loaded {options.patients:,} patients in {time.perf_counter() - started:.0f} s")
        measure(server.base_url, server, options)


if __name__ == "__main__":
    main()
