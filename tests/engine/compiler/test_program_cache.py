"""Compiled programs on disk: what stays and what is removed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from measurewise.engine.compiler import cache
from measurewise.engine.compiler.cache import ProgramCache
from measurewise.engine.compiler.program import Program, ProgramTables

PROGRAM = Program("x = 1", compile("x = 1", "given", "exec"), ProgramTables(2, {}, {}, (), {}, {}, ()))
DAY = 86_400


def key(letter: str) -> str:
    return letter * 32


def aged(folder: Path, name: str, days: float) -> None:
    moment = time.time() - days * DAY
    os.utime(folder / name, (moment, moment))


def test_a_program_comes_back_as_it_was_stored(tmp_path):
    kept = ProgramCache(tmp_path / "programs")
    kept.store(key("a"), PROGRAM, ["beside"])
    program, beside = kept.load(key("a"), list[str])
    assert (program.source, program.tables, beside) == (PROGRAM.source, PROGRAM.tables, ["beside"])
    assert kept.load(key("b"), list[str]) is None


def test_what_was_long_not_asked_for_is_removed_and_nothing_else(tmp_path):
    kept = ProgramCache(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    for letter in "abc":
        kept.store(key(letter), PROGRAM, [])
    for name, days in ((key("a"), 61), (key("b"), 59), (key("c"), 61), ("notes.txt", 400)):
        aged(tmp_path, name, days)
    assert kept.load(key("c"), list[str]) is not None
    kept.store(key("d"), PROGRAM, [])
    assert sorted(os.listdir(tmp_path)) == [key("b"), key("c"), key("d"), "notes.txt"]


def test_the_oldest_go_where_there_is_too_much(tmp_path, monkeypatch: pytest.MonkeyPatch):
    kept = ProgramCache(tmp_path)
    kept.store(key("a"), PROGRAM, [])
    for days, letter in enumerate("bca", 1):
        kept.store(key(letter), PROGRAM, [])
        aged(tmp_path, key(letter), days)
    monkeypatch.setattr(cache, "LARGEST", int((tmp_path / key("a")).stat().st_size * 2.5))
    kept.store(key("d"), PROGRAM, [])
    assert sorted(os.listdir(tmp_path)) == [key("b"), key("d")]
