"""Presses: none is lost, none counts twice, and nothing a client sends can break them."""

import pytest

from app.presses import MOST_AT_ONCE, Press, apply_presses, read_presses
from app.questions import QuestionDesk
from rlr_core.errors import RLRError
from rlr_core.studio import Studio
from tests.app.conftest import HOSTILE, NUM_PAIRS


def answer(pair, choice="a", press="p"):
    return {"id": f"{press}-{pair.id}", "kind": "answer", "pair": pair.id, "choice": choice}


@pytest.fixture
def desk(studio):
    return QuestionDesk(studio)


@pytest.fixture
def send(desk, session):
    """Sends presses as the page does; four questions ahead, so that none has to be made."""
    return lambda *presses: desk.press({"session": session.id, "presses": list(presses), "ahead": 4})


def test_an_answer_is_kept_and_the_next_questions_come_back(send, session, pairs):
    reply = send(answer(pairs[0], "a"), answer(pairs[1], "tie"), answer(pairs[2], "skip"))
    assert reply["done"] == [f"p-{pair.id}" for pair in pairs[:3]]
    assert reply["answers"] == session.num_answers() == 2
    assert [question["id"] for question in reply["questions"]] == [pair.id for pair in pairs[3:7]]
    assert reply["questions"][0] == {"id": pairs[3].id, "prompt": "a cat", "a": pairs[3].image_a, "b": pairs[3].image_b}
    assert reply["sentence"] == reply["failure"] == ""


def test_presses_sent_again_count_once(send, session, pairs):
    presses = [answer(pairs[0]), answer(pairs[1], "b"), {"id": "undo-1", "kind": "undo", "pair": None}]
    first = send(*presses)
    again = send(*presses)
    assert first == again
    assert session.num_answers() == 1
    assert session.open_pairs(1)[0].id == pairs[1].id


def test_presses_sent_again_to_a_restarted_studio_count_once(studio, session, pairs):
    message = {"session": session.id, "presses": [answer(pairs[0]), answer(pairs[1]), {"id": "undo-1", "kind": "undo"}], "ahead": 4}
    first = QuestionDesk(studio).press(message)
    studio.close()
    restarted = Studio(studio.store.root)
    assert QuestionDesk(restarted).press(message) == first
    assert restarted.session(session.id).num_answers() == 1
    restarted.close()


def test_an_undone_question_comes_first_and_can_be_answered_anew(send, session, pairs):
    send(answer(pairs[0]), answer(pairs[1]))
    reply = send({"id": "undo-1", "kind": "undo", "pair": pairs[1].id})
    assert reply["questions"][0]["id"] == pairs[1].id
    assert send(answer(pairs[1], "b", press="later"))["answers"] == 2


def test_a_wrong_press_is_told_and_the_others_count(send, session, pairs):
    reply = send(answer(pairs[0], HOSTILE), answer(pairs[1]))
    assert reply["answers"] == 1 and len(reply["done"]) == 2
    assert "answers no question" in reply["sentence"]


@pytest.mark.parametrize("sent", [None, [], "x", {}, {"session": 3}, {"session": "nobody", "presses": []}])
def test_what_is_no_message_is_answered_with_a_sentence(desk, sent):
    assert set(desk.press(sent)) == {"error"}


@pytest.mark.parametrize(
    "sent", [None, {}, "x", [1], [{}], [{"id": 1, "kind": "answer"}], [{"id": "a", "kind": "delete"}], [{}] * (MOST_AT_ONCE + 1)]
)
def test_what_is_no_list_of_presses_is_refused(sent):
    with pytest.raises(RLRError, match="cannot be read"):
        read_presses(sent)


@pytest.mark.parametrize("ahead", [None, -1, 0, 10**9, "many", True, 2.5])
def test_a_client_cannot_ask_for_more_than_there_may_be(desk, session, pairs, ahead):
    reply = desk.press({"session": session.id, "presses": [], "ahead": ahead})
    assert 0 < len(reply["questions"]) < NUM_PAIRS


def test_answers_of_another_session_are_refused(studio, session, pairs):
    other = studio.create_session("emoji", ["a bird"])
    sentences = apply_presses(other, [Press("p", "answer", pairs[0].id, "a")])
    assert len(sentences) == 1 and "another session" in sentences[0]
    assert session.num_answers() == 0


def test_a_model_that_cannot_be_loaded_is_said_and_tried_again_only_on_demand(studio, tmp_path):
    session, desk = studio.create_session(str(tmp_path / "no-model"), ["a cat"]), QuestionDesk(studio)
    message = {"session": session.id, "presses": [], "ahead": 4}
    assert desk.press(message)["failure"] == ""
    assert session.prepare_pairs(4).wait(60)
    first, second = desk.press(message), desk.press(message)
    assert "no-model" in first["failure"] and first == second
    assert desk.press({**message, "retry": True})["failure"] == ""
