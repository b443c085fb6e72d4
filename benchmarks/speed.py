"""Measurewise beside fqm-execution 1.8.6 and cql-execution: one run, one machine, one core, each in turn.

    python benchmarks/speed.py [--deck ../shared/ecqm] [--output benchmarks/results/speed.md]

Every side runs warm and in process over the same texts of the official cases, one Bundle a patient, and
parses that JSON within its time. The peers (see ``fqm/run.mjs``) run over all patients in one call, which is
their faster way by far; Measurewise takes one patient after the other. What the aims compare is the median of
CPU time. Exit status 1 says that an aim was missed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import compile_speed
import whole_programme
from official_content import DECK, Json, bundle, cases
from patient_1mb import patient
from stopwatch import Timing, cpu, machine, pin, put_out, table

HERE = Path(__file__).resolve().parent

MEASURES = {
    "CMS122": "CMS122FHIRDiabetesAssessGreaterThan9Percent",
    "CMS165": "CMS165FHIRControllingHighBloodPressure",
    "CMS130": "CMS130FHIRColorectalCancerScreening",
    "CMS125": "CMS125FHIRBreastCancerScreening",
}

FQM_AIM = 500
CQL_EXECUTION_AIM = 150
CMS122_AIM = 90.0
MOST_REPETITIONS = 90
"""So many different milliseconds can ``with_new_moments`` give to patients of one second."""

WHAT_EACH_SIDE_DOES = """\
- **Measurewise**: JSON to a record with exact decimals, populations, observations and strata of the measure's
  groups. Definitions that no population needs are not evaluated. No results of single clauses.
- **fqm-execution**: populations, observations and strata, and the results of the statements, which cannot be
  switched off. HTML, coverage, clause results, supplemental data and risk adjustment are switched off.
- **cql-execution**: every definition of the measure's library, supplemental data included; no populations.
- **Memo of dates**: Measurewise remembers the dates it has read, up to some 50,000 texts. Where the same
  patients come again, as in the row "warm", all of them are known. For the row "new dateTimes" every dateTime
  of every patient has been given another second and millisecond in every repetition, so that none was seen
  before; whole days are still known, as they are in life.
- Times are CPU time: median of the repetitions, the least in brackets."""


class Ours(NamedTuple):
    """Microseconds a patient, and in how many cases the populations are the expected ones."""

    warm: Timing
    renewed: Timing
    reading: Timing
    patients: int
    mean_bytes: int
    agree: int
    agree_renewed: int


class Aim(NamedTuple):
    """What was to be shown, what was seen, and whether that is enough."""

    name: str
    seen: str
    met: bool


def texts(deck: Path, measure: str) -> list[bytes]:
    """The Bundles of a measure's official cases, as the peers get them."""
    return [_text(bundle(case["resources"])) for case in cases(deck, measure)]


def _text(content: Json) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def ours(engine: Any, deck: Path, measure: str, patients: list[bytes], repetitions: int) -> Ours:
    """Time one measure over patients, as ``measurewise evaluate`` goes about it."""
    from measurewise.engine import read_record
    from measurewise.engine.measure.expected import differences

    prepared = engine.prepare(measure, period="2026")
    evaluate = prepared.evaluate

    def every(some: list[bytes]) -> None:
        for text in some:
            evaluate(read_record(text))

    renewed = [with_new_moments(patients, repetition) for repetition in range(repetitions + 2)]
    expected = [case["expected"][0] for case in cases(deck, measure)]

    def agreeing(some: list[bytes]) -> int:
        agree = 0
        for text, report in zip(some, expected, strict=True):
            found = differences(report, prepared.measures[0], evaluate(read_record(text))[0])
            agree += all(difference.aspect != "population" for difference in found)
        return agree

    agree = agreeing(patients), agreeing(with_new_moments(patients, MOST_REPETITIONS + 2))
    again, share = iter(renewed), len(patients)
    return Ours(
        cpu(lambda: every(patients), repetitions, share=share),
        cpu(lambda: every(next(again)), repetitions, share=share, warm=2),
        cpu(lambda: [read_record(text) for text in patients], repetitions, share=share),
        share,
        round(sum(map(len, patients)) / share),
        *agree,
    )


_SECONDS = re.compile(rb"(T[0-9]{2}:[0-9]{2}):[0-9]{2}(?:\.[0-9]+)?")


def with_new_moments(patients: list[bytes], repetition: int) -> list[bytes]:
    """The patients with a second and millisecond in dateTimes that no other patient or repetition has."""
    return [
        _SECONDS.sub(rb"\1:%02d.%03d" % (number % 60, repetition * 10 + number // 60), text)
        for number, text in enumerate(patients)
    ]


def peers(deck: Path, measure: str, repetitions: int, patients: Path | None = None) -> Json:
    """What ``fqm/run.mjs`` reports of one measure. Raises CalledProcessError where it cannot run."""
    folder = HERE / "fqm"
    if not (folder / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--silent"], cwd=folder, check=True)
    command = ["node", "--expose-gc", "run.mjs", "--deck", str(deck.resolve()), "--measure", measure]
    command += ["--repetitions", str(repetitions), "--pass", "batch", "--pass", "engine_batch"]
    if patients is not None:
        command += ["--patients", str(patients)]
    done = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
    report: Json = json.loads(done.stdout)
    return report


def compare(deck: Path, repetitions: int, peer_repetitions: int | None) -> tuple[list[str], list[Aim]]:
    """The section of the four measures; without repetitions for the peers they are left out."""
    engine = _engine(deck)
    rows, aims, agreed = [], [], []
    for name, measure in MEASURES.items():
        patients = texts(deck, measure)
        mine = ours(engine, deck, measure, patients, repetitions)
        their = None if peer_repetitions is None else peers(deck, measure, peer_repetitions)
        rows += _rows(name, mine, their)
        agreed.append(f"{name} {mine.agree} and {mine.agree_renewed} of {mine.patients}")
        if their is not None:
            fqm = their["fqm_agrees_with_expected"]
            agreed[-1] += f" (fqm-execution {fqm['agree']})"
            aims += _ratio_aims(name, mine, their)
        if name == "CMS122":
            seen = f"{mine.warm.median:.1f} µs, {mine.renewed.median:.1f} µs with new dateTimes"
            aims.append(Aim("CMS122 under 90 µs a patient", seen, mine.renewed.median < CMS122_AIM))
    columns = ["a patient", "Measurewise µs", "fqm-execution ms", "ratio", "cql-execution ms", "ratio"]
    lines = ["## Four measures over their official cases", "", table(columns, rows), ""]
    lines.append(
        "Cases whose populations are those of the official report, as they are and with new dateTimes:"
        f" {', '.join(agreed)}."
    )
    return lines, aims


def _engine(deck: Path) -> Any:
    from measurewise.engine import Engine, load_content

    content = load_content(deck / "measures", deck / "libraries", deck / "valuesets.ndjson.gz")
    return Engine(content, missing_valuesets="empty")


def _rows(name: str, mine: Ours, their: Json | None) -> list[list[str]]:
    rows = []
    for label, timing in (("warm", mine.warm), ("new dateTimes", mine.renewed)):
        row = [
            f"{name}, {mine.patients} of {mine.mean_bytes / 1000:.1f} kB, {label}",
            f"{timing.median:.1f} ({timing.least:.1f})",
        ]
        for way in ("batch", "engine_batch"):
            if their is None:
                row += ["n/a", "n/a"]
            else:
                found = their["ms_per_patient"][way]
                row += [
                    f"{found['cpu_ms']:.1f} ({found['cpu_least']:.1f})",
                    f"{found['cpu_ms'] * 1000 / timing.median:,.0f}",
                ]
        rows.append(row)
    reading = f"{mine.reading.median:.1f} ({mine.reading.least:.1f})"
    rows.append([f"{name}, reading the JSON alone", reading, "", "", "", ""])
    return rows


def _ratio_aims(name: str, mine: Ours, their: Json) -> list[Aim]:
    aims = []
    for peer, way, aim in (
        ("fqm-execution", "batch", FQM_AIM),
        ("cql-execution", "engine_batch", CQL_EXECUTION_AIM),
    ):
        theirs = their["ms_per_patient"][way]["cpu_ms"] * 1000
        warm, forgetful = theirs / mine.warm.median, theirs / mine.renewed.median
        seen = f"{warm:,.0f}×, {forgetful:,.0f}× with new dateTimes"
        aims.append(Aim(f"{name}: {aim}× {peer}", seen, min(warm, forgetful) >= aim))
    return aims


def large_patient(deck: Path, repetitions: int, peer_repetitions: int | None) -> list[str]:
    """The section of the 1 MB patient, measure by measure."""
    engine = _engine(deck)
    text = _text(patient(deck))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "patient_1mb.ndjson"
        file.write_bytes(text)
        for name, measure in MEASURES.items():
            prepared = engine.prepare(measure, period="2026")
            took = cpu(partial(_evaluate, prepared, text), repetitions)
            row = [name, f"{took.median / 1000:.2f} ({took.least / 1000:.2f})"]
            if peer_repetitions is not None:
                found = peers(deck, measure, peer_repetitions, file)["ms_per_patient"]
                for way in ("batch", "engine_batch"):
                    row.append(f"{found[way]['cpu_ms']:.0f} ({found[way]['cpu_least']:.0f})")
                    row.append(f"{found[way]['cpu_ms'] * 1000 / took.median:,.0f}")
            rows.append(row + ["n/a"] * (6 - len(row)))
    columns = ["ms", "Measurewise", "fqm-execution", "ratio", "cql-execution", "ratio"]
    return [f"## One patient of {len(text) / 1e6:.2f} MB", "", table(columns, rows)]


def _evaluate(prepared: Any, text: bytes) -> None:
    from measurewise.engine import read_record

    prepared.evaluate(read_record(text))


def compiling(deck: Path) -> tuple[list[str], list[Aim]]:
    """The section of compiling CMS122."""
    found = compile_speed.cold_and_cached(deck)
    cold, text, cached = (found[way]["compile"].median for way in ("cold", "text", "cached"))
    aims = [
        Aim("compile CMS122 cold under 1 s", f"{cold:.0f} ms", cold < compile_speed.COLD_AIM),
        Aim("CMS122 from CQL text under 1.5 s", f"{text:.0f} ms", text < compile_speed.TEXT_AIM),
        Aim("CMS122 from the code cache under 50 ms", f"{cached:.0f} ms", cached < compile_speed.CACHED_AIM),
    ]
    return ["## Compiling CMS122 with its libraries", "", compile_speed.shown(found)], aims


def programme(deck: Path) -> tuple[list[str], list[Aim]]:
    """The section of 25 measures over the 1 MB patient."""
    title = "## 25 measures for eligible clinicians over the 1 MB patient"
    if find_spec("orjson") is None:
        return [title, "", "n/a: `pip install orjson`"], []
    found = whole_programme.measured(deck)
    turn, alone = found.in_turn.ratio(), found.alone.ratio()
    seen = f"{turn:.2f}× in turn, {alone:.2f}× alone"
    aim = Aim("25 measures over 1 MB: 2× orjson's parse", seen, found.ratio() <= whole_programme.AIM)
    return [title, "", whole_programme.shown(found)], [aim]


def cqlpy(deck: Path, python: str | None) -> list[str]:
    """The section of cqlpy, which computes no population: its retrieves alone."""
    command = [sys.executable, str(HERE / "cqlpy_peer.py"), "--json", "--deck", str(deck)]
    done = subprocess.run(
        [*command, *(["--python", python] if python else [])], check=False, stdout=subprocess.PIPE, text=True
    )
    title = "## cqlpy"
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return [title, "", "n/a: cqlpy_peer.py could not run"]
    timing, holds = report["timing"], sum(fact["holds"] for fact in report["facts"])
    return [
        title,
        "",
        f"cqlpy {report['version']} cannot be given CMS122. Its {timing['retrieves']} retrieves alone, over a"
        f" patient of {timing['bytes'] / 1e6:.2f} MB: {timing['ms']} ms by the clock, {timing['json_ms']} ms"
        f" of it parsing JSON. {holds} of {len(report['facts'])} facts behind decision 0001 hold.",
    ]


def main() -> int:
    arguments = argparse.ArgumentParser(description="Measurewise beside its peers.")
    arguments.add_argument("--deck", type=Path, default=DECK)
    arguments.add_argument("--core", type=int, default=0, help="the core that every side runs on in turn")
    arguments.add_argument("--repetitions", type=int, default=41)
    arguments.add_argument("--peer-repetitions", type=int, default=5)
    arguments.add_argument("--no-peers", action="store_true", help="leave out what needs Node")
    arguments.add_argument("--no-cqlpy", action="store_true", help="leave out cqlpy")
    arguments.add_argument("--cqlpy-python", help="interpreter of an environment that has cqlpy")
    arguments.add_argument("--large", action="store_true", help="also the peers over the 1 MB patient")
    arguments.add_argument("--output", type=Path, help="Markdown file for the results")
    given = arguments.parse_args()
    if not 1 <= given.repetitions <= MOST_REPETITIONS:
        arguments.error(f"--repetitions is from 1 to {MOST_REPETITIONS}")
    if not given.deck.is_dir():
        print(f"{given.deck} is not there. Name the official content's folder with --deck.", file=sys.stderr)
        return 2
    if not given.no_peers and not (shutil.which("node") and shutil.which("npm")):
        print("The peers need Node 18 or newer with npm; --no-peers leaves them out.", file=sys.stderr)
        return 2
    pinned = pin(given.core)
    peer_repetitions = None if given.no_peers else given.peer_repetitions
    sections, aims = compare(given.deck, given.repetitions, peer_repetitions)
    more, further = compiling(given.deck)
    sections, aims = [*sections, "", *more], [*aims, *further]
    more, further = programme(given.deck)
    sections, aims = [*sections, "", *more], [*aims, *further]
    if given.large:
        sections += ["", *large_patient(given.deck, given.repetitions, peer_repetitions)]
    if not given.no_cqlpy:
        sections += ["", *cqlpy(given.deck, given.cqlpy_python)]
    verdicts = table(
        ["aim", "seen", "met"], [[aim.name, aim.seen, "yes" if aim.met else "NO"] for aim in aims]
    )
    where = "every side pinned to one core, in turn" if pinned else "not pinned: this system cannot"
    head = ["# Speed", "", f"{date.today()}. {machine()}; {where}.", "", verdicts, ""]
    put_out(
        "\n".join([*head, *sections, "", "## What each side does", "", WHAT_EACH_SIDE_DOES]), given.output
    )
    return 0 if all(aim.met for aim in aims) else 1


if __name__ == "__main__":
    sys.exit(main())
