"""The likelihood against its textbook formulas, its derivatives against differences, and the maximum against a grid."""

import itertools

import pytest
import torch

from benchmarks.taste import random_mixture
from rlr_core.preference.choices import BOTH_BAD_WEIGHT, IMAGINED_STARS, UPLOAD_WEIGHT, contrasts, make_choices
from rlr_core.preference.evidence import Answer, Ranking, Stars, Thumb, Upload
from rlr_core.preference.posterior import HYPER_PRIOR_STRENGTH, Likelihood, Prior, fit, laplace, make_prior
from rlr_core.rng import generator

NUM_COLUMNS, NUM_PICTURES, NUM_REFERENCES = 4, 12, 3
EVIDENCE = [
    Answer(0, 1, "a", left="a"),
    Answer(2, 3, "b", left="a"),
    Answer(4, 5, "tie", left="b"),
    Answer(6, 7, "both_bad"),
    Thumb(8, True),
    Thumb(9, False),
    *(Stars(row, row + 1) for row in range(5)),
    Stars(7, 3),
    Ranking((3, 1, 4, 5), 1),
    Ranking((9, 2, 6), 3),
    Upload(10, True),
    Upload(11, False),
]
TWO_RATERS = [*EVIDENCE, Answer(3, 4, "a", left="b", rater="bea"), Stars(5, 2, rater="bea"), Ranking((6, 7, 8), 1, rater="bea")]


@pytest.fixture(scope="module")
def pictures():
    return torch.randn(NUM_PICTURES, NUM_COLUMNS, generator=generator(0, "pictures"), dtype=torch.float64)


@pytest.fixture(scope="module")
def references():
    return torch.randn(NUM_REFERENCES, NUM_COLUMNS, generator=generator(0, "references"), dtype=torch.float64)


@pytest.fixture(params=[EVIDENCE, TWO_RATERS], ids=["one rater", "two raters"])
def choices(request, pictures, references):
    return make_choices(pictures, request.param, references)


@pytest.fixture
def theta(choices):
    """Somewhere, with the cut points in order."""
    draws = generator(1, "theta")
    prior = make_prior(choices, torch.ones(1, NUM_COLUMNS, dtype=torch.float64))
    return prior.mean + 0.2 * torch.randn(len(prior.mean), generator=draws, dtype=torch.float64)


def textbook(evidence, theta, choices, pictures, references) -> float:
    """The log-likelihood of each kind as its own literature has it, piece by piece."""
    names = choices.names
    sizes = [NUM_COLUMNS, len(names.cuts), len(names.sided), names.num_contrasts]
    weights, cuts, biases, logs = (part.tolist() if number else part for number, part in enumerate(theta.split(sizes)))
    utilities, base = pictures @ weights, references @ weights
    cut = dict(zip(names.cuts, cuts, strict=True))
    bias = dict(zip(names.sided, biases, strict=True))
    scale = dict(zip(names.raters, [logs[0] / 2**0.5, -logs[0] / 2**0.5] if logs else [0.0], strict=True))
    sign = 1 if contrasts(len(names.raters)).sum(1)[0] >= 0 else -1
    scale = {rater: sign * log for rater, log in scale.items()}
    total = 0.0
    for piece in evidence:
        k = torch.tensor(scale[piece.rater], dtype=torch.float64).exp()
        u = utilities * k
        if isinstance(piece, Answer):
            side = {None: 0, "a": 1, "b": -1}[piece.left] * bias.get(piece.rater, 0.0)
            of_a = torch.sigmoid(u[piece.a] - u[piece.b] + side)
            total += {"a": of_a.log(), "b": (1 - of_a).log()}.get(piece.outcome, (of_a.log() + (1 - of_a).log()) / 2)
            if piece.outcome == "both_bad":
                total += BOTH_BAD_WEIGHT * sum(torch.sigmoid(base * k - u[each]).log().mean() for each in (piece.a, piece.b))
        elif isinstance(piece, Thumb):
            up = torch.sigmoid(u[piece.picture] - k * cut[piece.rater, 0])
            total += (up if piece.up else 1 - up).log()
        elif isinstance(piece, Stars):
            at_most = [0.0, *(torch.sigmoid(k * cut[piece.rater, each] - u[piece.picture]) for each in range(1, 5)), 1.0]
            total += torch.as_tensor(at_most[piece.stars] - at_most[piece.stars - 1]).log()
        elif isinstance(piece, Ranking):
            left = list(piece.pictures)
            for best in piece.pictures[: piece.num_ordered]:
                total += u[best] - u[left].logsumexp(0)
                left.remove(best)
        else:
            sign = 1 if piece.liked else -1
            total += UPLOAD_WEIGHT * torch.sigmoid(sign * (u[piece.picture] - base * k)).log().mean()
    for rater, star in itertools.product(dict.fromkeys(rater for rater, number in cut if number), (2, 3, 4)):
        k = torch.tensor(scale[rater], dtype=torch.float64).exp()
        total += IMAGINED_STARS * (1 - (-k * (cut[rater, star] - cut[rater, star - 1])).exp()).log()
    return float(total)


def test_the_likelihood_is_that_of_the_textbooks(choices, theta, pictures, references):
    evidence = TWO_RATERS if choices.names.num_contrasts else EVIDENCE
    assert Likelihood(choices).value(theta) == pytest.approx(textbook(evidence, theta, choices, pictures, references), abs=1e-10)


def test_the_gradient_is_that_of_the_likelihood(choices, theta):
    likelihood, step = Likelihood(choices), 1e-5
    by_differences = [
        (likelihood.value(theta + step * axis) - likelihood.value(theta - step * axis)) / (2 * step)
        for axis in torch.eye(len(theta), dtype=theta.dtype)
    ]
    torch.testing.assert_close(likelihood.gradient(theta), torch.tensor(by_differences, dtype=theta.dtype), atol=1e-8, rtol=1e-6)


def test_the_curvature_is_that_of_the_likelihood(choices, theta):
    likelihood, step = Likelihood(choices), 1e-5
    by_differences = torch.stack([
        (likelihood.gradient(theta - step * axis) - likelihood.gradient(theta + step * axis)) / (2 * step)
        for axis in torch.eye(len(theta), dtype=theta.dtype)
    ])  # fmt: skip
    torch.testing.assert_close(likelihood.curvature(theta) + likelihood.bend(theta), by_differences, atol=1e-8, rtol=1e-6)
    assert torch.linalg.eigvalsh(likelihood.curvature(theta)).min() > -1e-10
    assert likelihood.bend(theta).any() == (choices.names.num_contrasts > 0)


def test_disordered_cut_points_are_impossible(choices, theta):
    swapped = theta.clone()
    places = [NUM_COLUMNS + choices.names.cuts.index(("me", number)) for number in (2, 3)]
    swapped[places] = theta[places[::-1]]
    assert Likelihood(choices).value(swapped) == -float("inf")


def test_hiding_answers_is_as_if_they_had_not_been_given(pictures, references):
    choices = make_choices(pictures, EVIDENCE, references).without([0, 2])
    others = make_choices(pictures, [piece for number, piece in enumerate(EVIDENCE) if number not in (0, 2)], references)
    theta = make_prior(choices, torch.ones(1, NUM_COLUMNS, dtype=torch.float64)).mean + 0.1
    assert Likelihood(choices).value(theta) == pytest.approx(Likelihood(others).value(theta))
    torch.testing.assert_close(Likelihood(choices).curvature(theta), Likelihood(others).curvature(theta))


def test_newton_finds_the_maximum_from_far_away(choices):
    likelihood = Likelihood(choices)
    prior = make_prior(choices, torch.ones(1, NUM_COLUMNS, dtype=torch.float64))
    near = laplace(likelihood, prior, prior.mean)
    far = prior.mean.clone()
    far[:NUM_COLUMNS] = 20.0
    torch.testing.assert_close(laplace(likelihood, prior, far).mean, near.mean, atol=1e-3, rtol=1e-3)
    slope = likelihood.gradient(near.mean) - (near.mean - prior.mean) / prior.std.square()
    assert slope.abs().max() < 1e-3
    assert near.covariance.diagonal().sqrt().le(prior.std * (1 + 1e-9)).all(), "evidence never makes anything less certain"


def test_one_weight_and_one_threshold_match_a_grid(references):
    """Mean and spread of w, marginal over the threshold, by brute force; Laplace is close when there are some thumbs."""
    drawing = generator(2, "thumbs")
    x = torch.randn(80, 1, generator=drawing, dtype=torch.float64)
    ups = torch.rand(80, generator=drawing, dtype=torch.float64) < torch.sigmoid(1.2 * x[:, 0] - 0.4)
    choices = make_choices(x, [Thumb(row, up) for row, up in enumerate(ups.tolist())], references[:, :1])
    prior = Prior(torch.zeros(2, dtype=torch.float64), torch.tensor([1.0, 1.5], dtype=torch.float64))
    posterior = laplace(Likelihood(choices), prior, prior.mean)
    w, c = torch.linspace(-1, 4, 201, dtype=torch.float64), torch.linspace(-3, 3, 201, dtype=torch.float64)
    logits = (x[:, 0, None, None] * w[None, :, None] - c[None, None]) * (2 * ups.double() - 1)[:, None, None]
    density = torch.sigmoid(logits).log().sum(0) - w[:, None].square() / 2 - c[None].square() / (2 * 1.5**2)
    mass = (density - density.max()).exp().sum(1)
    mass = mass / mass.sum()
    mean = float(mass @ w)
    std = float(mass @ (w - mean).square()) ** 0.5
    assert float(posterior.mean[0]) == pytest.approx(mean, abs=0.3 * std)
    assert float(posterior.covariance[0, 0]) ** 0.5 == pytest.approx(std, rel=0.1)


def test_a_theme_that_explains_nothing_is_given_little_room(pictures, references):
    drawing = generator(3, "answers")
    x = torch.randn(200, 4, generator=drawing, dtype=torch.float64)
    a, b = torch.randint(200, (2, 300), generator=drawing).tolist()
    evidence = [Answer(i, j, "a" if 3 * (x[i, 0] - x[j, 0]) > 0 else "b") for i, j in zip(a, b, strict=True) if i != j]
    columns = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]], dtype=torch.float64)
    posterior, prior = fit(make_choices(x, evidence, x[:2]), columns)
    assert prior.std[0] > 5 * prior.std[2]
    assert posterior.mean[0] > 10 * posterior.mean[2:].abs().max()


def test_weights_and_variances_arrive_at_the_fixed_point_together():
    """Thirty answers leave most themes undecided, so the last per cent takes long; the oracle goes on for as long as anything moves."""
    num_themes, drawing = 6, generator(4, "answers")
    x = torch.randn(60, 10 * num_themes, generator=drawing, dtype=torch.float64)
    wins = torch.rand(30, generator=drawing, dtype=torch.float64) < torch.sigmoid(2 * (x[:30, 0] - x[30:, 0]))
    choices = make_choices(x, [Answer(row, 30 + row, "a" if won else "b") for row, won in enumerate(wins.tolist())], x[:2])
    columns = torch.eye(num_themes, dtype=torch.float64).repeat_interleave(10, 1)
    found, prior = fit(choices, columns)
    guess = make_prior(choices, columns).std[::10][:num_themes].square()
    variances, start = guess, found.mean
    for _ in range(500):
        posterior = laplace(Likelihood(choices), prior.with_weights(variances @ columns), start)
        start = posterior.mean
        determined = 10 - columns @ posterior.covariance.diagonal() / variances
        variances = (columns @ start.square() + HYPER_PRIOR_STRENGTH * guess) / (determined + HYPER_PRIOR_STRENGTH)
    torch.testing.assert_close(prior.std, (variances @ columns).sqrt(), rtol=0.05, atol=0)
    assert (found.mean - start).norm() < 0.05 * start.norm()


def test_variances_stay_positive_while_the_consistencies_are_far_off():
    """Two raters, sure of everything: on the way the bend leaves less curvature than the prior's, and fewer than 0 columns seem known."""
    x = torch.randn(200, 60, generator=generator(0, "features"), dtype=torch.float64)
    columns = torch.eye(12, dtype=torch.float64).repeat_interleave(5, 1)
    posterior, prior = fit(make_choices(x, random_mixture(x.float(), 100), x[:4]), columns)
    assert prior.std.isfinite().all()
    assert (posterior.covariance.diagonal().sqrt() <= prior.std * (1 + 1e-9)).all()
