"""Ratings: append-only, the last word on the same pictures counts, undone by a tombstone, counted once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from rlr_core.errors import RLRError
from rlr_core.session.records import SampleRecord, UploadRecord
from rlr_core.session.store import Store
from tests.session.conftest import add_pairs


@pytest.fixture
def pictures(store, session) -> list[str]:
    """Four pictures that the session has shown as samples."""
    ids = [store.put_image(Image.new("RGB", (3, 3), colour)).id for colour in ("red", "lime", "blue", "white")]
    for seed, image_id in enumerate(ids):
        store.add_sample(SampleRecord(session.id, session.current_round_id, "preview", "a cat", seed, image_id))
    return ids


def said(store, session):
    return [(rating.kind, rating.image_ids, rating.value) for rating in store.ratings(session.id)]


def test_every_kind_is_there_after_reopening(root, store, session, pictures):
    given = [
        store.rate(session.id, "thumb", pictures[:1], True),
        store.rate(session.id, "stars", pictures[1:2], 4),
        store.rate(session.id, "order", (pictures[2], pictures[0], pictures[1]), 1),
    ]
    store.close()
    again = Store(root)
    assert again.ratings(session.id) == again.all_ratings(session.id) == tuple(given)
    assert given[0].value == 1 and given[2].image_ids == (pictures[2], pictures[0], pictures[1])
    again.close()


def test_the_last_word_of_a_kind_on_the_same_pictures_counts(store, session, pictures):
    store.rate(session.id, "stars", pictures[:1], 2)
    store.rate(session.id, "thumb", pictures[:1], False)
    store.rate(session.id, "stars", pictures[:1], 5)
    store.rate(session.id, "stars", pictures[1:2], 1)
    store.rate(session.id, "order", pictures[:3], 3)
    store.rate(session.id, "order", pictures[:2], 2)
    store.rate(session.id, "order", (pictures[2], pictures[1], pictures[0]), 1)
    assert said(store, session) == [
        ("thumb", (pictures[0],), 0),
        ("stars", (pictures[0],), 5),
        ("stars", (pictures[1],), 1),
        ("order", tuple(pictures[:2]), 2),
        ("order", (pictures[2], pictures[1], pictures[0]), 1),
    ]
    assert len(store.all_ratings(session.id)) == 7


def test_the_same_rating_again_changes_nothing(store, session, pictures):
    first = store.rate(session.id, "thumb", pictures[:1], True)
    assert store.rate(session.id, "thumb", pictures[:1], True) == first
    other = store.rate(session.id, "order", pictures[:2], 2)
    assert store.rate(session.id, "order", pictures[1::-1], 2) != other, "turned round it says something else"
    assert len(store.all_ratings(session.id)) == 3


def test_undo_brings_back_what_was_said_before(store, session, pictures):
    store.rate(session.id, "stars", pictures[:1], 2)
    store.rate(session.id, "stars", pictures[:1], 5)
    undone = store.undo_last_rating(session.id)
    assert (undone.value, undone.undone) == (5, True)
    assert said(store, session) == [("stars", (pictures[0],), 2)]
    assert store.undo_last_rating(session.id).value == 2
    assert store.undo_last_rating(session.id) is None
    assert said(store, session) == []
    assert [rating.undone for rating in store.all_ratings(session.id)] == [True, True]
    assert store.num_rating_changes(session.id) == 4


def test_a_press_counts_once_even_after_an_undo_and_a_restart(root, store, session, pictures):
    first = store.rate(session.id, "stars", pictures[:1], 3, press_id="press")
    assert store.rate(session.id, "stars", pictures[:1], 4, press_id="press") == first
    undone = store.undo_last_rating(session.id, press_id="undo")
    reopened = Store(root)
    late = reopened.rate(session.id, "stars", pictures[:1], 3, press_id="press")
    assert late.id == first.id and late.undone
    reopened.rate(session.id, "stars", pictures[:1], 1)
    assert reopened.undo_last_rating(session.id, press_id="undo") == undone
    assert [rating.value for rating in reopened.ratings(session.id)] == [1]
    reopened.close()


def test_an_undo_press_that_found_nothing_finds_nothing_later(store, session, pictures):
    assert store.undo_last_rating(session.id, press_id="undo") is None
    store.rate(session.id, "thumb", pictures[:1], True)
    assert store.undo_last_rating(session.id, press_id="undo") is None
    assert len(store.ratings(session.id)) == 1


def test_undo_of_one_press_takes_back_that_rating_alone(store, session, pictures):
    store.rate(session.id, "stars", pictures[:1], 3, press_id="one")
    store.rate(session.id, "thumb", pictures[:1], True, press_id="two")
    assert store.undo_last_rating(session.id, press_id="undo", of="one").kind == "stars"
    assert store.undo_last_rating(session.id, press_id="undo again", of="one") is None
    assert said(store, session) == [("thumb", (pictures[0],), 1)]


def test_undoing_a_rating_leaves_answers_alone_and_the_other_way_round(store, session, pictures):
    (pair,) = add_pairs(store, session, 1)
    store.answer(pair.id, "a")
    store.rate(session.id, "thumb", pictures[:1], True)
    store.undo_last_rating(session.id, press_id="one press")
    assert store.pair(pair.id).choice == "a"
    store.rate(session.id, "thumb", pictures[:1], False)
    assert store.undo_last_answer(session.id, press_id="one press").pair_id == pair.id
    assert len(store.ratings(session.id)) == 1


def test_ratings_and_undo_stay_within_the_session(store, session, pictures):
    store.rate(session.id, "thumb", pictures[:1], True)
    other = store.create_session("emoji", ("a pear",))
    assert store.undo_last_rating(other.id) is None
    assert store.ratings(other.id) == () and len(store.ratings(session.id)) == 1
    with pytest.raises(RLRError, match="was never shown in this session"):
        store.rate(other.id, "thumb", pictures[:1], True)


def test_pictures_of_questions_and_uploads_may_be_rated_too(store, session):
    (pair,) = add_pairs(store, session, 1)
    brought = store.put_image(Image.new("RGB", (5, 5), "pink"))
    store.add_upload(UploadRecord(session.id, brought.id, liked=True))
    for image_id in (pair.image_a, pair.image_b, brought.id):
        store.rate(session.id, "stars", (image_id,), 4)
    assert len(store.ratings(session.id)) == 3


@pytest.mark.parametrize(
    ("kind", "places", "value", "sentence"),
    [
        ("heart", (0,), 1, "'heart' is no kind of rating: rate with one of thumb, stars, order"),
        ("thumb", (0,), 2, "thumb = 2: "),
        ("thumb", (0, 1), 1, "about one picture, and 2 were given"),
        ("stars", (), 3, "about one picture, and 0 were given"),
        ("stars", (0,), 0, "stars = 0: a picture gets whole stars from 1 to 5"),
        ("stars", (0,), 4.5, "stars = 4.5: "),
        ("order", (0,), 1, "A ranking of 1 pictures has nothing to compare"),
        ("order", (0, 1, 0), 3, "is in the ranking twice"),
        ("order", (0, 1), 3, "num_ordered = 3: of 2 pictures"),
        ("order", (0, 1), 1.5, "num_ordered = 1.5: "),
    ],
)
def test_what_is_no_rating_is_refused_and_nothing_is_kept(store, session, pictures, kind, places, value, sentence):
    with pytest.raises(RLRError, match=sentence):
        store.rate(session.id, kind, tuple(pictures[place] for place in places), value)
    assert store.all_ratings(session.id) == ()


def test_an_order_with_a_picture_that_is_not_there_is_refused_as_a_whole(store, session, pictures):
    for bad in ("x", "0" * 64):
        with pytest.raises(RLRError, match="There is no picture"):
            store.rate(session.id, "order", (pictures[0], bad), 2)
    assert store.all_ratings(session.id) == ()


def test_eight_threads_lose_nothing_and_one_press_counts_once(store, session, pictures):
    with ThreadPoolExecutor(8) as threads:
        same = set(threads.map(lambda _: store.rate(session.id, "thumb", pictures[:1], True, press_id="press").id, range(32)))
        stars = list(threads.map(lambda number: store.rate(session.id, "stars", pictures[1:2], 1 + number % 5).id, range(100)))
    assert len(same) == 1
    assert {rating.id for rating in store.all_ratings(session.id)} == same | set(stars)
    assert len(store.ratings(session.id)) == 2


def test_every_rater_has_a_last_word(store, session, pictures):
    store.rate(session.id, "stars", pictures[:1], 2, rater="ann")
    store.rate(session.id, "stars", pictures[:1], 5, rater="bea")
    store.rate(session.id, "stars", pictures[:1], 3, rater="ann")
    assert [(rating.rater, rating.value) for rating in store.ratings(session.id)] == [("bea", 5), ("ann", 3)]
    assert store.rate(session.id, "stars", pictures[:1], 5, rater="bea").id == store.ratings(session.id)[0].id
    with pytest.raises(RLRError, match="A rater called ''"):
        store.rate(session.id, "thumb", pictures[:1], 1, rater="")
