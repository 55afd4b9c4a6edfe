"""Every kind of evidence: what it refuses, what it teaches, and that little or bad evidence does no harm."""

import dataclasses

import pytest
import torch

from rlr_core.errors import RLRError
from rlr_core.preference.evidence import Answer, Evidence, Ranking, Stars, Thumb, Upload
from rlr_core.preference.taste import Taste, fit_taste
from rlr_core.rng import generator

NUM_COLUMNS = 12
NUM_PICTURES = 400
CUTS = (-2.5, -1.0, 0.5, 2.0)


@pytest.fixture(scope="module")
def features():
    return torch.randn(NUM_PICTURES, NUM_COLUMNS, generator=generator(0, "features"), dtype=torch.float64)


@pytest.fixture(scope="module")
def utility(features):
    weights = torch.zeros(NUM_COLUMNS, dtype=torch.float64)
    weights[:3] = torch.tensor([1.5, -1.0, 0.7])
    return features @ weights


def share_in_order(taste: Taste, features, utility) -> float:
    """Of the pairs of the last hundred pictures, the share that the taste puts in the true order."""
    left, right = torch.combinations(torch.arange(NUM_PICTURES - 100, NUM_PICTURES)).T
    found = taste.mean(features.float())
    return float(((found[left] > found[right]) == (utility[left] > utility[right])).float().mean())


def gumbel(shape, draws):
    return -torch.rand(shape, generator=draws, dtype=torch.float64).log().neg().log()


def answers(utility, count, draws, consistency=1.0, bias=0.0, rater="me") -> list[Evidence]:
    """Bradley-Terry at an inverse temperature, with a bias in logits for the picture on the left; a is on the left half the time."""
    given = []
    for _ in range(count):
        a, b = torch.randperm(NUM_PICTURES - 100, generator=draws)[:2].tolist()
        left, uniform = ("a" if torch.rand((), generator=draws) < 0.5 else "b"), torch.rand((), generator=draws, dtype=torch.float64)
        won = uniform < torch.sigmoid(consistency * (utility[a] - utility[b]) + (bias if left == "a" else -bias))
        given.append(Answer(a, b, "a" if won else "b", left, rater))
    return given


def thumbs(utility, count, draws) -> list[Evidence]:
    ups = torch.rand(count, generator=draws, dtype=torch.float64) < torch.sigmoid(utility[:count] - 0.5)
    return [Thumb(row, up) for row, up in enumerate(ups.tolist())]


def stars(utility, count, draws) -> list[Evidence]:
    uniform = torch.rand(count, generator=draws, dtype=torch.float64)
    noisy = utility[:count] + uniform.log() - (-uniform).log1p()
    return [Stars(row, 1 + sum(float(noisy[row]) > cut for cut in CUTS)) for row in range(count)]


def best_of_four(utility, count, draws) -> list[Evidence]:
    given = []
    for _ in range(count):
        four = torch.randperm(NUM_PICTURES - 100, generator=draws)[:4]
        order = four[(utility[four] + gumbel(4, draws)).argsort(descending=True)].tolist()
        given.append(Ranking((order[0], *sorted(order[1:])), num_ordered=1))
    return given


def full_orders(utility, count, draws) -> list[Evidence]:
    given = []
    for _ in range(count):
        five = torch.randperm(NUM_PICTURES - 100, generator=draws)[:5]
        given.append(Ranking(tuple(five[(utility[five] + gumbel(5, draws)).argsort(descending=True)].tolist()), num_ordered=5))
    return given


@pytest.mark.parametrize(("give", "count"), [(answers, 60), (thumbs, 80), (stars, 50), (best_of_four, 40), (full_orders, 15)])
def test_each_kind_alone_teaches_the_order_of_new_pictures(features, utility, give, count):
    shares = [
        share_in_order(fit_taste(features, give(utility, count, generator(seed, "given")), features), features, utility) for seed in (0, 1)
    ]
    assert sum(shares) / 2 > 0.8
    turned = [share_in_order(fit_taste(features, give(-utility, count, generator(0, "given")), features), features, utility)]
    assert turned[0] < 0.2, "so that the share means something"


def test_kinds_together_teach_more_than_each_alone(features, utility):
    kinds = [give(utility, 12, generator(3, "given", give.__name__)) for give in (answers, thumbs, stars, best_of_four)]
    alone = [share_in_order(fit_taste(features, kind, features), features, utility) for kind in kinds]
    together = share_in_order(fit_taste(features, sum(kinds, []), features), features, utility)
    assert together > max(alone)


def test_a_full_order_tells_more_than_the_best_alone(features, utility):
    orders = full_orders(utility, 12, generator(0, "given"))
    best = [dataclasses.replace(each, num_ordered=1) for each in orders]
    whole, part = (fit_taste(features, given, features) for given in (orders, best))
    assert share_in_order(whole, features, utility) > share_in_order(part, features, utility)


def test_the_last_of_a_full_order_needs_no_saying(features, utility):
    orders = full_orders(utility, 6, generator(0, "given"))
    without_last = [dataclasses.replace(each, num_ordered=4) for each in orders]
    one, other = (fit_taste(features, given, features) for given in (orders, without_last))
    torch.testing.assert_close(one.weights, other.weights)
    torch.testing.assert_close(one.covariance, other.covariance)


def test_the_order_of_the_rest_of_a_ranking_does_not_matter(features):
    one = fit_taste(features, [Ranking((3, 8, 1, 5), 1)] * 3, features)
    other = fit_taste(features, [Ranking((3, 5, 8, 1), 1)] * 3, features)
    torch.testing.assert_close(one.weights, other.weights)


def test_a_generous_rater_teaches_the_same_as_a_strict_one(features, utility):
    """Stars of one rater moved up by one tell the same order: how generous somebody is has parameters of its own."""
    given = [piece for piece in stars(utility, 150, generator(0, "given")) if piece.stars < 5]
    moved = [Stars(piece.picture, piece.stars + 1) for piece in given]
    one, other = (fit_taste(features, each, features).mean(features[300:].float()) for each in (given, moved))
    assert torch.corrcoef(torch.stack([one, other]))[0, 1] > 0.95


def test_two_raters_of_unlike_generosity_do_not_contradict_each_other(features, utility):
    draws = generator(0, "given")
    given = [piece for piece in stars(utility, 200, draws) if piece.stars < 4]
    others = [Stars(piece.picture, piece.stars + 2, rater="generous") for piece in given[1::2]]
    apart = share_in_order(fit_taste(features, given[::2] + others, features), features, utility)
    mixed = share_in_order(
        fit_taste(features, given[::2] + [dataclasses.replace(each, rater="me") for each in others], features), features, utility
    )
    assert apart > mixed


def test_position_bias_is_found_with_its_error_and_kept_out_of_the_taste(features, utility):
    given = answers(utility, 400, generator(0, "given"), bias=0.6)
    (rater,) = fit_taste(features, given, features).raters
    assert abs(rater.position_bias - 0.6) < 3 * rater.position_bias_error
    assert rater.position_bias > 3 * rater.position_bias_error
    assert 0.05 < rater.position_bias_error < 0.15
    (unbiased,) = fit_taste(features, answers(utility, 400, generator(0, "given")), features).raters
    assert abs(unbiased.position_bias) < 3 * unbiased.position_bias_error


def test_a_person_who_always_takes_the_left_picture_has_a_bias_and_no_taste(features):
    draws = generator(0, "left")
    pairs = [torch.randperm(300, generator=draws)[:2].tolist() for _ in range(60)]
    taste = fit_taste(features, [Answer(a, b, "a", left="a") for a, b in pairs], features)
    assert taste.raters[0].position_bias > 0.5
    assert taste.spread < fit_taste(features, [Answer(a, b, "a") for a, b in pairs], features).spread


def test_equal_pictures_tell_of_the_position_alone(features):
    taste = fit_taste(features, [Answer(5, 5, "a", left="a")] * 10, features)
    assert taste.weights.abs().max() < 1e-9
    assert taste.raters[0].position_bias > 0.1


def test_a_consistent_rater_counts_more_than_a_careless_one(features, utility):
    careful = answers(utility, 200, generator(0, "careful"), consistency=2.0, rater="careful")
    careless = answers(utility, 200, generator(0, "careless"), consistency=0.3, rater="careless")
    taste = fit_taste(features, careful + careless, features)
    found = {rater.name: rater for rater in taste.raters}
    assert set(found) == {"careful", "careless"}
    ratio = found["careful"].consistency / found["careless"].consistency
    assert 2.5 < ratio < 15  # 6.7 planted
    gap = found["careful"].consistency - found["careless"].consistency
    assert gap > 2 * (found["careful"].consistency_error + found["careless"].consistency_error)
    as_one = [dataclasses.replace(piece, rater="me") for piece in careful + careless]
    assert share_in_order(taste, features, utility) > share_in_order(fit_taste(features, as_one, features), features, utility)


def test_a_single_rater_is_the_unit_of_consistency(features, utility):
    (rater,) = fit_taste(features, answers(utility, 30, generator(0, "given"), rater="ann"), features).raters
    assert (rater.name, rater.consistency, rater.consistency_error) == ("ann", 1.0, 0.0)


# Little and bad evidence

SAME_PAIR_BOTH_WAYS = [Answer(1, 2, "a"), Answer(1, 2, "b"), Answer(2, 1, "a"), Answer(2, 1, "b")] * 3
POOR = {
    "contradictory": SAME_PAIR_BOTH_WAYS,
    "every question both ways": [Answer(row, row + 50, outcome, left="a") for row in range(20) for outcome in ("a", "b")],
    "all ties": [Answer(row, row + 50, "tie", left="a") for row in range(20)],
    "all both bad": [Answer(row, row + 50, "both_bad", left="a") for row in range(20)],
    "one answer": [Answer(1, 2, "a", left="b")],
    "one thumb": [Thumb(3, True)],
    "only thumbs up": [Thumb(row, True) for row in range(40)],
    "only thumbs down": [Thumb(row, False) for row in range(40)],
    "only one star": [Stars(row, 1) for row in range(40)],
    "only three stars": [Stars(row, 3) for row in range(40)],
    "only five stars": [Stars(row, 5) for row in range(40)],
    "one and five stars of one picture": [Stars(1, 1), Stars(1, 5)] * 20,
    "one ranking": [Ranking((4, 9, 2, 7), 1)],
    "a ring": [Ranking((1, 2, 3), 3), Ranking((2, 3, 1), 3), Ranking((3, 1, 2), 3)] * 4,
    "one disliked upload": [Upload(8, False)],
    "an upload liked and disliked": [Upload(8, True), Upload(8, False)],
    "many raters, one word each": [Thumb(row, row % 2 == 0, rater=f"rater {row}") for row in range(30)],
    "everything once": [Answer(1, 2, "tie"), Thumb(3, False), Stars(4, 5), Ranking((5, 6, 7), 2), Upload(8, True)],
}


@pytest.mark.parametrize("kind", POOR)
def test_poor_evidence_gives_a_finite_taste_that_admits_its_uncertainty(features, kind):
    taste = fit_taste(features, POOR[kind], features)
    pictures = features[300:].float()
    mean, std = taste.mean(pictures), taste.std(pictures)
    assert mean.isfinite().all() and std.isfinite().all()
    assert mean.abs().max() < 4
    typical_prior = 1.0  # logits
    assert std.mean() > 0.4 * typical_prior
    assert torch.linalg.eigvalsh(taste.covariance.double()).min() > 0
    assert all(0 < rater.consistency < 10 and abs(rater.position_bias) < 3 for rater in taste.raters)
    assert taste.num_answers == len(POOR[kind])


CANCELLING = (
    "contradictory",
    "every question both ways",
    "all ties",
    "one and five stars of one picture",
    "a ring",
    "an upload liked and disliked",
)


@pytest.mark.parametrize("kind", CANCELLING)
def test_evidence_that_cancels_out_gives_no_preference(features, kind):
    taste = fit_taste(features, POOR[kind], features)
    assert taste.mean(features[300:].float()).abs().max() < 0.15


def test_features_that_are_not_finite_are_named(features):
    for bad in (float("nan"), float("inf")):
        broken = features.clone()
        broken[7, 3] = bad
        with pytest.raises(RLRError, match="features of picture 7 are not all finite numbers.*leave it out"):
            fit_taste(broken, [Answer(1, 2, "a")], features)
        with pytest.raises(RLRError, match="features of reference picture 7 are not all finite"):
            fit_taste(features, [Answer(1, 2, "a")], broken)


@pytest.mark.parametrize("piece", [Answer(1, 400, "a"), Thumb(-1, True), Ranking((3, 400), 1)])
def test_a_picture_that_is_not_there_is_named(features, piece):
    with pytest.raises(RLRError, match="Piece of evidence 1 is about picture (400|-1), which is not among the 400 pictures"):
        fit_taste(features, [Answer(0, 1, "a"), piece], features)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Answer(1, 2, "left"), "'left' answers no question: answer with one of a, b, tie, both_bad"),
        (lambda: Stars(1, 0), "stars = 0: .* from 1 to 5"),
        (lambda: Stars(1, 6), "stars = 6: "),
        (lambda: Stars(1, 2.5), "stars = 2.5: a picture gets whole stars"),
        (lambda: Ranking((1,), 1), "A ranking of 1 pictures has nothing to compare"),
        (lambda: Ranking((1, 2, 1), 1), "Picture 1 is in the ranking twice"),
        (lambda: Ranking((1, 2), 0), "num_ordered = 0: of 2 pictures, 1 to 2"),
        (lambda: Ranking((1, 2), 3), "num_ordered = 3"),
    ],
)
def test_what_cannot_be_said_is_refused_with_a_sentence(make, sentence):
    with pytest.raises(RLRError, match=sentence):
        make()
