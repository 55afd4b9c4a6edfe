"""Which question to ask next, and how much more answers would tell. Pure functions of a taste and of features; they store nothing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rlr_core.errors import RLRError
from rlr_core.preference.taste import Taste, quadrature
from rlr_core.session.records import PairRecord

RANDOM_SHARE = 0.2
REPEAT_SHARE = 0.05
RECENT_QUESTIONS = 8  # a person would recognise these; none of them is repeated
WANTED_FALL = 0.2


@dataclass(frozen=True)
class AnswersWanted:
    """What further answers would bring.

    Attributes:
        uncertainty: mean standard deviation of the comparisons' utility differences, in logits.
        fall: by how much one more answer is expected to lower it, in logits.
        share: the part of the uncertainty that is to go.
        wanted: answers until it has gone.
    """

    uncertainty: float
    fall: float
    share: float
    wanted: int


@dataclass(frozen=True)
class Repeats:
    """How questions that came again were answered: `same` of `count` as the time before; half of them is what guessing would give."""

    count: int
    same: int


def repeats(pairs: Sequence[PairRecord]) -> Repeats:
    """Compare each decided answer to a question that came again with the same rater's answer to it the time before; in any order."""
    first = {(pair.id, pair.rater): pair.preferred for pair in pairs if pair.preferred}
    again = [pair for pair in pairs if pair.repeats and pair.preferred and (pair.repeats, pair.rater) in first]
    return Repeats(len(again), sum(pair.preferred == first[pair.origin, pair.rater] for pair in again))


def due_repeat(asked: Sequence[PairRecord], draws: torch.Generator, share: float = REPEAT_SHARE) -> PairRecord | None:
    """The question to ask once more, without a word, so that `repeats` can tell how consistent the answers are; None if none is due.

    Repeats are this share of the questions. The last eight never come again, nor does one that has done so.

    Args:
        asked: the questions asked so far, repeats among them, in the order of their answers.
        draws: one number is drawn from it if a repeat is due.
    """
    repeated = {pair.repeats for pair in asked if pair.repeats}
    old = [pair for pair in asked[:-RECENT_QUESTIONS] if pair.preferred and not pair.repeats and pair.id not in repeated]
    if len(repeated) >= int(share * len(asked)) or not old:
        return None
    return old[int(torch.randint(len(old), (), generator=draws))]


def expected_information(taste: Taste, features_a: Tensor, features_b: Tensor) -> Tensor:
    """What an answer to each of N questions would tell about the taste, in nats, shape (N,) (Houlsby et al. 2011).

    Entropy of the expected answer minus expected entropy of the answer, by quadrature over the difference's Gaussian.
    """
    logits, masses = quadrature(*taste.difference(features_a, features_b))
    p = torch.sigmoid(logits)
    return _binary_entropy(torch.logit(p @ masses, eps=1e-6)) - _binary_entropy(logits) @ masses


def _binary_entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of a coin whose heads have these log-odds: softplus(l) - l sigmoid(l)."""
    return F.softplus(logits) - logits * torch.sigmoid(logits)


def order_of_asking(
    taste: Taste, features_a: Tensor, features_b: Tensor, draws: torch.Generator, random_share: float = RANDOM_SHARE
) -> list[int]:
    """All N candidates in the order in which to ask them: the most informative first, but each place goes with probability `random_share`
    to any of those that are left.

    Args:
        taste: what is known.
        features_a, features_b: the two pictures of each candidate, shape (N, F), N >= 0.
        draws: two numbers are drawn from it for each candidate.
    """
    left = expected_information(taste, features_a, features_b).argsort(descending=True, stable=True).tolist()
    order = []
    for kind, place in torch.rand(len(left), 2, generator=draws, dtype=torch.float64).tolist():
        order.append(left.pop(int(place * len(left)) if kind < random_share else 0))
    return order


def answers_wanted(taste: Taste, features_a: Tensor, features_b: Tensor, share: float = WANTED_FALL) -> AnswersWanted:
    """How many more answers would lower the uncertainty of comparisons by `share`.

    An answer to question i, whose features differ by z_i, lowers the variance of comparison k from s_k^2 by

        h_i (z_k' S z_i)^2 / (1 + h_i s_i^2),        h_i = E[p (1 - p)] the Fisher information of the answer, S the covariance

    (a rank-one update; the Gaussian posterior's own rule). `fall` is the mean over all i and k of what that takes from s_k. Further
    answers are taken to go on like this one, as if the variance were that of a mean of answers: s after n more = s (1 + 2 n fall / s)^-1/2.
    So it is an estimate for questions like these, asked at random: chosen ones do better, and it knows nothing of what a linear utility
    cannot learn.

    Args:
        taste: what is known.
        features_a, features_b: questions that might be asked, and also the comparisons whose uncertainty counts; shape (N, F), N >= 1.
        share: above 0 and below 1.

    Raises:
        RLRError: if there is no question, or the share is out of range.
    """
    _check_candidates(features_a)
    if not 0 < share < 1:
        raise RLRError(f"share = {share:g}: the part of the uncertainty that is to go is above 0 and below 1; give such a number.")
    z = (taste.standardised(features_a) - taste.standardised(features_b)).double()
    together = z @ taste.covariance.double() @ z.T
    variances = together.diagonal().clamp_min(0)
    logits, masses = quadrature(z @ taste.weights.double(), variances.sqrt())
    information = (torch.sigmoid(logits) * torch.sigmoid(-logits)) @ masses
    taken = together.square() * (information / (1 + information * variances))
    falls = variances.sqrt()[:, None] - (variances[:, None] - taken).clamp_min(0).sqrt()
    uncertainty, fall = float(variances.sqrt().mean()), float(falls.mean())
    if fall <= 0:  # every candidate is a pair of equal pictures: there is nothing to learn from them
        return AnswersWanted(uncertainty, 0.0, share, 0)
    return AnswersWanted(uncertainty, fall, share, math.ceil(uncertainty / (2 * fall) * (1 / (1 - share) ** 2 - 1)))


def _check_candidates(candidates: Sequence[object] | Tensor) -> None:
    if len(candidates) == 0:
        raise RLRError("There are 0 candidate questions, so there is none to choose: make some first.")
