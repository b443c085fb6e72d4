"""The commands under one name, and what becomes of errors.

Exit status: 0 when all went well; 1 when patients failed or cases differ; 2 when the command could not be
done (wrong usage, content or input that cannot be used); 130 when interrupted. Only a fault of the program
shows a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from cyclopts import App
from cyclopts.exceptions import CycloptsError

import measurewise
from measurewise.cli.output import print_json
from measurewise.engine.errors import MeasurewiseError

FAILED: Final = 2
INTERRUPTED: Final = 130

app = App(
    name="measurewise",
    help="Clinical quality measures (eCQM) computed from FHIR records.",
    version=measurewise.__version__,
    suppress_keyboard_interrupt=False,
)
app.command(
    "measurewise.cli.evaluate:evaluate",
    help="Evaluate measures over patients: populations, scores, MeasureReports.",
    sort_key=1,
)
app.command(
    "measurewise.cli.deck:deck",
    help="Run a deck of published test cases and show which pass.",
    sort_key=2,
)
app.command(
    "measurewise.cli.compile:compile_measure",
    name="compile",
    help="Compile a measure and tell what it consists of, or show the Python that runs.",
    sort_key=3,
)
app.command(
    "measurewise.cli.synthesize:synthesize",
    help="Make synthetic patients.",
    sort_key=4,
)
app.command(
    "measurewise.cli.translate:translate",
    help="Translate CQL to ELM JSON.",
    sort_key=5,
)
app.command(
    "measurewise.cli.format:format_files",
    name="format",
    help="Lay out CQL anew.",
    sort_key=6,
)
app.command(
    "measurewise.cli.lint:lint",
    help="Tell what an author of CQL should look at.",
    sort_key=7,
)
app.command(
    "measurewise.cli.repl:repl",
    help="Evaluate CQL as it is typed, against a patient.",
    sort_key=8,
)
app.command(
    "measurewise.cli.conformance:conformance",
    help="Run the official conformance tests of CQL.",
    sort_key=9,
)
app.command(
    "measurewise.cli.qrda3:qrda3",
    help="Validate, convert, read and write QRDA III reports.",
    sort_key=10,
)
app.command(
    "measurewise.cli.qrda1:qrda1",
    help="Write QRDA I documents from FHIR records, read them into FHIR, and validate them.",
    sort_key=12,
)
app.command(
    "measurewise.cli.qpp:qpp",
    help="Write, read, judge, merge and send QPP submissions.",
    sort_key=11,
)
app.command(
    "measurewise.cli.serve:serve",
    help="Serve measures and patients' data over FHIR.",
    sort_key=20,
)
app.command(
    "measurewise.cli.serve:worker",
    help="Do the long work of a server, in a process of its own.",
    sort_key=21,
)
app.command(
    "measurewise.cli.content:content",
    help="Add, list and remove measures, libraries and value sets of the server.",
    sort_key=22,
)
app.command(
    "measurewise.cli.store:store",
    help="Look after the database of the server.",
    sort_key=23,
)
app.command(
    "measurewise.cli.sync:source",
    help="Name FHIR servers whose patients the server keeps.",
    sort_key=24,
)
app.command(
    "measurewise.cli.sync:sync",
    help="Bring a source's patients into the store, and then what changes.",
    sort_key=25,
)
app.command(
    "measurewise.cli.attribute:attribute",
    help="Write the Group of those who count for a clinician or a practice.",
    sort_key=26,
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit status. Errors that a user can cause are printed on one line."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in tokens
    try:
        status = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except MeasurewiseError as error:
        return _failed(error, as_json)
    except CycloptsError as error:
        usage = MeasurewiseError(
            " ".join(str(error).split()), mend="See measurewise --help, and --help of each command."
        )
        return _failed(usage, as_json)
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has enough; the interpreter must not try to flush the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _failed(error: MeasurewiseError, as_json: bool) -> int:
    """One line on stderr, and with ``--json`` an object on stdout, where a program looks for one."""
    print(f"measurewise: {' '.join(str(error).split())}", file=sys.stderr)
    if as_json:
        parts = {"code": error.code, "what": error.what, "where": error.where, "mend": error.mend}
        print_json({"error": {name: part for name, part in parts.items() if part}})
    return FAILED
