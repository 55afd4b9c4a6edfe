"""What a client sends to the blind comparison: applied once, and refused with a sentence if it is nothing that can be read."""

import json

import pytest
from PIL import Image

from app.blind import BlindDesk
from rlr_core.config import RoundConfig
from rlr_core.session.events import RoundEnded
from rlr_core.session.records import BlindPair
from rlr_core.session.store import STATE_FILE


@pytest.fixture
def proof(studio, session):
    store, base = studio.store, session.current_round().id
    round_ = store.create_round(base, RoundConfig())
    (store.round_folder(round_.id) / STATE_FILE).write_bytes(b"")
    store.report(session.id, RoundEnded(round_.id, "done", "Done."))
    made = session.compare(base, round_.id)
    images = [store.put_image(Image.new("RGB", (4, 4), colour)).id for colour in ("red", "blue")]
    for number in range(16):
        store.add_blind_pair(BlindPair(made.id, number, "a cat", number, *images, is_later_left=number % 2 == 0))
    return made


@pytest.fixture
def press(studio, session, proof):
    desk = BlindDesk(studio)

    def send(*presses, **changes):
        return desk.press({"session": session.id, "comparison": proof.id, "presses": list(presses), "ahead": 4} | changes)

    return send


def answer(pair, choice="a", name="p1"):
    return {"id": name, "kind": "answer", "pair": pair.id, "choice": choice}


def test_a_press_is_applied_once_and_confirmed(proof, press):
    first = proof.pairs()[0]
    for _ in range(2):
        reply = press(answer(first))
        assert (reply["done"], reply["answered"], reply["planned"], reply["complete"]) == (["p1"], 1, 16, False)
    assert [each["id"] for each in reply["questions"]] == [each.id for each in proof.pairs()[1:5]]
    assert press({"id": "p2", "kind": "undo"})["answered"] == 0


def test_what_is_sent_never_tells_whose_picture_is_whose(proof, press):
    reply = press()
    pairs = proof.pairs()
    assert [(each["a"], each["b"]) for each in reply["questions"]] == [pair.sides for pair in pairs[:4]]
    assert reply["questions"][0]["a"] != reply["questions"][1]["a"], "the sides change"
    assert set(reply["questions"][0]) == {"id", "prompt", "a", "b"}
    assert "later" not in json.dumps(reply) and "earlier" not in json.dumps(reply)


def test_the_last_planned_answer_completes_it(proof, press):
    pairs = proof.pairs()
    reply = press(*[answer(pair, name=f"p{pair.number}") for pair in pairs])
    assert (reply["complete"], reply["questions"], reply["answered"]) == (True, [], 16)
    assert "can no longer be taken back" in press({"id": "u", "kind": "undo"})["sentence"]


@pytest.mark.parametrize(
    "sent",
    [None, [], "x", {"session": "nobody"}, {"presses": "x"}, {"comparison": "0" * 16}, {"presses": [{"id": 3}]}, {"presses": [{}] * 65}],
)
def test_what_cannot_be_read_is_a_sentence(studio, press, sent):
    reply = press(**sent) if isinstance(sent, dict) else BlindDesk(studio).press(sent)
    assert set(reply) == {"error"} and reply["error"].endswith((".", "page."))


def test_an_answer_that_is_none_is_told_and_confirmed(proof, press):
    reply = press(answer(proof.pairs()[0], choice="both_bad"), {"id": "p9", "kind": "answer", "pair": "nothing", "choice": "a"})
    assert (
        reply["done"] == ["p1", "p9"]
        and "answers no blind question" in reply["sentence"]
        and "There is no blind question" in reply["sentence"]
    )


def test_a_comparison_of_another_session_cannot_be_answered(studio, proof, press):
    other = studio.create_session("emoji", ["a pear"])
    assert "belongs to another session" in press(answer(proof.pairs()[0]), session=other.id)["error"]
