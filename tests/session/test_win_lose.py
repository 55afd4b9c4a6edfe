import io
import json
import zipfile

import pytest
from PIL import Image

from rlr_core.errors import RLRError
from rlr_core.session import win_lose
from tests.session.conftest import add_pairs


def answered(store, session, choices):
    pairs = add_pairs(store, session, len(choices))
    for pair, choice in zip(pairs, choices, strict=True):
        store.answer(pair.id, choice)
    return pairs


def test_decided_answers_alone_become_a_winner_and_a_loser(store, session):
    answered(store, session, ("tie", "a", "both_bad", "b", "skip"))
    file = io.BytesIO()
    assert win_lose.write(file, store, session) == 2
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        files = [f"{folder}/00000{number}.{kind}" for folder in ("lose", "win") for number in (1, 2) for kind in ("png", "txt")]
        assert sorted(archive.namelist()) == sorted(["metadata.jsonl", *files])
        # The pictures of a pair are red on the left and blue on the right.
        colours = [Image.open(io.BytesIO(archive.read(name))).getpixel((0, 0)) for name in files if name.endswith("png")]
        assert colours == [(0, 0, 255), (255, 0, 0), (255, 0, 0), (0, 0, 255)]
        assert archive.read("win/000002.txt") == archive.read("lose/000002.txt") == b"a cat"
        lines = [json.loads(line) for line in archive.read("metadata.jsonl").decode().splitlines()]
    assert lines[1] == {"win_file_name": "win/000002.png", "lose_file_name": "lose/000002.png", "caption": "a cat"}


def test_the_same_answers_give_the_same_bytes(store, session):
    answered(store, session, ("a", "b"))
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        win_lose.write(file, store, session)
    assert files[0].getvalue() == files[1].getvalue()


def test_without_a_decided_answer_there_is_nothing_to_write(store, session):
    answered(store, session, ("tie", "skip"))
    with pytest.raises(RLRError, match="None of the answers names a better picture"):
        win_lose.write(io.BytesIO(), store, session)
