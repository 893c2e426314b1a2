"""Several processes that do the same work, and the one that looks after them.

uvicorn has a supervisor too. This one differs where it matters in production: one process that cannot start again (the
database is away for a moment) does not end the others, a signal is heeded at once and not after a round of questions,
processes that do not stop are ended, and when the supervisor itself is killed its processes stop. A process is known to
be alive by its event loop, which says so every second, rather than by a thread.
"""

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

logger = logging.getLogger("uvicorn.error")  # with the lines of the servers, in their format

BEAT_SECONDS = 1.0
HUNG_SECONDS = 30.0
"""After how long without a word a process is taken to hang."""
START_SECONDS = 120.0
"""How long a process may take to begin."""
STOP_SECONDS = 9.5
"""How long a process that was told to stop is waited for."""
_LONGEST_PAUSE = 30.0


class NoneStarted(Exception):
    """The work cannot be begun; the processes have said why."""


class Beat:
    """Tells the supervisor that the work goes on: its first word says that it has begun."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        os.set_blocking(line.fileno(), False)

    def __call__(self) -> bool:
        """Says so; ``False`` when there is no supervisor any more."""
        try:
            os.write(self._line.fileno(), b".")
        except BlockingIOError:  # it does not listen just now
            return True
        except OSError:
            return False
        return True


Work = Callable[[Connection], None]
"""What a process does: it hands the line to a ``Beat`` and stops upon SIGTERM. It is pickled."""


class _Worker:
    """One process."""

    def __init__(self, work: Work) -> None:
        reader, writer = multiprocessing.Pipe(duplex=False)
        self.process: SpawnProcess = multiprocessing.get_context("spawn").Process(target=work, args=(writer,))
        self.process.start()
        writer.close()  # the process has its own; a line without a writer has ended
        os.set_blocking(reader.fileno(), False)
        self.line = reader
        self.serves = False
        self.heard_at = time.monotonic()
        self.told_at = 0.0

    def listen(self) -> bool:
        """Takes in what it has said; whether that was its first word."""
        with suppress(OSError):
            if os.read(self.line.fileno(), 4_096):
                first, self.serves = not self.serves, True
                self.heard_at = time.monotonic()
                return first
        return False

    @property
    def hangs(self) -> bool:
        """Whether nothing was heard for too long."""
        return time.monotonic() - self.heard_at > (HUNG_SECONDS if self.serves else START_SECONDS)

    @property
    def has_ended(self) -> bool:
        """Whether it is gone; then it is forgotten."""
        if self.process.is_alive():
            return False
        self.process.join()
        self.line.close()
        return True

    def stop(self) -> None:
        """Tells it to stop."""
        self.told_at = time.monotonic()
        self.process.terminate()


class Supervisor:
    """Keeps ``count`` processes at ``work``, and begins anew what ends.

    SIGTERM and SIGINT stop all of them. SIGHUP replaces one after the other: the next one is stopped when the one that
    takes its place serves.
    """

    def __init__(self, work: Work, count: int) -> None:
        self._work = work
        self._count = count
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._begin_at: list[float] = []
        self._failures = 0
        self._has_served = False
        self._stopping = False
        self._asked_to_replace = False
        self._to_replace: list[_Worker] = []
        self._replacement: _Worker | None = None

    def run(self) -> None:
        """Runs until it is told to stop; raises ``NoneStarted`` when the first processes end before they serve."""
        reader, writer = os.pipe()
        for descriptor in (reader, writer):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(writer)  # so that a signal ends the waiting
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._told_to_stop)
        if sys.platform != "win32":
            signal.signal(signal.SIGHUP, self._told_to_replace)
        logger.info("Process [%d] looks after %d workers", os.getpid(), self._count)
        try:
            self._workers = [_Worker(self._work) for _ in range(self._count)]
            while not self._stopping:
                lines = [each.line for each in (*self._workers, *self._leaving)]
                ends = [each.process.sentinel for each in (*self._workers, *self._leaving)]
                wait([reader, *lines, *ends], timeout=BEAT_SECONDS / 2)
                with suppress(BlockingIOError):
                    os.read(reader, 4_096)
                self._look_after()
                self._replace()
        finally:
            self._stop_all()

    def _told_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _told_to_replace(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_replace = True

    def _look_after(self) -> None:
        now = time.monotonic()
        for worker in tuple(self._workers):
            if worker.listen():
                self._has_served = True
                self._failures = 0
            if worker.hangs:
                logger.error("Worker [%s] hangs, it is ended", worker.process.pid)
                worker.process.kill()
                worker.process.join()
            if worker.has_ended:
                self._workers.remove(worker)
                self._lost(worker, now)
        for worker in tuple(self._leaving):
            if now - worker.told_at > STOP_SECONDS:
                worker.process.kill()
                worker.process.join()
            if worker.has_ended:
                self._leaving.remove(worker)
        for due in [each for each in self._begin_at if each <= now]:
            self._begin_at.remove(due)
            self._workers.append(_Worker(self._work))

    def _lost(self, worker: _Worker, now: float) -> None:
        if not self._has_served:
            raise NoneStarted
        if worker is self._replacement:
            logger.error("Worker [%s] ended before it served; the others stay as they are", worker.process.pid)
            self._replacement = None
            self._to_replace.clear()
            return
        pause = 0.0
        if not worker.serves:
            self._failures += 1
            pause = min(_LONGEST_PAUSE, 2.0 ** min(self._failures, 10))
        logger.error("Worker [%s] ended (%s), another begins", worker.process.pid, worker.process.exitcode)
        self._begin_at.append(now + pause)

    def _replace(self) -> None:
        """The next step of replacing all."""
        if self._asked_to_replace and self._replacement is None and not self._to_replace:
            self._asked_to_replace = False
            logger.info("Replacing %d workers, one after the other", len(self._workers))
            self._to_replace = list(self._workers)
        if self._replacement is not None:
            if self._replacement.serves:
                self._replacement = None
                self._retire(self._to_replace.pop(0))
        elif self._to_replace:
            if self._to_replace[0] in self._workers:
                self._replacement = _Worker(self._work)
                self._workers.append(self._replacement)
            else:  # it ended by itself, and has a successor
                self._to_replace.pop(0)

    def _retire(self, worker: _Worker) -> None:
        """Stops one that has a successor; when it ended by itself meanwhile, there is a second one, or soon will be."""
        if worker not in self._workers:
            if self._begin_at:
                self._begin_at.pop()
                return
            worker = self._workers[-1]
        self._workers.remove(worker)
        worker.stop()
        self._leaving.append(worker)

    def _stop_all(self) -> None:
        everybody = [*self._workers, *self._leaving]
        for worker in everybody:
            worker.stop()
        deadline = time.monotonic() + STOP_SECONDS
        for worker in everybody:
            worker.process.join(max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                logger.error("Worker [%s] did not stop in time, it is ended", worker.process.pid)
                worker.process.kill()
                worker.process.join()
        logger.info("All workers have stopped")
