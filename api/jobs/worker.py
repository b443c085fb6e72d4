"""A worker: claims steps of jobs from the store and does them, until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import structlog

from measurewise.api.fhir.outcomes import outcome_of
from measurewise.api.jobs import kinds
from measurewise.api.jobs.auditing import write_down
from measurewise.api.jobs.kind import Kind
from measurewise.api.jobs.subscribing import look_after_all
from measurewise.api.services.context import Services, open_services
from measurewise.api.settings import Settings
from measurewise.engine.errors import MeasurewiseError
from measurewise.engine.measure.reports.edge import to_json
from measurewise.store import jobs
from measurewise.store.database import again
from measurewise.store.jobs import Step

_IDLE: Final = 0.05
_LONGEST_IDLE: Final = 1.0
_LOOK: Final = 2.0
"""Seconds between looks whether a source's Subscriptions are due."""
_PROLONG: Final = jobs.CLAIM.total_seconds() / 4

_log = structlog.stdlib.get_logger("measurewise.worker")


class Worker:
    """Does steps, one at a time. Several, in one process or many, share the work by themselves."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.name = f"{socket.gethostname()[:24]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.stopping = threading.Event()

    def run(self) -> None:
        """Work until ``stopping`` is set; the step under way is ended first."""
        idle = _IDLE
        look = 0.0
        while not self.stopping.is_set():
            if time.monotonic() >= look:
                look = time.monotonic() + _LOOK
                self._look_after()
            if self.work_once():
                idle = _IDLE
            else:
                self.stopping.wait(idle)
                idle = min(2 * idle, _LONGEST_IDLE)

    def _look_after(self) -> None:
        """Look after the Subscriptions at sources; a fault in this keeps no job from being done."""
        try:
            look_after_all(self._services)
        except Exception:
            _log.exception("subscriptions not looked after")

    def work_once(self) -> bool:
        """Do one step, if there is one to do."""
        step = jobs.claim(self._services.database, self.name)
        if step is None:
            return False
        kind = kinds.named(step.job.kind)
        started = time.monotonic()
        try:
            with self._held(step) as lost:
                again(lambda: self._do(kind, step, lost))
        except MeasurewiseError as error:
            self._failed(step, error)
        except Exception:
            # Left claimed: it is tried again when the claim runs out, a bounded number of times.
            _log.exception("step failed", job=step.job.id, step=step.number, attempt=step.attempts)
            return True
        _log.info(
            "step", job=step.job.id, kind=step.job.kind, step=step.number,
            milliseconds=round((time.monotonic() - started) * 1000),
        )  # fmt: skip
        return True

    def _do(self, kind: Kind, step: Step, lost: threading.Event) -> None:
        database = self._services.database
        if step.finishing:
            with database.read() as connection:
                found = jobs.outcomes(connection, step.job.id)
            result = kind.finish(self._services, step.job, found)
            with database.write() as connection:
                jobs.complete(connection, step, result)
        elif step.number == jobs.PLAN:
            plan = kind.plan(self._services, step.job)
            with database.write() as connection:
                jobs.plan(connection, step, plan.works, plan.total, plan.progress)
        else:
            done = kind.step(self._services, step.job, step.work, lambda: not lost.is_set())
            if lost.is_set():
                return
            with database.write() as connection:
                write_down(connection, step.job, done.patients)
                jobs.done(connection, step, done.outcome, done.count)

    @contextmanager
    def _held(self, step: Step) -> Iterator[threading.Event]:
        """Hold the claim as long as the step takes; the event is set where it was lost."""
        lost, ended = threading.Event(), threading.Event()

        def hold() -> None:
            while not ended.wait(_PROLONG):
                with self._services.database.write() as connection:
                    if not jobs.prolong(connection, step, self.name):
                        lost.set()
                        return

        keeper = threading.Thread(target=hold, daemon=True)
        keeper.start()
        try:
            yield lost
        finally:
            ended.set()
            keeper.join()

    def _failed(self, step: Step, error: MeasurewiseError) -> None:
        # What is wrong may name a patient: who asked finds it in the job's result.
        _log.warning("job failed", job=step.job.id, kind=step.job.kind, code=error.code)
        with self._services.database.write() as connection:
            write_down(connection, step.job, (), error=error)
            jobs.fail(connection, step, to_json(outcome_of(error)), error.what)


def run_worker(settings: Settings) -> None:
    """One worker as a process of its own; SIGTERM and SIGINT end it after the step under way."""
    worker = Worker(open_services(settings))

    def stop(_signal: int, _frame: FrameType | None) -> None:
        worker.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    worker.run()
