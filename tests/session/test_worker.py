"""The worker: order, results, stopping, pausing, failing, closing. Threads meet at events; nothing sleeps."""

import gc
import logging
import threading
import weakref

import pytest

from rlr_core.errors import Cancelled, RLRError
from rlr_core.session.worker import Job, Worker

SECONDS = 10


@pytest.fixture
def worker():
    made = Worker()
    yield made
    made.close()


class Loop:
    """Work that checks for ever, and says when its first check is done."""

    def __init__(self):
        self.begun = threading.Event()
        self.num_checks = 0

    def __call__(self, job: Job):
        while True:
            job.check()
            self.num_checks += 1
            self.begun.set()


def test_a_result_comes_back(worker):
    assert worker.run("sum", lambda job: 2 + 3) == 5


def test_all_jobs_run_in_one_thread(worker):
    threads = {worker.run("who", lambda job: threading.get_ident()) for _ in range(5)}
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_jobs_run_by_priority_and_then_by_age(worker):
    order = []
    begun, gate = threading.Event(), threading.Event()
    worker.submit("gate", lambda job: (begun.set(), gate.wait(SECONDS)))
    assert begun.wait(SECONDS)
    labels = [("late", 1), ("first", 0), ("second", 0), ("urgent", -1)]
    jobs = [worker.submit(label, lambda job: order.append(job.label), priority) for label, priority in labels]
    assert [job.label for job in worker.jobs()] == ["gate", "urgent", "first", "second", "late"]
    gate.set()
    assert all(job.wait(SECONDS) for job in jobs)
    assert order == ["urgent", "first", "second", "late"]


def test_a_running_job_stops_at_its_next_check(worker):
    loop = Loop()
    job = worker.submit("loop", loop)
    assert loop.begun.wait(SECONDS)
    job.stop()
    assert job.wait(SECONDS)
    assert (job.state, job.error, job.exception) == ("stopped", None, None)
    assert worker.run("next", lambda job: "alive") == "alive"


def test_no_check_passes_after_a_stop():
    passed = []

    def work(job: Job):
        job.check()
        passed.append("before")
        job.stop()
        job.check()
        passed.append("after")

    job = Job("self-stop", work)
    job.run()
    assert job.state == "stopped" and passed == ["before"]


def test_a_queued_job_that_is_stopped_never_begins(worker):
    loop, ran = Loop(), []
    first = worker.submit("loop", loop)
    assert loop.begun.wait(SECONDS)
    second = worker.submit("queued", ran.append)
    second.stop()
    assert second.state == "stopped" and second.wait(0)
    assert worker.jobs() == (first,)
    first.stop()
    assert worker.run("next", lambda job: "alive") == "alive"
    assert ran == []


def test_a_paused_job_waits_and_goes_on(worker):
    loop = Loop()
    job = worker.submit("loop", loop)
    assert loop.begun.wait(SECONDS)
    job.pause()
    assert job.wait_for("paused", SECONDS)
    seen = loop.num_checks
    assert not job.wait(0.05) and loop.num_checks == seen
    loop.begun.clear()
    job.resume()
    assert loop.begun.wait(SECONDS) and loop.num_checks > seen
    assert job.wait_for("running", SECONDS)
    job.stop()
    assert job.wait(SECONDS)


def test_the_clock_of_a_job_stands_still_while_it_is_paused():
    now, loop = [0.0], Loop()
    job = Job("loop", loop, clock=lambda: now[0])
    thread = threading.Thread(target=job.run)
    thread.start()
    assert loop.begun.wait(SECONDS)
    now[0] = 5.0
    job.pause()
    assert job.wait_for("paused", SECONDS)
    now[0] = 1000.0
    job.resume()
    assert job.wait_for("running", SECONDS)
    assert job.at_work() == 5.0
    now[0] = 1007.0
    assert job.at_work() == 12.0
    job.stop()
    thread.join(SECONDS)


def test_a_paused_job_can_be_stopped(worker):
    loop = Loop()
    job = worker.submit("loop", loop)
    job.pause()
    assert job.wait_for("paused", SECONDS)
    job.stop()
    assert job.wait(SECONDS) and job.state == "stopped"


def test_waiting_has_a_limit(worker):
    loop = Loop()
    job = worker.submit("loop", loop)
    assert not job.wait(0.01)
    job.stop()


def test_a_refusal_is_kept_as_its_sentence_and_not_logged(worker, caplog):
    def work(job: Job):
        raise RLRError("eta = 0: no noise to flip; choose eta above 0.")

    job = worker.submit("refused", work)
    assert job.wait(SECONDS)
    assert (job.state, job.error) == ("failed", "eta = 0: no noise to flip; choose eta above 0.")
    assert not caplog.records
    with pytest.raises(RLRError, match="eta = 0"):
        worker.run("refused", work)


def test_a_defect_is_logged_with_its_traceback_and_the_worker_lives_on(worker, caplog):
    def work(job: Job):
        raise ZeroDivisionError("by nought")

    with caplog.at_level(logging.ERROR):
        job = worker.submit("broken", work)
        assert job.wait(SECONDS)
    assert (job.state, job.error) == ("failed", "ZeroDivisionError: by nought")
    assert "in work" in caplog.text and "'broken'" in caplog.text
    assert worker.run("next", lambda job: "alive") == "alive"


def test_a_failed_job_keeps_no_memory_of_its_work(worker):
    class Tensor:
        pass

    references = []

    def work(job: Job):
        large = Tensor()
        references.append(weakref.ref(large))
        raise MemoryError("too large")

    job = worker.submit("memory", work)
    assert job.wait(SECONDS) and isinstance(job.exception, MemoryError)
    gc.collect()
    assert references[0]() is None


def test_running_to_the_end_raises_when_stopped(worker):
    def work(job: Job):
        job.stop()
        job.check()

    with pytest.raises(Cancelled):
        worker.run("stopped", work)


def test_closing_stops_what_runs_and_what_waits():
    worker, loop = Worker(), Loop()
    jobs = [worker.submit("loop", loop), worker.submit("queued", lambda job: None)]
    assert loop.begun.wait(SECONDS)
    jobs[0].pause()
    worker.close()
    assert [job.state for job in jobs] == ["stopped", "stopped"]
    with pytest.raises(RLRError, match="closing"):
        worker.submit("late", lambda job: None)
    worker.close()
