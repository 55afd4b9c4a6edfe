"""Visitors whose clock the test sets, and an example workspace made without the model."""

import pytest
from PIL import Image

from rlr_core.session.records import PREVIEW, PairRecord, SampleRecord
from rlr_core.space.limits import SpaceLimits
from rlr_core.space.visitors import Visitors
from rlr_core.studio import Studio
from rlr_core.workshop import Workshop

LIMITS = SpaceLimits(visitors=3, idle_minutes=10, rounds=1, sessions=2, uploads=1, jobs=2)


class Clock:
    """Stands still until it is set."""

    def __init__(self):
        self.now = 1e9

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def workshop():
    made = Workshop()
    yield made
    made.close()


@pytest.fixture
def visitors(tmp_path, workshop, clock):
    made = Visitors(tmp_path / "visitors", LIMITS, workshop, clock=clock)
    yield made
    made.close()


@pytest.fixture
def example(tmp_path):
    """A workspace with a session, questions, a preview and an answer."""
    studio = Studio(tmp_path / "example")
    record = studio.create_session("emoji", ["a cat"]).record
    left, right = (studio.store.put_image(Image.new("RGB", (4, 4), colour)).id for colour in ("red", "blue"))
    for number in range(4):
        pair = PairRecord(record.id, record.current_round_id, number, "a cat", left, right, is_a_plus=True, step=3)
        studio.store.add_pair(pair)
    studio.store.add_sample(SampleRecord(record.id, record.current_round_id, PREVIEW, "a cat", 0, left))
    studio.session(record.id).answer(pair.id, "a", "press")
    studio.close()
    return tmp_path / "example"
