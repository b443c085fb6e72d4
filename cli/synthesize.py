"""``measurewise synthesize``: synthetic patients, as many as wanted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from measurewise.cli.options import AsJson
from measurewise.cli.output import WholeFile, print_json
from measurewise.cli.progress import display
from measurewise.engine.errors import MeasurewiseError

_SHOWN_EVERY = 20


def synthesize(
    *,
    patients: Annotated[int, Parameter(help="How many.")],
    seed: Annotated[int, Parameter(help="The same seed and year give the same patients.")] = 1,
    year: Annotated[int, Parameter(help="The measurement year they are made for.")] = 2026,
    output: Annotated[
        Path | None,
        Parameter(help="File for NDJSON, a bundle a line; a name without a suffix: a folder of bundles."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Make synthetic patients whose records reach every population of the measures that ship.

    Without --output the bundles go to stdout, one a line.
    """
    from measurewise.synthetic import synthesize as made
    from measurewise.synthetic import write_folder, write_ndjson

    if patients < 1:
        raise MeasurewiseError("there must be someone to make.", where="--patients", mend="Give 1 or more.")
    if json and output is None:
        raise MeasurewiseError(
            "the patients would go to stdout too.", where="--json", mend="Give --output for the patients."
        )
    with display("Making", patients, "patients") as shown:

        def told() -> Iterator[dict[str, Any]]:
            for number, bundle in enumerate(made(patients, seed, year), start=1):
                yield bundle
                if number % _SHOWN_EVERY == 0:
                    shown.advance(number, number)

        if output is None:
            write_ndjson(told(), sys.stdout.buffer)
        elif output.suffix:
            with WholeFile(output) as file:
                write_ndjson(told(), file.stream)
        else:
            write_folder(told(), output)
    if json:
        print_json({"patients": patients, "seed": seed, "year": year, "output": str(output)})
    elif output is not None:
        print(f"{patients:,} synthetic patients for {year} (seed {seed}): {output}")
    return 0
