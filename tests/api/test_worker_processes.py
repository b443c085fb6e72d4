"""Worker processes beside the server: one that dies is replaced, and none outlives the server."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from measurewise.api.jobs.processes import WorkerProcesses


def until(found: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not found() and time.monotonic() < end:
        time.sleep(0.05)
    assert found()


def test_a_worker_that_dies_is_replaced_and_all_end_when_told() -> None:
    processes = WorkerProcesses(2, signal.pause)
    try:
        first, second = (process.pid for process in processes._running)
        assert first is not None
        os.kill(first, signal.SIGKILL)
        until(lambda: processes._running[0].pid != first and processes._running[0].is_alive())
        assert processes._running[1].pid == second
    finally:
        processes.end()
    assert not any(process.is_alive() for process in processes._running)


def test_without_workers_there_is_nothing_to_end() -> None:
    WorkerProcesses(0, signal.pause).end()
