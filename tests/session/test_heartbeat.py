"""The workspace's lock, and the status of a round that follows from it."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from rlr_core.config import RoundConfig
from rlr_core.errors import RLRError
from rlr_core.session.events import RoundEnded, RoundStarted
from rlr_core.session.heartbeat import WorkspaceLock
from rlr_core.session.store import Store

START_A_ROUND = """
import sys
from pathlib import Path
from rlr_core.config import RoundConfig
from rlr_core.session.events import RoundStarted
from rlr_core.session.store import Store

store = Store(Path(sys.argv[1]))
made = store.create_round(sys.argv[2], RoundConfig())
store.report(made.session_id, RoundStarted(made.id, 12))
print(made.id)
sys.stdin.read()
"""


def test_one_holder_at_a_time(root, store):
    first, second = WorkspaceLock(root), WorkspaceLock(root)
    assert first.holder() is None and not first.is_held_by_other()
    first.acquire()
    first.acquire()
    assert first.is_held and not first.is_held_by_other()
    assert second.is_held_by_other() and second.holder() == first.token != ""
    with pytest.raises(RLRError, match="in use by another running studio.*--workspace"):
        second.acquire()
    first.release()
    second.acquire()
    assert second.is_held and first.is_held_by_other()
    second.release()


def test_looking_takes_nothing(root, store):
    watcher, owner = WorkspaceLock(root), WorkspaceLock(root)
    for _ in range(20):
        assert watcher.holder() is None
        owner.acquire()
        assert watcher.holder() == owner.token
        owner.release()


def test_many_threads_may_ask_at_once(root, store):
    lock = WorkspaceLock(root)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: lock.acquire(), range(32)))
    assert lock.is_held
    lock.release()


def test_a_killed_process_frees_the_lock_and_its_round_is_interrupted(root, store, session, python):
    other = python(START_A_ROUND, root, session.current_round_id)
    round_id = other.stdout.readline().strip()
    assert store.lock.is_held_by_other()
    assert store.round(round_id).status == "running"
    with pytest.raises(RLRError, match="in use by another"):
        store.create_round(session.current_round_id, RoundConfig())
    assert [each.id for each in store.rounds(session.id)] == [session.current_round_id, round_id]  # nothing half-made

    other.send_signal(signal.SIGKILL)
    other.wait()
    assert not store.lock.is_held_by_other()
    assert store.round(round_id).status == "interrupted"

    # The next holder is not taken for the one that died.
    store.lock.acquire()
    assert store.round(round_id).status == "interrupted"
    store.report(session.id, RoundStarted(round_id, 12))
    assert store.round(round_id).status == "running"


def test_status_follows_the_events(store, session):
    made = store.create_round(session.current_round_id, RoundConfig())
    assert store.round(session.current_round_id).status == "done"
    assert store.round(made.id).status == made.status == "queued"
    store.report(session.id, RoundStarted(made.id, 12))
    assert store.round(made.id).status == "running"
    for outcome in ("stopped", "failed", "budget_spent", "done"):
        store.report(session.id, RoundEnded(made.id, outcome, "It ended."))
        assert store.round(made.id).status == outcome


def test_a_closed_store_leaves_interrupted_rounds(root, store, session):
    made = store.create_round(session.current_round_id, RoundConfig())
    with_reader = Store(root)
    assert with_reader.round(made.id).status == "queued"
    store.close()
    assert with_reader.round(made.id).status == "interrupted"
    with_reader.close()
