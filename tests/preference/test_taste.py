import dataclasses
import itertools

import pytest
import torch
from safetensors.torch import save_file

from rlr_core.errors import RLRError
from rlr_core.preference.evidence import Answer, Upload
from rlr_core.preference.features import column_themes
from rlr_core.preference.taste import Taste, fit_taste
from rlr_core.rng import generator
from tests.preference.answers import fit_answers
from tests.preference.pictures import draw_pictures

NUM_QUESTIONS = 60


@pytest.fixture(scope="module")
def features(encoder):
    with torch.no_grad():
        return encoder(draw_pictures(400), [None] * 400)


@pytest.fixture(scope="module")
def reference(features):
    return features[:100]


def _planted(features, reference, theme, logits=4.0):
    """A utility that is linear in one theme's first column."""
    column = column_themes(features.shape[1]).index(theme)
    return logits * (features[:, column] - reference[:, column].mean()) / reference[:, column].std()


def _simulate(features, utility, count, seed=0):
    """Pairs among features[100:300], answered by Bradley-Terry."""
    draws = generator(seed, "questions")
    a, b = torch.randint(100, 300, (2, count), generator=draws)
    wins = torch.rand(count, generator=draws) < torch.sigmoid(utility[a] - utility[b])
    return features[a], features[b], ["a" if win else "b" for win in wins.tolist()]


def _fit(features, reference, utility, count, seed=0):
    a, b, outcomes = _simulate(features, utility, count, seed)
    return fit_answers(a, b, outcomes, reference)


@pytest.mark.parametrize("theme", ["warmth", "subject size", "texture", "dark ink", "symmetry", "number of colours"])
def test_thirty_noisy_answers_reveal_a_planted_taste(features, reference, theme):
    utility = _planted(features, reference, theme, logits=2.0)
    shares = []
    for seed in range(3):
        taste = _fit(features, reference, utility, 30, seed)
        learned, true = taste.mean(features[300:]), utility[300:]
        pairs = torch.tensor(list(itertools.combinations(range(100), 2)))
        shares.append(((learned[pairs[:, 0]] > learned[pairs[:, 1]]) == (true[pairs[:, 0]] > true[pairs[:, 1]])).float().mean())
    assert torch.stack(shares).mean() > 0.75


def test_random_answers_reveal_nothing(features, reference):
    taste = _fit(features, reference, torch.zeros(len(features)), NUM_QUESTIONS)
    real = _fit(features, reference, _planted(features, reference, "warmth"), NUM_QUESTIONS)
    assert taste.agreement_held_out < 0.7
    assert real.agreement_held_out > 0.75
    assert taste.spread < real.spread


def test_swapping_the_two_pictures_of_every_question_changes_nothing(features, reference):
    a, b, outcomes = _simulate(features, _planted(features, reference, "warmth"), 20)
    swapped = ["b" if outcome == "a" else "a" for outcome in outcomes]
    one = fit_answers(a, b, outcomes, reference)
    other = fit_answers(b, a, swapped, reference)
    torch.testing.assert_close(one.weights, other.weights)
    torch.testing.assert_close(one.covariance, other.covariance)


def test_covariance_is_symmetric_positive_and_shrinks_with_answers(features, reference):
    utility = _planted(features, reference, "warmth")
    few, many = (_fit(features, reference, utility, count) for count in (5, 60))
    for taste in (few, many):
        torch.testing.assert_close(taste.covariance, taste.covariance.T)
        assert torch.linalg.eigvalsh(taste.covariance.double()).min() > 0
    ratio = few.std(features[300:]).mean() / few.mean(features[300:]).abs().mean()
    ratio_many = many.std(features[300:]).mean() / many.mean(features[300:]).abs().mean()
    assert ratio_many < 0.7 * ratio


def test_the_posterior_knows_how_often_it_is_right(features, reference):
    """Of the signs of utility differences that are given a probability p, a share p should be right: within 12 points on average."""
    utility = _planted(features, reference, "warmth", logits=2.0)
    stated, right = [], []
    for seed in range(4):
        mean, std = _fit(features, reference, utility, 30, seed).difference(features[300:350], features[350:])
        stated.append(torch.distributions.Normal(0, 1).cdf(mean.abs() / std))
        right.append(((mean > 0) == (utility[300:350] > utility[350:])).float())
    assert abs(float(torch.cat(stated).mean() - torch.cat(right).mean())) < 0.12


def test_ties_pull_the_two_together(features, reference):
    a, b, outcomes = _simulate(features, _planted(features, reference, "warmth"), 20)
    without = fit_answers(a, b, outcomes, reference)
    pair = features[300:301], features[301:302]
    more_a, more_b = (torch.cat([old, new.expand(20, -1)]) for old, new in zip((a, b), pair, strict=True))
    tied = fit_answers(more_a, more_b, [*outcomes, *["tie"] * 20], reference)
    assert tied.difference(*pair)[0].abs() < without.difference(*pair)[0].abs()
    assert tied.difference(*pair)[1] < without.difference(*pair)[1]


def test_only_ties_give_no_preference_and_no_agreement(features, reference):
    taste = fit_answers(features[100:110], features[110:120], ["tie"] * 10, reference)
    assert taste.weights.abs().max() < 1e-6
    assert taste.spread < 1e-5
    assert taste.agreement_held_out is None
    assert (taste.std(features[300:]) > 0.1).all()


def test_both_bad_puts_both_below_the_average(features, reference):
    a, b = features[100:101], features[101:102]
    bad = fit_answers(a, b, ["both_bad"], reference)
    tie = fit_answers(a, b, ["tie"], reference)
    assert bad.mean(torch.cat([a, b])).max() < -0.05
    assert tie.mean(torch.cat([a, b])).abs().max() < 1e-6


def test_contradictory_answers_say_little(features, reference):
    a, b = features[100:101].expand(10, -1), features[101:102].expand(10, -1)
    split = fit_answers(a, b, ["a", "b"] * 5, reference)
    united = fit_answers(a, b, ["a"] * 10, reference)
    assert split.difference(a[:1], b[:1])[0].abs() < 1e-6
    assert united.difference(a[:1], b[:1])[0] > 1


def test_one_answer_says_a_little_and_admits_it(features, reference):
    taste = fit_answers(features[100:101], features[101:102], ["b"], reference)
    mean, std = taste.difference(features[101:102], features[100:101])
    assert 0 < mean < 3 * std
    assert taste.agreement_held_out is None
    assert taste.num_answers == 1


@pytest.mark.parametrize(("liked", "sign"), [(True, 1), (False, -1)])
def test_uploads_alone_shift_the_taste_their_way(features, reference, liked, sign):
    column = column_themes(features.shape[1]).index("warmth")
    warmest = features[100:300][features[100:300, column].argsort(descending=True)[:5]]
    taste = fit_taste(warmest, [Upload(row, liked) for row in range(5)], reference)
    learned = sign * taste.mean(features[300:])
    warm = features[300:, column] > features[300:, column].median()
    assert learned[warm].mean() > learned[~warm].mean() + 0.2
    assert taste.num_answers == 5


def test_uploads_count_beside_answers(features, reference):
    a, b, outcomes = _simulate(features, _planted(features, reference, "warmth"), 10)
    picture = features[300:301]
    plain = fit_answers(a, b, outcomes, reference).mean(picture)
    assert fit_answers(a, b, outcomes, reference, liked=picture.expand(3, -1)).mean(picture) > plain
    assert fit_answers(a, b, outcomes, reference, disliked=picture.expand(3, -1)).mean(picture) < plain


def test_nothing_to_learn_from_is_said(features, reference):
    with pytest.raises(RLRError, match="0 answers, ratings and uploads"):
        fit_taste(features, [], reference)
    with pytest.raises(RLRError, match="1 reference pictures"):
        fit_taste(features, [Answer(0, 1, "a")], reference[:1])


def test_a_constant_reference_column_does_not_blow_up(features, reference):
    constant = reference.clone()
    constant[:, 0] = 0.5
    a, b, outcomes = _simulate(features, _planted(features, reference, "warmth"), 10)
    taste = fit_answers(a, b, outcomes, constant)
    assert taste.mean(features).isfinite().all()
    assert taste.mean(features).abs().max() < 50


def test_save_and_load_give_the_same_taste(features, reference, tmp_path):
    for count in (3, 12):
        taste = _fit(features, reference, _planted(features, reference, "warmth"), count)
        taste = dataclasses.replace(taste, features="clip:owner/model")
        (tmp_path / "taste.safetensors").write_bytes(taste.to_bytes())
        loaded = Taste.load(tmp_path / "taste.safetensors")
        for field in dataclasses.fields(Taste):
            before, after = getattr(taste, field.name), getattr(loaded, field.name)
            assert torch.equal(before, after) if isinstance(before, torch.Tensor) else before == after


def test_a_taste_written_before_raters_were_kept_can_be_read(features, reference, tmp_path):
    taste = _fit(features, reference, _planted(features, reference, "warmth"), 8)
    tensors = {name: getattr(taste, name).contiguous() for name in ("centre", "scale", "weights", "covariance")}
    save_file(tensors, tmp_path / "taste.safetensors", {"spread": repr(taste.spread), "num_answers": "8"})
    loaded = Taste.load(tmp_path / "taste.safetensors")
    assert loaded.weights.equal(taste.weights)
    assert (loaded.spread, loaded.num_answers, loaded.agreement_held_out, loaded.raters) == (taste.spread, 8, None, ())
    assert loaded.features == "statistics 1, embedded_clip"


def test_the_lower_bound_is_exceeded_as_often_as_it_says(features, reference):
    taste = _fit(features, reference, _planted(features, reference, "warmth"), 20)
    pictures = features[300:305]
    z = taste.standardised(pictures).double()
    root = torch.linalg.cholesky(taste.covariance.double())
    noise = torch.randn((root.shape[0], 20_000), generator=generator(0, "weights"), dtype=torch.float64)
    utilities = z @ (taste.weights.double()[:, None] + root @ noise)
    exceeded = (utilities > taste.lower_bound(pictures, 0.9)[:, None]).double().mean(1)
    torch.testing.assert_close(exceeded, torch.full((5,), 0.9, dtype=torch.float64), atol=0.01, rtol=0)
    torch.testing.assert_close(taste.lower_bound(pictures, 0.5), taste.mean(pictures))


@pytest.mark.parametrize("confidence", [0.4, 1.0, float("nan")])
def test_a_confidence_that_gives_no_lower_bound_is_refused(features, reference, confidence):
    with pytest.raises(RLRError, match=f"confidence = {confidence:g}: .* from 0.5 to below 1"):
        _fit(features, reference, _planted(features, reference, "warmth"), 3).lower_bound(features[:1], confidence)


def test_the_lower_bound_has_a_gradient_even_where_nothing_is_unsure(features, reference):
    """At the centre z is 0, so the deviation is 0, where a plain square root has no derivative."""
    taste = _fit(features, reference, _planted(features, reference, "warmth"), 10)
    pictures = torch.stack([taste.centre, features[300]]).requires_grad_()
    bound = taste.lower_bound(pictures, 0.95)
    (gradient,) = torch.autograd.grad(bound.sum(), pictures)
    assert gradient.isfinite().all()
    assert float(bound[0].detach()) == 0
    step = 1e-2 * taste.scale.double() * torch.randn(taste.scale.shape, generator=generator(1, "step"), dtype=torch.float64)
    exact = dataclasses.replace(taste, **{n: getattr(taste, n).double() for n in ("centre", "scale", "weights", "covariance")})
    there, back = (exact.lower_bound(features[300:301].double() + side * step, 0.95) for side in (1, -1))
    torch.testing.assert_close((there - back)[0] / 2, gradient[1].double() @ step, atol=1e-5, rtol=1e-3)


def test_the_probability_of_an_answer_matches_sampling(features, reference):
    taste = _fit(features, reference, _planted(features, reference, "warmth"), 10)
    a, b = features[300:310], features[350:360]
    mean, std = (part.double() for part in taste.difference(a, b))
    noise = torch.randn((200_000, 1), generator=generator(0, "differences"), dtype=torch.float64)
    by_sampling = torch.sigmoid(mean + std * noise).mean(0)
    torch.testing.assert_close(taste.probability(a, b).double(), by_sampling, atol=3e-3, rtol=0)
    torch.testing.assert_close(taste.probability(a, b) + taste.probability(b, a), torch.ones(10))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RLRError, match="gone.safetensors is not there"):
        Taste.load(tmp_path / "gone.safetensors")


def test_what_prompts_differ_in_does_not_hide_what_the_two_pictures_of_a_question_differ_in():
    columns, drawing = 12, torch.Generator().manual_seed(4)
    planted = torch.randn(columns, generator=drawing, dtype=torch.float64)

    def questions(count):
        prompts = 3 * torch.randn(count, columns, generator=drawing, dtype=torch.float64)
        change = 0.3 * torch.randn(count, columns, generator=drawing, dtype=torch.float64)
        return prompts + change, prompts - change

    a, b = questions(40)
    outcomes = ["a" if won else "b" for won in ((a - b) @ planted > 0).tolist()]
    taste = fit_answers(a, b, outcomes, torch.cat([a, b]))
    new_a, new_b = questions(400)
    right = (taste.difference(new_a.float(), new_b.float())[0] > 0) == ((new_a - new_b) @ planted > 0)
    assert float(right.float().mean()) > 0.8
