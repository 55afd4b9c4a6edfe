"""The posterior of a utility and its nuisance parameters: one log-likelihood, its maximum, and a Gaussian around it (Laplace).

    log P(choices) = - sum over choices of weight * log(1 + sum over rivals of exp(eta)) + sum over gaps of count * log(1 - exp(-g))
    eta = k_r (rival - winner) . (w, c) + side * b_r,        g = k_r (upper cut point - lower cut point)

with w the weights of the features, c the cut points, and of every rater r the consistency k_r, i.e. the inverse temperature, and the
position bias b_r. The product of all k is 1, so that they cannot take over the scale of w. For given k it is concave; in log k nearly so:
where it is not, Newton's step leaves the second derivative of eta out (Gauss and Newton). Every parameter has a Gaussian prior, so a
handful of answers cannot run away.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from rlr_core.preference.choices import THUMB, Choices
from rlr_core.preference.evidence import MOST_STARS

PRIOR_UTILITY_STD = 1.0  # logits, of a reference picture's utility before any answer
HYPER_PRIOR_STRENGTH = 0.5  # how many columns' worth of evidence the prior guess of v_theme counts for
CUT_STD = 1.5  # logits: how far one person is more generous than another
POSITION_BIAS_STD = 0.2  # logits: of two equal pictures the left one is chosen by 55 % rather than by half
LOG_CONSISTENCY_STD = 0.7  # a rater twice or half as consistent as usual is nothing special
LOGISTIC_STD = math.pi / math.sqrt(3)
VARIANCE_UPDATES = 60
VARIANCES_TOLERANCE = 0.01  # relative
NEWTON_STEPS = 50
HALVINGS = 40
SMALLEST_SHRINKAGE = 0.1
GAIN_TOLERANCE = 1e-3  # nats that the last step of Newton's method promises; what it leaves is about a thousandth of that


class Likelihood:
    """The log-likelihood of choices as a function of all parameters, shape (P,): (w, c, b, log k in the basis of `contrasts`)."""

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        sizes = torch.bincount(choice := choices.choice)
        self._is_alone = sizes[choice] == 1
        self._num_linear = choices.differences.shape[1]
        self._num_sided = choices.positions.shape[1]
        self.num_parameters = self._num_linear + self._num_sided + choices.raters.shape[1]
        self._shared = (~self._is_alone).nonzero()[:, 0]
        shared, self._shared_place = torch.unique(choice[self._shared], return_inverse=True)
        self._shared_weights = choices.weights[shared]
        self._shared_differences = choices.differences[self._shared]

    def _parts(self, theta: Tensor) -> tuple[Tensor, ...]:
        """(w, c), b and log k."""
        return theta.split([self._num_linear, self._num_sided, self.num_parameters - self._num_linear - self._num_sided])

    def _logits(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """eta, its part that the consistency scales, and the consistency; each shape (R,)."""
        linear, bias, log_consistency = self._parts(theta)
        consistency = (self.choices.raters @ log_consistency).exp()
        scaled = consistency * (self.choices.differences @ linear)
        return scaled + self.choices.positions @ bias, scaled, consistency

    def _gaps(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """g and the consistency, each shape (G,)."""
        linear, _, log_consistency = self._parts(theta)
        consistency = (self.choices.gap_raters @ log_consistency).exp()
        return consistency * (self.choices.gaps @ linear), consistency

    def _log_totals(self, eta: Tensor) -> Tensor:
        """log(1 + sum over rivals of exp(eta)) of every choice, shape (C,)."""
        choice, none = self.choices.choice, torch.zeros_like(self.choices.weights)
        most = none.scatter_reduce(0, choice, eta, "amax")
        return most + ((-most).exp() + none.index_add(0, choice, (eta - most[choice]).exp())).log()

    def value(self, theta: Tensor) -> float:
        """The log-likelihood, in nats; minus infinity where cut points are out of order."""
        gaps, _ = self._gaps(theta)
        if bool((gaps <= 0).any()):
            return -math.inf
        eta, _, _ = self._logits(theta)
        return float((-torch.expm1(-gaps)).log() @ self.choices.gap_counts - self.choices.weights @ self._log_totals(eta))

    def keeps_gaps(self, theta: Tensor, new: Tensor) -> bool:
        """Whether no gap shrinks to less than a tenth from `theta` to `new`: next to zero its curvature would drown all others."""
        return bool((self._gaps(new)[0] >= SMALLEST_SHRINKAGE * self._gaps(theta)[0]).all())

    def gradient(self, theta: Tensor) -> Tensor:
        """Its derivative, shape (P,)."""
        eta, scaled, consistency = self._logits(theta)
        gaps, gap_consistency = self._gaps(theta)
        pull, push = self._forces(eta, gaps)
        return torch.cat([
            self.choices.differences.T @ (pull * consistency) + self.choices.gaps.T @ (push * gap_consistency),
            self.choices.positions.T @ pull,
            self.choices.raters.T @ (pull * scaled) + self.choices.gap_raters.T @ (push * gaps),
        ])  # fmt: skip

    def _forces(self, eta: Tensor, gaps: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives by eta, shape (R,), and by the gaps, shape (G,)."""
        choice = self.choices.choice
        return -self.choices.weights[choice] * (eta - self._log_totals(eta)[choice]).exp(), self.choices.gap_counts / torch.expm1(gaps)

    def curvature(self, theta: Tensor) -> Tensor:
        """Minus its second derivative, but for what the second derivative of eta brings (`bend`): shape (P, P), nowhere negative.

        Of a choice: sum over rivals of p d d' minus the outer product of sum p d, with d the derivatives of eta: of (w, c) the differences
        times k; the few others are kept apart from these many.
        """
        eta, scaled, consistency = self._logits(theta)
        choices, choice = self.choices, self.choices.choice
        p = (eta - self._log_totals(eta)[choice]).exp()
        few = torch.cat([choices.positions, choices.raters * scaled[:, None]], 1)
        counts = choices.weights[choice] * p * (1 - p * self._is_alone)
        found = _gram(choices.differences, few, consistency, counts)
        if len(self._shared):
            mine = p[self._shared]
            sums = self._sum_of_shared(self._shared_differences, mine * consistency[self._shared])
            few_sums = self._sum_of_shared(few[self._shared], mine)
            found = found - _gram(sums, few_sums, torch.ones_like(self._shared_weights), self._shared_weights)
        gaps, gap_consistency = self._gaps(theta)
        no_bias = choices.positions.new_zeros(len(gaps), self._num_sided)
        few_of_gaps = torch.cat([no_bias, choices.gap_raters * gaps[:, None]], 1)
        return found + _gram(choices.gaps, few_of_gaps, gap_consistency, choices.gap_counts / (2 * torch.sinh(gaps / 2)).square())

    def _sum_of_shared(self, rows: Tensor, counts: Tensor) -> Tensor:
        """Sum of the rows times their counts over each choice with several rivals."""
        return rows.new_zeros(len(self._shared_weights), rows.shape[1]).index_add(0, self._shared_place, rows * counts[:, None])

    def bend(self, theta: Tensor) -> Tensor:
        """What `curvature` leaves out: minus the sum of the forces times the second derivatives of eta and g, shape (P, P)."""
        eta, scaled, consistency = self._logits(theta)
        gaps, gap_consistency = self._gaps(theta)
        pull, push = self._forces(eta, gaps)
        choices, found = self.choices, torch.zeros(len(theta), len(theta), dtype=theta.dtype)
        linear, contrasts = slice(0, self._num_linear), slice(self._num_linear + self._num_sided, None)
        mixed = choices.differences.T @ (choices.raters * (pull * consistency)[:, None])
        mixed = mixed + choices.gaps.T @ (choices.gap_raters * (push * gap_consistency)[:, None])
        found[linear, contrasts], found[contrasts, linear] = -mixed, -mixed.T
        found[contrasts, contrasts] = -choices.raters.T @ (choices.raters * (pull * scaled)[:, None])
        found[contrasts, contrasts] -= choices.gap_raters.T @ (choices.gap_raters * (push * gaps)[:, None])
        return found


def _gram(many: Tensor, few: Tensor, scale: Tensor, counts: Tensor) -> Tensor:
    """Sum over rows of count * r r', r the rows of (scale * many, few): shape (P, P). Never copies `many` twice; it is the large one."""
    across = many.T @ (few * (counts * scale)[:, None])
    upper = torch.cat([many.T @ (many * (counts * scale.square())[:, None]), across], 1)
    return torch.cat([upper, torch.cat([across.T, few.T @ (few * counts[:, None])], 1)])


@dataclass(frozen=True)
class Prior:
    """Independent Gaussians: mean and standard deviation of every parameter, each shape (P,)."""

    mean: Tensor
    std: Tensor

    def with_weights(self, variances: Tensor) -> "Prior":
        """The same with these variances of the first F parameters, shape (F,)."""
        return Prior(self.mean, torch.cat([variances.sqrt(), self.std[len(variances) :]]))


@dataclass(frozen=True)
class Posterior:
    """Mean (P,) and covariance (P, P) of all parameters."""

    mean: Tensor
    covariance: Tensor


def make_prior(choices: Choices, columns: Tensor) -> Prior:
    """Before any answer; every theme then explains the same share of the utility, however many columns it has.

    The cut points of the stars are where every number of stars is as likely for a reference picture; a thumb is as likely up as down.

    Args:
        columns: which feature is of which theme, shape (themes, F), of zeros and ones.
    """
    names = choices.names
    latent = NormalDist(0, math.hypot(PRIOR_UTILITY_STD, LOGISTIC_STD))
    cuts = [0.0 if number == THUMB else latent.inv_cdf(number / MOST_STARS) for _, number in names.cuts]
    others = (CUT_STD,) * len(cuts) + (POSITION_BIAS_STD,) * len(names.sided) + (LOG_CONSISTENCY_STD,) * names.num_contrasts
    num_features = columns.shape[1]
    mean = columns.new_tensor([0.0] * num_features + cuts + [0.0] * (len(others) - len(cuts)))
    return Prior(mean, torch.cat([(_theme_variances(columns) @ columns).sqrt(), columns.new_tensor(others)]))


def _theme_variances(columns: Tensor) -> Tensor:
    sizes = columns.sum(1)
    return PRIOR_UTILITY_STD**2 / len(sizes) / sizes


def fit(choices: Choices, columns: Tensor) -> tuple[Posterior, Prior]:
    """The posterior, and the prior whose variances of w are fitted theme by theme: v = (|w|^2 + s v_0) / (gamma + s).

    gamma is how many columns of the theme the answers determine (MacKay 1992), s the strength of the prior guess v_0. One step of Newton's
    method goes before each update, so both arrive together; the curvature, which is what takes the time, is not refined for variances
    that are about to change.
    """
    likelihood, prior = Likelihood(choices), make_prior(choices, columns)
    sizes, guess = columns.sum(1), _theme_variances(columns)
    variances, num_features = guess, columns.shape[1]
    start = prior.mean
    for _ in range(VARIANCE_UPDATES):
        posterior = laplace(likelihood, prior, start, most_steps=1)
        start = posterior.mean
        # Not below 0: before the maximum is reached, `bend` may leave less curvature than the prior's own.
        determined = (sizes - columns @ posterior.covariance.diagonal()[:num_features] / variances).clamp_min(0)
        new = (columns @ start[:num_features].square() + HYPER_PRIOR_STRENGTH * guess) / (determined + HYPER_PRIOR_STRENGTH)
        change, variances = (new / variances - 1).abs().max(), new
        prior = prior.with_weights(variances @ columns)
        if change < VARIANCES_TOLERANCE:
            break
    return laplace(likelihood, prior, start), prior


def laplace(likelihood: Likelihood, prior: Prior, start: Tensor, most_steps: int = NEWTON_STEPS) -> Posterior:
    """Newton's method to the posterior's maximum, or `most_steps` towards it, and the inverse curvature there.

    Parameters are scaled by the prior's standard deviation, so the curvature is never less than the identity; a step that would not go up
    is halved. `likelihood.bend` is added where the sum stays positive, as it does near the maximum.
    """
    mean, std = prior.mean, prior.std
    u = (start - mean) / std

    def height(u: Tensor) -> float:
        return likelihood.value(mean + std * u) - float(u.square().sum()) / 2

    identity = torch.eye(len(u), dtype=u.dtype)
    now = height(u)
    for _ in range(most_steps):
        theta = mean + std * u
        gradient = std * likelihood.gradient(theta) - u
        factor = _factor(std[:, None] * likelihood.curvature(theta) * std + identity, std[:, None] * likelihood.bend(theta) * std)
        step = torch.cholesky_solve(gradient[:, None], factor)[:, 0]
        for _ in range(HALVINGS):
            then = height(u + step)
            if then >= now and likelihood.keeps_gaps(theta, mean + std * (u + step)):
                u, now = u + step, then
                break
            step = step / 2
        if float(gradient @ step) < GAIN_TOLERANCE:
            break
    return Posterior(mean + std * u, std[:, None] * torch.cholesky_inverse(factor) * std)


def _factor(curvature: Tensor, bend: Tensor) -> Tensor:
    """Cholesky factor of the sum, or of the first alone where the sum is not positive; shape (P, P)."""
    factor, failed = torch.linalg.cholesky_ex(curvature + bend)
    return torch.linalg.cholesky(curvature) if failed else factor
