"""kill -9 at random points of a round: no acknowledged answer is lost, the round shows as interrupted, and it resumes bit for bit."""

import multiprocessing
import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from rlr_core.config import RoundConfig, SamplerConfig
from rlr_core.engine import STATE_FILE
from rlr_core.round import RoundState
from rlr_core.session.store import Store
from rlr_core.studio import Studio

NUM_KILLS = 20
PROMPTS = ("a red heart", "a blue square")
SAMPLER = SamplerConfig(num_inference_steps=8, guidance_scale=1.0)
LEARNING = RoundConfig(reward="colourfulness", num_updates=40, batch_size=2, kl_budget=1e5)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither fork nor SIGKILL")


def learn(workspace: Path, model: Path, life: float | None, told: Connection) -> None:
    """Answer a question, start or resume the round, and die `life` seconds after its first denoising step."""
    studio = Studio(workspace)
    session = studio.latest_session() or studio.create_session(str(model), PROMPTS, seed=1, sampler=SAMPLER)
    if not session.rounds()[1:]:
        session.next_pairs(NUM_KILLS + 8)
    open_pair = session.open_pairs(1)[0]
    session.answer(open_pair.id, "a")
    told.send(open_pair.id)
    rounds = session.rounds()
    job = session.resume_round(rounds[-1].id) if rounds[1:] else session.start_round(LEARNING)
    if life is not None:
        job.check = dying(job.check, life)
    job.wait()
    studio.close()


def dying(check: Callable[[], None], life: float) -> Callable[[], None]:
    """`check`, whose first call lights the fuse."""
    fuse = threading.Timer(life, os.kill, (os.getpid(), signal.SIGKILL))

    def checked() -> None:
        if not fuse.is_alive():
            fuse.start()
        check()

    return checked


def in_a_process(*arguments) -> tuple[str, int]:
    """Run `learn` in a process of its own: the answer it acknowledged, and its exit code."""
    context = multiprocessing.get_context("forkserver")
    hearing, telling = context.Pipe(duplex=False)
    process = context.Process(target=learn, args=(*arguments, telling))
    process.start()
    answered = hearing.recv()
    process.join()
    return answered, process.exitcode


def test_twenty_kills_lose_nothing_and_change_nothing(tmp_path, tiny_folder):
    multiprocessing.get_context("forkserver").set_forkserver_preload(["rlr_core.engine"])
    lives = random.Random(0)
    in_a_process(tmp_path / "whole", tiny_folder, None)
    longest_life = 1.5 * seconds_of(tmp_path / "whole") / NUM_KILLS
    acknowledged, kills, updates = [], 0, []
    while True:
        is_last = kills == NUM_KILLS
        answered, exit_code = in_a_process(tmp_path / "killed", tiny_folder, None if is_last else lives.uniform(0, longest_life))
        acknowledged.append(answered)
        store = Store(tmp_path / "killed")
        record = store.rounds(store.sessions()[0].id)[1]
        answers = {answer.pair_id for answer in store.answers(store.sessions()[0].id)}
        updates.append(len(store.series(record.id, "kl")))
        store.close()
        assert answers == set(acknowledged)
        if record.status == "done":
            break
        assert exit_code == -signal.SIGKILL
        assert record.status == "interrupted"
        kills += 1
    assert kills == NUM_KILLS
    assert len(set(updates)) > 5, f"the kills must fall into different updates, not {updates}"
    whole, killed = (final_state(tmp_path / name) for name in ("whole", "killed"))
    assert all(whole.adapter[name].equal(killed.adapter[name]) for name in whole.adapter)
    assert all(whole.optimizer[name].equal(killed.optimizer[name]) for name in whole.optimizer)
    assert whole.anchor == killed.anchor


def seconds_of(workspace: Path) -> float:
    store = Store(workspace)
    record = store.rounds(store.sessions()[0].id)[1]
    spent = sum(seconds for _, seconds in store.series(record.id, "seconds"))
    store.close()
    return spent


def final_state(workspace: Path) -> RoundState:
    store = Store(workspace)
    record = store.rounds(store.sessions()[0].id)[1]
    path = store.round_folder(record.id) / STATE_FILE
    store.close()
    return RoundState.load(path)
