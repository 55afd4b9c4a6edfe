"""Which question comes next, and how many more answers would help."""

import pytest
import torch

from rlr_core.errors import RLRError
from rlr_core.preference.evidence import Answer
from rlr_core.preference.questions import (
    AnswersWanted,
    Repeats,
    answers_wanted,
    due_repeat,
    expected_information,
    order_of_asking,
    repeats,
)
from rlr_core.preference.taste import fit_taste
from rlr_core.rng import generator
from rlr_core.session.records import PairRecord

NUM_COLUMNS = 12


@pytest.fixture(scope="module")
def features():
    return torch.randn(600, NUM_COLUMNS, generator=generator(0, "features"))


def taste_from(features, count, seed=0):
    draws = generator(seed, "answers")
    rows = [torch.randperm(200, generator=draws)[:2].tolist() for _ in range(count)]
    utility = 1.5 * features[:, 0] - features[:, 1]
    wins = torch.rand(count, generator=draws) < torch.sigmoid(torch.stack([utility[a] - utility[b] for a, b in rows]))
    return fit_taste(features, [Answer(a, b, "a" if won else "b") for (a, b), won in zip(rows, wins.tolist(), strict=True)], features)


@pytest.fixture(scope="module")
def taste(features):
    return taste_from(features, 30)


def test_information_is_large_where_the_answer_is_open_and_unknown(taste, features):
    information = expected_information(taste, features[300:350], features[350:400])
    assert (information > 0).all()
    assert (information < 0.6932).all()
    same = expected_information(taste, features[300:305], features[300:305])
    assert same.abs().max() < 1e-5


def test_information_matches_sampling(features):
    taste = taste_from(features, 10)
    a, b = features[300:310], features[350:360]
    mean, std = (part.double() for part in taste.difference(a, b))
    noise = torch.randn((200_000, 1), generator=generator(0, "differences"), dtype=torch.float64)
    p = torch.sigmoid(mean + std * noise)

    def entropy(q):
        return -torch.xlogy(q, q) - torch.xlogy(1 - q, 1 - q)

    by_sampling = entropy(p.mean(0)) - entropy(p).mean(0)
    torch.testing.assert_close(expected_information(taste, a, b).double(), by_sampling, atol=2e-3, rtol=0.02)


def test_no_candidates_are_refused(taste, features):
    with pytest.raises(RLRError, match="0 candidate questions"):
        answers_wanted(taste, features[:0], features[:0])


def test_the_fall_is_that_of_the_updated_posterior(taste, features):
    """Against the inverse of the precision to which one answer's information was added."""
    a, b = features[200:206], features[300:306]
    z = (taste.standardised(a) - taste.standardised(b)).double()
    covariance = taste.covariance.double()
    mean, std = z @ taste.weights.double(), (z @ covariance * z).sum(1).sqrt()
    noise = torch.randn((200_000, 1), generator=generator(0, "utilities"), dtype=torch.float64)
    p = torch.sigmoid(mean + std * noise)
    information = (p * (1 - p)).mean(0)
    falls = []
    for asked in range(6):
        updated = torch.linalg.inv(torch.linalg.inv(covariance) + information[asked] * torch.outer(z[asked], z[asked]))
        falls.append((std - (z @ updated * z).sum(1).sqrt()).mean())
    found = answers_wanted(taste, a, b)
    assert found.uncertainty == pytest.approx(float(std.mean()), rel=1e-5)
    assert found.fall == pytest.approx(float(torch.stack(falls).mean()), rel=0.01)


def test_what_is_wanted_brings_about_what_is_promised(features):
    """As many answers as advised, to questions drawn at random, with the variances of the prior kept: the promise holds within a half."""
    taste = taste_from(features, 30)
    a, b = features[200:300], features[300:400]
    advice = answers_wanted(taste, a, b)
    z = (taste.standardised(a) - taste.standardised(b)).double()
    precision, weights = torch.linalg.inv(taste.covariance.double()), taste.weights.double()
    for number in torch.randint(100, (advice.wanted,), generator=generator(0, "asked")).tolist():
        p = torch.sigmoid(z[number] @ weights)
        precision += p * (1 - p) * torch.outer(z[number], z[number])
    after = float((z @ torch.linalg.inv(precision) * z).sum(1).sqrt().mean())
    fallen = 1 - after / advice.uncertainty
    assert 0.5 * advice.share < fallen < 1.5 * advice.share


def test_the_more_is_known_the_more_answers_are_wanted(features):
    a, b = features[200:300], features[300:400]
    few, many = (answers_wanted(taste_from(features, count), a, b) for count in (10, 120))
    assert few.fall > many.fall > 0
    assert few.wanted < many.wanted
    assert answers_wanted(taste_from(features, 10), a, b, share=0.5).wanted > few.wanted


def test_equal_pictures_can_teach_nothing(taste, features):
    assert answers_wanted(taste, features[:5], features[:5]) == AnswersWanted(0.0, 0.0, 0.2, 0)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_that_cannot_be_reached_is_refused(taste, features, share):
    with pytest.raises(RLRError, match=f"share = {share:g}: "):
        answers_wanted(taste, features[:5], features[5:10], share)


def test_the_order_of_asking_is_by_information_where_nothing_is_random(taste, features):
    a, b = features[300:340], features[340:380]
    order = order_of_asking(taste, a, b, generator(0, "order"), random_share=0.0)
    information = expected_information(taste, a, b)[order]
    assert sorted(order) == list(range(40))
    assert (information.diff() <= 0).all()
    assert information[0] > information[-1]


def test_the_order_of_asking_gives_some_places_to_any_candidate(taste, features):
    a, b = features[300:340], features[340:380]
    best = order_of_asking(taste, a, b, generator(0, "order"), random_share=0.0)[0]
    first = [order_of_asking(taste, a, b, generator(0, "order", seed), random_share=0.2)[0] for seed in range(400)]
    assert 0.75 < first.count(best) / 400 < 0.86
    assert len(set(first)) > 20
    assert order_of_asking(taste, a, b, generator(0, "order", 1)) == order_of_asking(taste, a, b, generator(0, "order", 1))
    assert order_of_asking(taste, a[:0], b[:0], generator(0, "order")) == []


def question(number, choice, repeats=None, rater="me"):
    """A question about the pictures of question `repeats` or its own; a repeat has its sides swapped."""
    own = f"{repeats or number}"
    sides = (f"{own} minus", f"{own} plus") if repeats else (f"{own} plus", f"{own} minus")
    about = {"id": str(number), "repeats": repeats and str(repeats), "choice": choice, "rater": rater}
    return PairRecord("session", "round", number, "a cat", *sides, is_a_plus=not repeats, step=3, **about)


def test_repeats_are_compared_by_picture_not_by_side():
    asked = [
        question(1, "a"),
        question(2, "b"),
        question(3, "tie"),
        question(4, "a"),
        question(5, "a", rater="bea"),
        question(-1, "b", repeats=1),  # the same picture
        question(-2, "b", repeats=2),  # the other one
        question(-3, "a", repeats=3),  # no choice the time before
        question(-4, "both_bad", repeats=4),
        question(-5, "b", repeats=5),  # by another rater
    ]
    assert repeats(asked) == repeats(asked[::-1]) == Repeats(count=2, same=1)
    assert repeats([]) == Repeats(0, 0)


def test_one_question_in_twenty_comes_again():
    asked = [question(number, "ab"[number % 2]) for number in range(1, 20)]
    draws = [generator(3, "repeat", number) for number in range(60)]
    assert due_repeat(asked, draws[0]) is None
    asked.append(question(20, "a"))
    found = {due_repeat(asked, each).id for each in draws}
    assert len(found) > 8 and found <= {str(number) for number in range(1, 13)}, "the last eight are too fresh in memory"
    asked.append(question(-1, "b", repeats=5))
    assert due_repeat(asked, draws[0]) is None
    asked += [question(number, "a") for number in range(21, 40)]
    again = {due_repeat(asked, each).id for each in draws}
    assert again and not again & {"5", "-1"}, "neither a repeat nor what has been repeated"


def test_what_was_not_decided_never_comes_again():
    asked = [question(number, ("tie", "both_bad", "skip")[number % 3]) for number in range(1, 40)]
    assert due_repeat(asked, generator(0, "repeat")) is None
