"""Compiled programs kept on disk, so that a program is compiled once for each content and engine.

An entry is found by a key that its maker digests from everything the program hangs on: the bytes of the
libraries, the definitions asked for and, through :func:`engine_digest`, the compiler itself. Entries are
written under another name first and then moved into place, so that a reader never meets half of one; an
entry that cannot be read counts as absent. Storing one removes those that were long not asked for.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import re
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from measurewise import __version__
from measurewise.engine.compiler.program import ParameterSlot, Program, ProgramTables
from measurewise.engine.compiler.retrieval import Retrieval

DAY = 86_400
UNUSED = 60 * DAY
"""Seconds after which a program that was not asked for is removed."""

_KEY = re.compile("[0-9a-f]{32,}")

LARGEST = 512_000_000
"""Bytes of all programs kept."""


class _Tables(msgspec.Struct):
    slots: int
    definitions: list[tuple[str, str | None, str, int, str]]
    functions: list[tuple[str, str | None, str, int, str]]
    parameters: list[tuple[str, str, str, str | None]]
    retrievals: list[tuple[Retrieval, int]]
    value_sets: list[tuple[str, str | None, str]]
    libraries: list[tuple[str, str | None]]


class _Entry(msgspec.Struct):
    source: str
    code: bytes
    tables: _Tables
    beside: msgspec.Raw


class ProgramCache:
    """A folder of compiled programs; ``beside`` is what the maker keeps with one (plain data)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def default(cls) -> ProgramCache:
        """The user's cache folder: ``MEASUREWISE_CACHE``, else ``XDG_CACHE_HOME``, else ``~/.cache``."""
        chosen = os.environ.get("MEASUREWISE_CACHE")
        if chosen:
            return cls(Path(chosen))
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return cls(Path(base) / "measurewise" / "programs")

    def load(self, key: str, beside: type[Any]) -> tuple[Program, Any] | None:
        """The program kept under a key with what stands beside it (of the type ``beside``), or None."""
        try:
            path = self.folder / key
            entry = msgspec.msgpack.decode(path.read_bytes(), type=_Entry)
            # The entry was written by this engine for this interpreter: both are in the key.
            code = marshal.loads(entry.code)  # noqa: S302
            held = msgspec.msgpack.decode(entry.beside, type=beside)
            if time.time() - path.stat().st_mtime > DAY:
                os.utime(path)
        except (OSError, msgspec.MsgspecError, ValueError, EOFError, TypeError):
            return None
        return Program(entry.source, code, _read(entry.tables)), held

    def store(self, key: str, program: Program, beside: Any) -> None:
        """Keep a program. A folder that cannot be written to is no error: the program is just not kept."""
        entry = _Entry(
            program.source,
            marshal.dumps(program.code),
            _written(program.tables),
            msgspec.Raw(msgspec.msgpack.encode(beside)),
        )
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(handle, "wb") as file:
                file.write(msgspec.msgpack.encode(entry))
            os.replace(name, self.folder / key)
            self._prune()
        except OSError:
            return

    def _prune(self) -> None:
        """Remove what nobody has asked for in a long time, and the oldest where there is too much."""
        entries = []
        for entry in os.scandir(self.folder):
            # Somebody may keep other things in the folder; a key is a digest in hexadecimal digits.
            if _KEY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                facts = entry.stat()
                entries.append((facts.st_mtime, facts.st_size, entry.path))
        entries.sort(reverse=True)
        now, total = time.time(), 0
        for used, size, path in entries:
            total += size
            if total > LARGEST or now - used > UNUSED:
                os.unlink(path)


@cache
def engine_digest() -> bytes:
    """What the compiler and the interpreter are: another of either makes other keys."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{__version__} {sys.implementation.cache_tag} {sys.version}".encode())
    engine = Path(__file__).parent.parent
    for room in ("compiler", "elm", "models", "runtime"):
        for path in sorted((engine / room).rglob("*.py")):
            facts = path.stat()
            digest.update(f"{path.relative_to(engine)} {facts.st_size} {facts.st_mtime_ns}".encode())
    return digest.digest()


def _written(tables: ProgramTables) -> _Tables:
    return _Tables(
        slots=tables.slots,
        definitions=[(*key, *entry) for key, entry in tables.definitions.items()],
        functions=[(*key, function) for key, function in tables.functions.items()],
        parameters=[(p.library, p.name, p.variable, p.default) for p in tables.parameters],
        retrievals=list(tables.retrievals.items()),
        value_sets=[(*identity, variable) for identity, variable in tables.value_sets.items()],
        libraries=list(tables.libraries),
    )


def _read(tables: _Tables) -> ProgramTables:
    return ProgramTables(
        slots=tables.slots,
        definitions={(lib, ver, name): (slot, fn) for lib, ver, name, slot, fn in tables.definitions},
        functions={(lib, ver, name, arity): fn for lib, ver, name, arity, fn in tables.functions},
        parameters=tuple(ParameterSlot(*p) for p in tables.parameters),
        retrievals=dict(tables.retrievals),
        value_sets={(url, version): variable for url, version, variable in tables.value_sets},
        libraries=tuple(tables.libraries),
    )
