"""Worker processes beside the web process: started, started again when one dies, and ended with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Final

import structlog

_SOON: Final = 1.0
_NICENESS: Final = 5
_PATIENCE: Final = 30.0

_log = structlog.stdlib.get_logger("measurewise.worker")


class WorkerProcesses:
    """So many processes that run ``work``; one that dies is replaced, a second later at the soonest.

    ``work`` is a function of a module, since the processes are fresh interpreters: the server's threads and
    connections must not be copied into them.
    """

    def __init__(self, number: int, work: Callable[[], object]) -> None:
        self._work = work
        self._ending = threading.Event()
        self._running = [self._start(place) for place in range(number)]
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        if number:
            self._watcher.start()

    def end(self) -> None:
        """Tell all to end after the step under way, and wait for them."""
        self._ending.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for process in self._running:
            process.terminate()
        until = time.monotonic() + _PATIENCE
        for process in self._running:
            process.join(timeout=max(0.0, until - time.monotonic()))

    def _watch(self) -> None:
        while not self._ending.is_set():
            wait([process.sentinel for process in self._running], timeout=_SOON)
            for place, process in enumerate(self._running):
                if process.exitcode is not None and not self._ending.wait(_SOON):
                    _log.warning("worker died", process=process.name, exit=process.exitcode)
                    self._running[place] = self._start(place)

    def _start(self, place: int) -> BaseProcess:
        process = multiprocessing.get_context("spawn").Process(
            target=_run, args=(self._work,), name=f"measurewise-worker-{place}"
        )
        process.start()
        return process


def _run(work: Callable[[], object]) -> None:
    # The web process has the right of way.
    os.nice(_NICENESS)
    _end_with_parent()
    work()


def _end_with_parent() -> None:
    """End with the server, however it ends: a worker without it would go on unseen."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
