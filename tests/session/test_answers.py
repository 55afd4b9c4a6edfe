"""Answers: append-only, undone by a tombstone, counted once, and never lost once acknowledged."""

import random
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from rlr_core.errors import RLRError
from rlr_core.session.records import PairCounts
from rlr_core.session.store import Store
from tests.session.conftest import add_pairs

ANSWER_FOR_EVER = """
import sys
from itertools import cycle
from pathlib import Path
from rlr_core.session.store import Store

store = Store(Path(sys.argv[1]))
pairs = store.pairs(sys.argv[2])
for number, (pair, choice) in enumerate(zip(cycle(pairs), cycle("ab"))):
    print(store.answer(pair.id, "ab"[number // len(pairs) % 2], press_id=str(number)).id)
"""


def test_the_last_answer_is_the_valid_one(store, session):
    (pair,) = add_pairs(store, session, 1)
    assert store.pair(pair.id).is_open
    store.answer(pair.id, "a")
    store.answer(pair.id, "tie")
    assert store.pair(pair.id).choice == "tie" and not store.pair(pair.id).is_open
    assert [answer.choice for answer in store.answers(session.id)] == ["a", "tie"]


def test_the_same_answer_again_changes_nothing(store, session):
    (pair,) = add_pairs(store, session, 1)
    assert store.answer(pair.id, "b") == store.answer(pair.id, "b")
    assert len(store.answers(session.id)) == 1


def test_a_press_counts_once_even_after_an_undo(store, session):
    (pair,) = add_pairs(store, session, 1)
    first = store.answer(pair.id, "a", press_id="press")
    assert store.answer(pair.id, "b", press_id="press") == first
    store.undo_last_answer(session.id)
    late = store.answer(pair.id, "a", press_id="press")
    assert late.id == first.id and late.undone
    assert store.pair(pair.id).is_open


def test_undo_takes_answers_back_one_by_one(store, session):
    first, second = add_pairs(store, session, 2)
    store.answer(first.id, "a")
    store.answer(second.id, "a")
    store.answer(second.id, "b")
    undone = store.undo_last_answer(session.id)
    assert (undone.pair_id, undone.choice, undone.undone) == (second.id, "b", True)
    assert store.pair(second.id).choice == "a"
    assert store.undo_last_answer(session.id).pair_id == second.id
    assert store.pair(second.id).is_open
    assert store.undo_last_answer(session.id).pair_id == first.id
    assert store.undo_last_answer(session.id) is None
    assert [answer.undone for answer in store.answers(session.id)] == [True, True, True]
    store.answer(first.id, "a")
    assert store.pair(first.id).choice == "a"


def test_an_undo_press_counts_once_even_after_a_restart(root, store, session):
    first, second = add_pairs(store, session, 2)
    store.answer(first.id, "a")
    store.answer(second.id, "a")
    undone = store.undo_last_answer(session.id, press_id="undo")
    assert store.undo_last_answer(session.id, press_id="undo") == undone
    reopened = Store(root)
    assert reopened.undo_last_answer(session.id, press_id="undo") == undone
    assert reopened.pair(first.id).choice == "a"
    assert reopened.undo_last_answer(session.id, press_id="another").pair_id == first.id
    reopened.close()


def test_an_undo_press_that_found_nothing_finds_nothing_later(store, session):
    (pair,) = add_pairs(store, session, 1)
    assert store.undo_last_answer(session.id, press_id="undo") is None
    store.answer(pair.id, "a")
    assert store.undo_last_answer(session.id, press_id="undo") is None
    assert store.pair(pair.id).choice == "a"


def test_eight_threads_delivering_one_undo_take_one_answer_back(store, session):
    pairs = add_pairs(store, session, 8)
    for pair in pairs:
        store.answer(pair.id, "a")
    with ThreadPoolExecutor(8) as threads:
        undone = list(threads.map(lambda _: store.undo_last_answer(session.id, press_id="undo"), range(32)))
    assert {each.pair_id for each in undone} == {pairs[-1].id}
    assert store.pair_counts(session.id).answered == 7


def test_undo_stays_within_the_session(store, session):
    (pair,) = add_pairs(store, session, 1)
    store.answer(pair.id, "a")
    other = store.create_session("emoji", ("a pear",))
    assert store.undo_last_answer(other.id) is None
    assert store.pair(pair.id).choice == "a"


def test_counts(store, session):
    pairs = add_pairs(store, session, 6)
    for pair, choice in zip(pairs, ("a", "tie", "both_bad", "skip"), strict=False):
        store.answer(pair.id, choice)
    assert store.pair_counts(session.id) == PairCounts(open=2, answered=3, skipped=1)
    assert [pair.id for pair in store.open_pairs(session.id, session.current_round_id)] == [pair.id for pair in pairs[4:]]


def test_wrong_answers_are_refused(store, session):
    (pair,) = add_pairs(store, session, 1)
    with pytest.raises(RLRError, match="'left' answers no question.*both_bad"):
        store.answer(pair.id, "left")
    with pytest.raises(RLRError, match="no pair 'nowhere'"):
        store.answer("nowhere", "a")
    assert store.answers(session.id) == ()


def test_eight_threads_lose_nothing(store, session):
    pairs = add_pairs(store, session, 8)

    def press(number: int):
        return [store.answer(pairs[number].id, "ab"[index % 2], press_id=f"{number}-{index}").id for index in range(200)]

    with ThreadPoolExecutor(8) as threads:
        acknowledged = [answer for answers in threads.map(press, range(8)) for answer in answers]
    assert len(set(acknowledged)) == 8 * 200
    assert {answer.id for answer in store.answers(session.id)} == set(acknowledged)


def test_eight_threads_pressing_the_same_key_count_once(store, session):
    (pair,) = add_pairs(store, session, 1)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: store.answer(pair.id, "a", press_id="press"), range(64)))
    assert len(set(answers)) == 1 == len(store.answers(session.id))


@pytest.mark.parametrize("seed", range(5))
def test_no_acknowledged_answer_is_lost_when_the_process_is_killed(root, store, session, python, seed):
    add_pairs(store, session, 10)
    process = python(ANSWER_FOR_EVER, root, session.id)
    acknowledged = [int(process.stdout.readline()) for _ in range(random.Random(seed).randint(1, 120))]
    process.send_signal(signal.SIGKILL)
    # What was printed before the kill and not yet read counts as acknowledged too; a last line may be cut off.
    acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]
    process.wait()
    reopened = Store(root)
    kept = [answer.id for answer in reopened.answers(session.id)]
    assert kept[: len(acknowledged)] == acknowledged
    assert len(kept) - len(acknowledged) in (0, 1)  # one may be on the disk, its acknowledgement not yet written
    reopened.answer(store.pairs(session.id)[0].id, "tie")
    reopened.close()


def test_a_repeat_is_the_same_question_with_its_sides_swapped(store, session):
    first, second = add_pairs(store, session, 2)
    again = store.repeat_pair(first.id)
    assert store.pair(again.id) == again and again.is_open
    assert (again.image_a, again.image_b, again.is_a_plus) == (first.image_b, first.image_a, not first.is_a_plus)
    assert (again.prompt, again.step, again.round_id) == (first.prompt, first.step, first.round_id)
    assert (again.origin, first.origin) == (first.id, first.id)
    another = store.repeat_pair(again.id)
    assert (another.number, another.origin, another.image_a) == (-2, first.id, first.image_a)
    assert store.next_pair_number(session.id) == second.number + 1, "new questions are numbered as if there were no repeats"
    store.answer(again.id, "a")
    assert store.pair(again.id).preferred == first.image_b
    assert store.pair(first.id).preferred is None


def test_an_answer_is_its_raters(store, session):
    (pair,) = add_pairs(store, session, 1)
    assert store.answer(pair.id, "a", rater="ann").rater == "ann"
    assert store.pair(pair.id).rater == "ann"
    store.answer(pair.id, "a", rater="bea")
    assert store.pair(pair.id).rater == "bea"
    store.undo_last_answer(session.id)
    assert (store.pair(pair.id).choice, store.pair(pair.id).rater) == ("a", "ann")
    store.undo_last_answer(session.id)
    assert (store.pair(pair.id).choice, store.pair(pair.id).rater) == (None, "me")


@pytest.mark.parametrize("rater", ["", " ann", "a\nb", "a\x00", "x" * 41])
def test_a_rater_has_a_printable_name(store, session, rater):
    (pair,) = add_pairs(store, session, 1)
    with pytest.raises(RLRError, match="A rater called .* cannot be kept: give a name"):
        store.answer(pair.id, "a", rater=rater)
    assert store.pair(pair.id).is_open


def test_undo_of_one_press_takes_back_that_answer_alone(store, session):
    first, second = add_pairs(store, session, 2)
    store.answer(first.id, "a", press_id="one")
    store.answer(second.id, "b", press_id="two")
    assert store.undo_last_answer(session.id, press_id="undo", of="one").pair_id == first.id
    assert store.undo_last_answer(session.id, press_id="undo again", of="one") is None
    assert store.undo_last_answer(session.id, press_id="undo nothing", of="unknown") is None
    assert store.pair(first.id).is_open and store.pair(second.id).choice == "b"
