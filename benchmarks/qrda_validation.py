"""Validation of QRDA: its time beside lxml's own schematron transform, and memory over a thousand files.

    python benchmarks/qrda_validation.py speed ../shared/qrda
    python benchmarks/qrda_validation.py memory ../shared/qrda --files 1000

``speed`` pairs, on each document, the transform that lxml makes of a schematron (``lxml.isoschematron``, with
voc.xml named absolutely, its own time only) with the whole of ``validate``: reading, CDA schema, schematron,
lines and columns. Times are processor time, the least of the rounds. ``memory`` validates files of CMS's
collection, again and again until there are enough, and prints the resident memory of all processes.
"""

from __future__ import annotations

import argparse
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lxml import etree, isoschematron

from measurewise.qrda.validation import validate
from measurewise.qrda.validation.judging import Validating
from measurewise.qrda.validation.sources import sources
from measurewise.qrda.validation.workers import Ended, Workers

LIMIT = 1.2


def _lxml_transform(schematron: Path) -> etree.XSLT:
    text = schematron.read_text("utf-8").replace("'voc.xml'", f"'{(schematron.parent / 'voc.xml').as_uri()}'")
    made = isoschematron.Schematron(etree.fromstring(text.encode()), store_xslt=True, store_report=True)
    return etree.XSLT(made.validator_xslt)


def _least(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def speed(shared: Path, rounds: int) -> bool:
    """Print both times for samples and for files of the collection; are all within the limit?"""
    category3, category1 = shared / "category3", shared / "category1"
    of_2024 = _pairs(shared, ("2024/0245.xml", "2024/0201.xml", "2024/0167.xml"))
    cases = [
        *(
            ("qrda3", 2025, path.name, path.read_bytes())
            for path in sorted((category3 / "samples").glob("*.xml"))
        ),
        *(("qrda3", 2024, name, data) for name, data in of_2024.items()),
        *(
            ("qrda1", None, path.name, path.read_bytes())
            for path in sorted((category1 / "samples").glob("*.xml"))
        ),
    ]
    ratios = []
    print(f"{'document':50} {'KiB':>6} {'lxml ms':>9} {'validate ms':>12} {'ratio':>6}")
    for kind, year, name, data in cases:
        if kind == "qrda3":
            files = [category3 / "schematron" / f"PY{year}" / "EP_CAT_III.sch"]
        else:
            files = sorted((category1 / "schematron").rglob("*.sch"))
        transforms = [_lxml_transform(file) for file in files]
        tree = etree.fromstring(data).getroottree()

        def ours(data: bytes = data, kind: str = kind, year: int | None = year) -> object:
            return validate(data, kind=kind, year=year, schematron_folder=shared, xsd_folder=shared)  # type: ignore[arg-type]

        ours()
        theirs = _least(lambda tree=tree, transforms=transforms: [one(tree) for one in transforms], rounds)
        own = _least(ours, rounds)
        ratios.append(own / theirs)
        kib = len(data) / 1024
        print(f"{name[:50]:50} {kib:6.0f} {theirs * 1e3:9.1f} {own * 1e3:12.1f} {own / theirs:6.3f}")
    print(f"median {statistics.median(ratios):.3f}, greatest {max(ratios):.3f}, allowed {LIMIT}")
    return max(ratios) <= LIMIT


def memory(shared: Path, files: int, jobs: int) -> None:
    """Print resident memory while files are validated."""
    content = {name: data for name, data in _pairs(shared).items() if not name.startswith("2022/")}
    asked = Validating(schematron_folder=shared, schema_folder=shared)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(files):
            name = sorted(content)[number % len(content)]
            (Path(folder) / f"{number:05}.xml").write_bytes(content[name])
        found = sources(Path(folder))
        size = sum(one.size for one in found)
        print(f"{len(found)} files, {size / 1024**2:.0f} MiB, {jobs} processes")
        started = time.monotonic()
        ended = 0
        with Workers(asked, count=jobs) as workers:
            for number, answer in enumerate(workers.each(found), start=1):
                ended += isinstance(answer, Ended)
                if number % (files // 10) == 0:
                    own, theirs = _resident("self"), [_resident(pid) for pid in workers.process_ids]
                    seconds = time.monotonic() - started
                    told = " + ".join(f"{one:.0f}" for one in theirs)
                    print(f"{number:6} files {seconds:7.1f} s  parent {own:.0f} MiB  processes {told} MiB")
        print(f"{files / (time.monotonic() - started):.1f} files a second; {ended} given up")


def _resident(process: int | str) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def _pairs(shared: Path, names: tuple[str, ...] | None = None) -> dict[str, bytes]:
    found = {}
    with tarfile.open(shared / "category3" / "pairs.tar.xz") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if name.endswith(".xml") and (names is None or name in names):
                file = archive.extractfile(member)
                if file is not None:
                    found[name] = file.read()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["speed", "memory"])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    if given.what == "speed":
        raise SystemExit(0 if speed(given.shared.resolve(), given.rounds) else 1)
    memory(given.shared, given.files, given.jobs)


if __name__ == "__main__":
    main()
