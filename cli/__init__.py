"""The command line: ``measurewise evaluate``, ``deck``, ``compile``, ``synthesize``.

Each sub-command is a file, which imports what it needs when it runs, so that ``--help`` is there at once.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, ``sys.argv`` by default, and give its exit status."""
    from measurewise.cli.app import run

    return run(arguments)
