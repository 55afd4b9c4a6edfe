"""Studios that share a worker and its model: their rounds take turns, and neither leaves a trace in the other."""

import threading

import pytest
from safetensors.torch import load_file

from rlr_core.config import RoundConfig, SamplerConfig
from rlr_core.studio import Studio
from rlr_core.workshop import Workshop

CONFIG = RoundConfig(reward="brightness", num_updates=3, batch_size=2, drift_check_every=0)


@pytest.fixture
def workshop():
    made = Workshop()
    yield made
    made.close()


def session_of(studio, tiny_folder, seed):
    return studio.create_session(str(tiny_folder), ["a cat", "a dog"], seed, SamplerConfig(num_inference_steps=4))


def state_of(session):
    return load_file(session._store.round_folder(session.rounds()[-1].id) / "state.safetensors")


def test_two_rounds_at_once_are_bit_equal_to_each_alone(tmp_path, tiny_folder, workshop):
    alone = []
    for seed in (1, 2):
        studio = Studio(tmp_path / f"alone {seed}")
        session = session_of(studio, tiny_folder, seed)
        session.start_round(CONFIG).wait()
        alone.append(state_of(session))
        studio.close()

    studios = [Studio(tmp_path / f"shared {seed}", workshop) for seed in (1, 2)]
    sessions = [session_of(studio, tiny_folder, seed) for studio, seed in zip(studios, (1, 2), strict=True)]
    begun, gate = threading.Event(), threading.Event()
    studios[0].submit("gate", lambda job: (begun.set(), gate.wait(60)))
    assert begun.wait(60)
    jobs = [session.start_round(CONFIG) for session in sessions]
    gate.set()
    assert all(job.wait(300) for job in jobs)
    assert [job.state for job in jobs] == ["done", "done"]
    events = [
        (event.created_at, number)
        for number, session in enumerate(sessions)
        for event in studios[number].store.events(session.id, kinds=("update_done",))
    ]
    assert [number for _, number in sorted(events)] == [1, 0] * 3, "they took turns"
    for session, expected in zip(sessions, alone, strict=True):
        found = state_of(session)
        assert found.keys() == expected.keys()
        assert all(found[name].equal(expected[name]) for name in expected)
    for studio in studios:
        studio.close()
    assert workshop.line().run("alive", lambda job: "alive") == "alive"


def test_closing_one_studio_stops_its_round_and_no_other(tmp_path, tiny_folder, workshop):
    studios = [Studio(tmp_path / name, workshop) for name in ("a", "b")]
    sessions = [session_of(studio, tiny_folder, 1) for studio in studios]
    long = RoundConfig(reward="brightness", num_updates=1000, batch_size=2, drift_check_every=0)
    jobs = [sessions[0].start_round(long), sessions[1].start_round(CONFIG)]
    studios[0].close()
    assert jobs[0].state == "stopped"
    assert jobs[1].wait(300) and jobs[1].state == "done"
    studios[1].close()
