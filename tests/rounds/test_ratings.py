"""Ratings on the facade: kept, refused with a sentence, and learned from."""

import pytest

from rlr_core.engine import rating_evidence
from rlr_core.errors import RLRError
from rlr_core.preference.evidence import Ranking, Stars, Thumb

PROMPTS = ("a red heart", "a blue square", "a cat face", "a red heart")


@pytest.fixture
def shown(session) -> list[str]:
    session.generate(PROMPTS, seed=0).wait()
    return [sample.image_id for sample in session.previews()]


def fitted(studio, session):
    return studio.run("fit", session._fit_taste)


def test_ratings_alone_teach_a_taste(studio, session, shown):
    assert session.taste().is_empty
    session.rate_thumb(shown[0], True)
    session.rate_stars(shown[1], 1)
    session.rate_order([shown[0], shown[2], shown[3]], num_ordered=1)
    summary = session.taste()
    assert (summary.num_ratings, summary.is_empty, summary.is_stale) == (3, False, True)
    assert summary.sentence.startswith("3 ratings.")
    taste = fitted(studio, session)
    assert taste.num_answers == 3
    features = studio.run("encode", lambda job: studio.engine().encode(session.record, shown))
    utility = taste.mean(features)
    assert utility[0] > utility[1:].max()
    assert not session.taste().is_stale


def test_every_change_of_a_rating_makes_the_taste_stale(studio, session, shown):
    session.rate_stars(shown[0], 4)
    fitted(studio, session)
    for change in (lambda: session.rate_stars(shown[0], 2), session.undo_rating, lambda: session.rate_stars(shown[0], 5)):
        assert not session.taste().is_stale
        change()
        assert session.taste().is_stale
        fitted(studio, session)
    session.rate_stars(shown[0], 5)
    assert not session.taste().is_stale, "the same again says nothing new"


def test_ratings_change_what_answers_taught(studio, session, shown):
    for pair in session.next_pairs(4):
        session.answer(pair.id, "a")
    without = fitted(studio, session)
    session.rate_thumb(shown[0], False)
    features = studio.run("encode", lambda job: studio.engine().encode(session.record, shown[:1]))
    assert fitted(studio, session).mean(features) < without.mean(features)


def test_the_same_press_counts_once_on_the_facade(session, shown):
    first = session.rate_thumb(shown[0], True, press_id="press")
    assert session.rate_thumb(shown[0], False, press_id="press") == first
    assert session.undo_rating("undo") == session.undo_rating("undo")
    assert session.ratings() == ()


def test_a_full_order_is_the_default(session, shown):
    assert session.rate_order(shown).value == 4
    assert session.rate_order(shown, num_ordered=1).value == 1


@pytest.mark.parametrize(
    ("rate", "sentence"),
    [
        (lambda session, shown: session.rate_stars(shown[0], 6), "stars = 6: a picture gets whole stars from 1 to 5"),
        (lambda session, shown: session.rate_order(shown[:1]), "A ranking of 1 pictures has nothing to compare"),
        (lambda session, shown: session.rate_order([shown[0], shown[0]]), "is in the ranking twice"),
        (lambda session, shown: session.rate_thumb("x", True), "There is no picture 'x'"),
    ],
)
def test_bad_ratings_are_refused_with_a_sentence(session, shown, rate, sentence):
    with pytest.raises(RLRError, match=sentence):
        rate(session, shown)
    assert session.ratings() == ()


def test_each_kind_becomes_its_evidence(session, shown):
    assert rating_evidence(session.rate_thumb(shown[0], False), [7]) == Thumb(7, False)
    assert rating_evidence(session.rate_stars(shown[0], 3), [7]) == Stars(7, 3)
    assert rating_evidence(session.rate_order(shown[:3], 2), [4, 2, 9]) == Ranking((4, 2, 9), 2)
