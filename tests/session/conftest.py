"""A real workspace with one session and ways to fill it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from rlr_core.session.records import PairRecord, SessionRecord
from rlr_core.session.store import Store

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def store(root: Path) -> Iterator[Store]:
    made = Store(root)
    yield made
    made.close()


@pytest.fixture
def session(store: Store) -> SessionRecord:
    return store.create_session("emoji", ("a cat", "a dog"), seed=7)


def add_pairs(store: Store, session: SessionRecord, count: int) -> list[PairRecord]:
    """`count` open questions of the session's current round."""
    left, right = (store.put_image(Image.new("RGB", (4, 4), colour)) for colour in ("red", "blue"))
    made = []
    for _ in range(count):
        number = store.next_pair_number(session.id)
        pair = PairRecord(session.id, session.current_round_id, number, "a cat", left.id, right.id, is_a_plus=number % 2 == 0, step=3)
        store.add_pair(pair)
        made.append(pair)
    return made


@pytest.fixture
def python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts another Python process on a piece of code; killed at the end of the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-u", "-c", code, *map(str, arguments)]
        processes.append(subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()
