"""The worker: one thread that does all work with the model, job after job.

Models and schedulers are not safe to use from several threads, so the thread itself is the lock around them. A job checks in at every
denoising step; that is where it pauses and where it stops.
"""

import heapq
import itertools
import logging
import time
import traceback
from collections.abc import Callable
from threading import Condition, Thread
from typing import Any, Literal

from rlr_core.errors import Cancelled, RLRError

JobState = Literal["queued", "running", "paused", "done", "stopped", "failed"]
Work = Callable[["Job"], Any]

log = logging.getLogger(__name__)


class Job:
    """One piece of work, and the handle to wait for it, pause it and stop it from any thread.

    Attributes:
        label: what a person reads, e.g. "Round 3".
        state: "queued", "running" or "paused", then one of "done", "stopped", "failed" for good.
        result: what the work returned, None until it is done.
        error: the sentence that says why it failed, None unless it did.
        exception: what the work raised, None unless it failed.
    """

    def __init__(self, label: str, work: Work, clock: Callable[[], float] = time.monotonic) -> None:
        self.label = label
        self.state: JobState = "queued"
        self.result: Any = None
        self.error: str | None = None
        self.exception: Exception | None = None
        self._work = work
        self._clock = clock
        self._paused_seconds = 0.0
        self._stop_asked = False
        self._pause_asked = False
        self._changed = Condition()

    @property
    def has_ended(self) -> bool:
        """The state will not change any more."""
        return self.state in ("done", "stopped", "failed")

    def check(self) -> None:
        """Called by the work at every denoising step: waits while paused, raises Cancelled once a stop was asked for."""
        with self._changed:
            if self._pause_asked and not self._stop_asked:
                self._wait()
            if self._stop_asked:
                raise Cancelled
            self._become("running")

    def _wait(self) -> None:
        began = self._clock()
        while self._pause_asked and not self._stop_asked:
            self._become("paused")
            self._changed.wait()
        self._paused_seconds += self._clock() - began

    def at_work(self) -> float:
        """A clock in seconds that stands still while the job is paused; for the work alone."""
        return self._clock() - self._paused_seconds

    def stop(self) -> None:
        """Ask the job to stop; one that has not begun is stopped at once, one that runs at its next check."""
        with self._changed:
            self._stop_asked = True
            if self.state == "queued":
                self._become("stopped")
            self._changed.notify_all()

    def pause(self) -> None:
        """Ask the job to wait at its next check."""
        with self._changed:
            self._pause_asked = True

    def resume(self) -> None:
        """Let a paused job go on."""
        with self._changed:
            self._pause_asked = False
            self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job has ended, at most `timeout` seconds; whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: self.has_ended, timeout)

    def wait_for(self, state: JobState, timeout: float | None = None) -> bool:
        """Wait until the job is in `state` or has ended, at most `timeout` seconds; whether it is in `state`."""
        with self._changed:
            self._changed.wait_for(lambda: self.state == state or self.has_ended, timeout)
            return self.state == state

    def run(self) -> None:
        """Do the work in this thread; for the worker alone. Whatever the work raises ends the job, not the thread."""
        with self._changed:
            if self.state != "queued":
                return
            self._become("running")
        try:
            result = self._work(self)
        except Cancelled:
            self._end("stopped")
        except RLRError as problem:
            self._end("failed", error=str(problem), exception=problem)
        except Exception as problem:
            log.exception("The job '%s' failed.", self.label)
            self._end("failed", error=f"{type(problem).__name__}: {problem}", exception=problem)
        else:
            self._end("done", result=result)

    def _end(self, state: JobState, result: Any = None, error: str | None = None, exception: Exception | None = None) -> None:  # noqa: ANN401
        if exception is not None:
            # The kept exception would keep every tensor of the frames it passed through.
            traceback.clear_frames(exception.__traceback__)
        with self._changed:
            self.result, self.error, self.exception = result, error, exception
            self._become(state)

    def _become(self, state: JobState) -> None:
        if self.state != state:
            self.state = state
            self._changed.notify_all()


class Worker:
    """A daemon thread with a queue of jobs: the smaller `priority` first, among equals the older one."""

    def __init__(self) -> None:
        self._queue: list[tuple[int, int, Job]] = []
        self._numbers = itertools.count()
        self._changed = Condition()
        self._running: Job | None = None
        self._closed = False
        self._thread = Thread(target=self._work_off, name="worker", daemon=True)
        self._thread.start()

    def submit(self, label: str, work: Work, priority: int = 0) -> Job:
        """Queue `work`, which is called with its Job; raises RLRError once the worker is closed."""
        job = Job(label, work)
        with self._changed:
            if self._closed:
                raise RLRError(f"'{label}' cannot begin, because the studio is closing: start the studio again.")
            heapq.heappush(self._queue, (priority, next(self._numbers), job))
            self._changed.notify()
        return job

    def run(self, label: str, work: Work, priority: int = 0) -> Any:  # noqa: ANN401 - what the work returns
        """Queue `work`, wait for it, and return or raise what it does; Cancelled if it was stopped."""
        job = self.submit(label, work, priority)
        job.wait()
        if job.exception is not None:
            raise job.exception
        if job.state == "stopped":
            raise Cancelled
        return job.result

    def jobs(self) -> tuple[Job, ...]:
        """The running job, then those that wait, in the order they will run."""
        with self._changed:
            running = () if self._running is None else (self._running,)
            return running + tuple(job for _, _, job in sorted(self._queue) if not job.has_ended)

    def close(self) -> None:
        """Stop all jobs and wait for the thread to end."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        for job in self.jobs():
            job.stop()
        self._thread.join()

    def _work_off(self) -> None:
        while (job := self._next()) is not None:
            job.run()

    def _next(self) -> Job | None:
        with self._changed:
            self._running = None
            self._changed.wait_for(lambda: self._queue or self._closed)
            if not self._queue:
                return None
            self._running = heapq.heappop(self._queue)[2]
            return self._running
