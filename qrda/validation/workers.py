"""Processes that do one kind of work on many items, each within a time limit.

A transform that hangs cannot be interrupted from within its process, so the process is ended and another
takes its place; so it is when one crashes or asks for more memory than it may have.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Generic, Literal, TypeVar

from measurewise.engine.errors import MeasurewiseError

T = TypeVar("T")
R = TypeVar("R")

TIME_LIMIT: Final = 60.0
MEMORY_LIMIT: Final = 2 * 1024 * 1024 * 1024
_START_LIMIT: Final = 60.0
# How many items may be under way or done and not yet asked for, a process: what keeps memory flat.
_AHEAD: Final = 4
_METHOD: Final = "spawn"


@dataclass(frozen=True, slots=True)
class Ended:
    """What there is in place of a result when the process had to be ended."""

    reason: Literal["time", "memory", "crash"]

    @property
    def text(self) -> str:
        """For people."""
        return {
            "time": "the file took longer than the time that one may take, and was given up.",
            "memory": "the file needed more memory than one may take, and was given up.",
            "crash": "the process that read the file ended unexpectedly.",
        }[self.reason]


class Workers(Generic[T, R]):
    """``count`` processes that call ``work``, which must be picklable, as must its items and results.

    ``time_limit`` is in seconds a item, ``memory_limit`` in bytes of address space a process (where the
    system has such a limit). A context manager; the processes start with the first item. One thread at a time
    may ask for results, and takes those of one call of ``each`` before it makes another.
    """

    def __init__(
        self,
        work: Callable[[T], R],
        *,
        count: int = 1,
        time_limit: float = TIME_LIMIT,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self._work = work
        self._count = count
        self._time_limit = time_limit
        self._memory_limit = memory_limit
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers[T, R]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    @property
    def process_ids(self) -> list[int]:
        """The processes that run now."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def one(self, item: T) -> R | Ended:
        """The result for one item; raises what ``work`` raises."""
        return next(self.each([item]))

    def each(self, items: Iterable[T]) -> Iterator[R | Ended]:
        """The results in the order of the items; raises what ``work`` raises."""
        waiting = iter(enumerate(items))
        done: dict[int, R | Ended] = {}
        given = told = 0
        exhausted = False
        while True:
            while not exhausted and given - told < self._count * _AHEAD:
                worker = self._idle()
                if worker is None:
                    break
                try:
                    number, item = next(waiting)
                except StopIteration:
                    exhausted = True
                    break
                given += 1
                worker.give(number, item)
            if exhausted and told == given:
                return
            if told not in done:
                self._gather(done)
            while told in done:
                result = done.pop(told)
                told += 1
                yield result

    def _idle(self) -> _Worker | None:
        for worker in self._workers:
            if worker.number is None:
                return worker
        if len(self._workers) < self._count:
            self._workers.append(_Worker(self._work, self._time_limit, self._memory_limit))
            return self._workers[-1]
        return None

    def _gather(self, done: dict[int, Any]) -> None:
        """Wait for a result, or for a process to run out of time."""
        busy = [worker for worker in self._workers if worker.number is not None]
        left = min(worker.deadline for worker in busy) - time.monotonic()
        ready = wait([worker.connection for worker in busy], timeout=max(0.0, left))
        for worker in busy:
            number = worker.number
            if worker.connection in ready:
                outcome = worker.take()
                if outcome is None:
                    continue
            elif worker.deadline <= time.monotonic():
                outcome = Ended("time")
            else:
                continue
            if isinstance(outcome, Ended):
                worker.end()
                self._workers.remove(worker)
            if isinstance(outcome, MeasurewiseError):
                self.close()
                raise outcome
            if number is not None:
                done[number] = outcome


class _Worker:
    """One process; ``number`` is that of the item it works on."""

    def __init__(self, work: Callable[[Any], Any], time_limit: float, memory_limit: int) -> None:
        context = multiprocessing.get_context(_METHOD)
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_run, args=(theirs, work, memory_limit), daemon=True)
        self.process.start()
        theirs.close()
        self.number: int | None = None
        self._time_limit = time_limit
        self._started = False
        self.deadline = time.monotonic() + _START_LIMIT

    def give(self, number: int, item: Any) -> None:
        self.number = number
        if self._started:
            self.deadline = time.monotonic() + self._time_limit
        try:
            self.connection.send(item)
        except (BrokenPipeError, ConnectionResetError):
            # The end of the process is told when its answer is looked for.
            self.deadline = time.monotonic()

    def take(self) -> Any:
        """The result; None when the process only tells that it has started."""
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionResetError):
            return Ended("crash")
        if not self._started:
            self._started = True
            self.deadline = time.monotonic() + self._time_limit
            return None
        self.number = None
        return answer

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()
        self.process.close()


def _run(connection: Connection, work: Callable[[Any], Any], memory_limit: int) -> None:
    """What a process does until its connection is closed."""
    # The parent hears of an interruption and ends its processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory(memory_limit)
    connection.send(None)
    while True:
        try:
            item = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer: Any = work(item)
        except MemoryError:
            answer = Ended("memory")
        except MeasurewiseError as error:
            answer = error
        connection.send(answer)


def _limit_memory(limit: int) -> None:
    try:
        import resource
    except ImportError:
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    # Some systems know the limit and let nobody set it.
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
