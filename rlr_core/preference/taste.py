"""A person's taste: a utility of pictures learned from a few answers, with its uncertainty.

    utility(x) = w . z(x),     z = the features, standardised by reference pictures and softly limited to three standard deviations
    P(x beats y) = sigmoid(utility(x) - utility(y))                                            (Bradley and Terry 1952)
    w ~ N(0, diag(v_theme of each column))

The posterior of w is Gaussian around its maximum (Laplace). How much each theme matters, v_theme, is learned from the same answers by
maximising their marginal likelihood (MacKay 1992), held back by a hyper-prior so that a handful of answers cannot decide on one theme.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rlr_core.errors import RLRError
from rlr_core.preference.features import column_themes

Outcome = Literal["a", "b", "tie", "both_bad"]

LIMIT = 3.0  # standard deviations: beyond what was seen, more of the same is worth little more
SMALLEST_SCALE = 0.01
SMALLEST_CONTRAST = 0.05  # standard deviations between the two pictures of a question
PRIOR_UTILITY_STD = 1.0  # logits, of a reference picture's utility before any answer
HYPER_PRIOR_STRENGTH = 0.5  # how many columns' worth of evidence the prior guess of v_theme counts for
OUTER_ITERATIONS = 8
NEWTON_ITERATIONS = 3
BOTH_BAD_WEIGHT = 0.5
UPLOAD_WEIGHT = 1.0
REFERENCES_PER_COMPARISON = 8
FOLDS = 8
FEWEST_ANSWERS_FOR_AGREEMENT = 6


@dataclass(frozen=True)
class Taste:
    """The posterior of a person's utility.

    Attributes:
        centre, scale: standardisation of the features, each shape (F,).
        weights: posterior mean of w, shape (F,).
        covariance: posterior covariance of w, shape (F, F).
        spread: standard deviation of the mean utility over the reference pictures, in logits.
        num_answers: how many answers and uploads it was learned from.
        agreement_held_out: share of decided answers that a taste fitted without them foretells; None if they are too few to tell.
    """

    centre: Tensor
    scale: Tensor
    weights: Tensor
    covariance: Tensor
    spread: float
    num_answers: int
    agreement_held_out: float | None

    def standardised(self, features: Tensor) -> Tensor:
        """z of features (B, F)."""
        return standardised(features, self.centre, self.scale)

    def mean(self, features: Tensor) -> Tensor:
        """Expected utility in logits, 0 for an average reference picture: features (B, F) to (B,), differentiable."""
        return self.standardised(features) @ self.weights

    def std(self, features: Tensor) -> Tensor:
        """Standard deviation of the utility in logits: features (B, F) to (B,)."""
        return _deviation(self.standardised(features), self.covariance)

    def difference(self, features_a: Tensor, features_b: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of utility(a) - utility(b), each shape (B,)."""
        z = self.standardised(features_a) - self.standardised(features_b)
        return z @ self.weights, _deviation(z, self.covariance)

    def to(self, device: torch.device) -> "Taste":
        """The same taste on another device."""
        tensors = {name: getattr(self, name).to(device) for name in TENSORS}
        return Taste(**tensors, spread=self.spread, num_answers=self.num_answers, agreement_held_out=self.agreement_held_out)

    def to_bytes(self) -> bytes:
        """The content of a safetensors file."""
        numbers = {name: repr(getattr(self, name)) for name in NUMBERS if getattr(self, name) is not None}
        return save({name: getattr(self, name).cpu().contiguous() for name in TENSORS}, metadata=numbers)

    @staticmethod
    def load(path: Path) -> "Taste":
        """Read a file of what `to_bytes` gave."""
        if not path.is_file():
            raise RLRError(f"{path} is not there, so no taste can be read from it: give the file that a round wrote.")
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in TENSORS}
                numbers = file.metadata() or {}
            agreement = numbers.get("agreement_held_out")
            return Taste(
                **tensors,
                spread=float(numbers["spread"]),
                num_answers=int(numbers["num_answers"]),
                agreement_held_out=None if agreement is None else float(agreement),
            )
        except (OSError, KeyError, ValueError, SafetensorError) as problem:
            raise RLRError(f"The taste in {path} cannot be read ({problem}): start a new round, which learns it anew.") from problem


TENSORS = ("centre", "scale", "weights", "covariance")
NUMBERS = ("spread", "num_answers", "agreement_held_out")


@dataclass(frozen=True)
class Comparisons:
    """What is known, as soft comparisons: the first of each two won.

    Attributes:
        differences: z(winner) - z(loser), shape (n, F).
        weights: how much each counts, shape (n,).
        sources: the number of the answer each came from, shape (n,); uploads are numbered from the last answer on.
    """

    differences: Tensor
    weights: Tensor
    sources: Tensor

    def only(self, chosen: Tensor) -> "Comparisons":
        """Those where `chosen`, shape (n,), is true."""
        return Comparisons(self.differences[chosen], self.weights[chosen], self.sources[chosen])


@dataclass(frozen=True)
class Posterior:
    """Mean (F,) and covariance (F, F) of w."""

    mean: Tensor
    covariance: Tensor


def fit_taste(  # noqa: PLR0913 - one argument a kind of evidence
    features_a: Tensor,
    features_b: Tensor,
    outcomes: Sequence[Outcome],
    liked: Tensor,
    disliked: Tensor,
    reference: Tensor,
) -> Taste:
    """Learn a taste.

    A tie counts as half a win for each; "both bad" is a tie in which both also lose against average reference pictures. A liked upload
    wins against average reference pictures, a disliked one loses.

    Args:
        features_a, features_b: the two pictures of each question, shape (n, F), columns as FeatureEncoder gives them.
        outcomes: the n answers.
        liked, disliked: uploads, shapes (l, F) and (d, F); l and d may be 0.
        reference: pictures of the base model, shape (r, F), r >= 2: the standard of comparison.

    Raises:
        RLRError: if there is neither an answer nor an upload, or too few reference pictures.
    """
    if len(outcomes) + len(liked) + len(disliked) == 0:
        raise RLRError("There are 0 answers and 0 uploads, so there is no taste to learn yet: answer a few questions first.")
    if len(reference) < 2:  # noqa: PLR2004
        raise RLRError(f"There are {len(reference)} reference pictures, which have no spread to compare with: give 2 or more.")
    reference = reference.double().cpu()
    centre, scale = reference.mean(0), reference.std(0).clamp_min(SMALLEST_SCALE)
    a, b, good, bad, base = (
        standardised(part.double().cpu(), centre, scale) for part in (features_a, features_b, liked, disliked, reference)
    )
    gain = _contrast(a - b)
    comparisons = _comparisons(a * gain, b * gain, outcomes, good * gain, bad * gain, base * gain)
    columns = _theme_matrix(reference.shape[1])
    posterior = _fit(comparisons, columns)
    weights = gain * posterior.mean
    return Taste(
        centre.float(),
        scale.float(),
        weights.float(),
        (gain[:, None] * posterior.covariance * gain).float(),
        spread=float((base @ weights).std()),
        num_answers=len(outcomes) + len(liked) + len(disliked),
        agreement_held_out=_agreement(comparisons, columns, (a - b) * gain, outcomes),
    )


def _contrast(differences: Tensor) -> Tensor:
    """What each column is multiplied by so that the two pictures of a question differ by about one, shape (F,).

    Pictures of different prompts differ far more than the two of a question; a prior in units of the former would leave nothing to
    learn from the latter.
    """
    if len(differences) < FEWEST_ANSWERS_FOR_AGREEMENT:
        return torch.ones(differences.shape[1], dtype=differences.dtype)
    return 1 / differences.square().mean(0).sqrt().clamp_min(SMALLEST_CONTRAST)


def standardised(features: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """LIMIT tanh((features - centre) / (LIMIT scale)), shape of `features`."""
    return LIMIT * torch.tanh((features - centre) / (LIMIT * scale))


def _comparisons(a: Tensor, b: Tensor, outcomes: Sequence[Outcome], liked: Tensor, disliked: Tensor, base: Tensor) -> Comparisons:  # noqa: PLR0913
    """All evidence as comparisons; inputs are standardised."""
    rivals = base[torch.linspace(0, len(base) - 1, min(len(base), REFERENCES_PER_COMPARISON)).round().long()]
    parts: list[tuple[Tensor, float, int]] = []  # differences, their weight together, source
    for number, outcome in enumerate(outcomes):
        difference = (a[number] - b[number])[None]
        if outcome in ("a", "b"):
            parts.append((difference if outcome == "a" else -difference, 1.0, number))
        else:
            parts.append((torch.cat([difference, -difference]), 1.0, number))
        if outcome == "both_bad":
            parts += [(rivals - picture[number], BOTH_BAD_WEIGHT, number) for picture in (a, b)]
    for number, picture in enumerate(liked, start=len(outcomes)):
        parts.append((picture - rivals, UPLOAD_WEIGHT, number))
    for number, picture in enumerate(disliked, start=len(outcomes) + len(liked)):
        parts.append((rivals - picture, UPLOAD_WEIGHT, number))
    return Comparisons(
        torch.cat([differences for differences, _, _ in parts]),
        torch.cat([base.new_full((len(differences),), weight / len(differences)) for differences, weight, _ in parts]),
        torch.cat([torch.full((len(differences),), source) for differences, _, source in parts]),
    )


def _theme_matrix(num_columns: int) -> Tensor:
    """Which column is of which theme: shape (themes, F), of zeros and ones."""
    themes = column_themes(num_columns)
    names = list(dict.fromkeys(themes))
    return torch.tensor([[float(theme == name) for theme in themes] for name in names], dtype=torch.float64)


def _fit(comparisons: Comparisons, columns: Tensor) -> Posterior:
    """Posterior of w, its prior's variances fitted theme by theme: v = (|w|^2 + s v_0) / (gamma + s), gamma = columns determined."""
    sizes = columns.sum(1)
    # Before any answer every theme explains the same share of the utility, however many columns it has.
    prior = PRIOR_UTILITY_STD**2 / len(sizes) / sizes
    variances = prior.clone()
    weights = torch.zeros(columns.shape[1], dtype=torch.float64)
    for _ in range(OUTER_ITERATIONS):
        posterior = _laplace(comparisons, variances @ columns, weights)
        weights = posterior.mean
        determined = sizes - columns @ posterior.covariance.diagonal() / variances
        variances = (columns @ weights.square() + HYPER_PRIOR_STRENGTH * prior) / (determined + HYPER_PRIOR_STRENGTH)
    return _laplace(comparisons, variances @ columns, weights)


def _laplace(comparisons: Comparisons, variances: Tensor, start: Tensor) -> Posterior:
    """Newton's method to the posterior's maximum, and the inverse Hessian there; `variances` of the prior, shape (F,).

    The log-posterior is concave; columns are scaled by the prior's standard deviation, so the Hessian is never worse than the identity.
    """
    root = variances.sqrt()
    x = comparisons.differences * root
    u = start / root
    identity = torch.eye(len(root), dtype=x.dtype)
    for _ in range(NEWTON_ITERATIONS):
        p = torch.sigmoid(x @ u)
        gradient = x.T @ (comparisons.weights * (1 - p)) - u
        factor = torch.linalg.cholesky(x.T @ (x * (comparisons.weights * p * (1 - p))[:, None]) + identity)
        u = u + torch.cholesky_solve(gradient[:, None], factor)[:, 0]
    return Posterior(u * root, torch.cholesky_inverse(factor) * root[:, None] * root)


def _agreement(comparisons: Comparisons, columns: Tensor, differences: Tensor, outcomes: Sequence[Outcome]) -> float | None:
    """Cross-validated share of decided answers foretold; the prior's variances are fitted anew in every fold."""
    decided = [number for number, outcome in enumerate(outcomes) if outcome in ("a", "b")]
    if len(decided) < FEWEST_ANSWERS_FOR_AGREEMENT:
        return None
    right = 0
    for fold in range(min(FOLDS, len(decided))):
        hidden = decided[fold::FOLDS]
        posterior = _fit(comparisons.only(~torch.isin(comparisons.sources, torch.tensor(hidden))), columns)
        for number in hidden:
            right += (float(differences[number] @ posterior.mean) > 0) == (outcomes[number] == "a")
    return right / len(decided)


def _deviation(z: Tensor, covariance: Tensor) -> Tensor:
    return (z @ covariance * z).sum(-1).clamp_min(0).sqrt()


def expected_information(taste: Taste, features_a: Tensor, features_b: Tensor) -> Tensor:
    """What an answer to each of N questions would tell about the taste, in nats, shape (N,) (Houlsby et al. 2011).

    Entropy of the expected answer minus expected entropy of the answer, by quadrature over the difference's Gaussian.
    """
    mean, std = taste.difference(features_a, features_b)
    nodes = torch.linspace(-4, 4, 33, device=mean.device)
    masses = torch.softmax(-nodes.square() / 2, 0)
    logits = mean[:, None] + std[:, None] * nodes
    p = torch.sigmoid(logits)
    return _binary_entropy(torch.logit(p @ masses, eps=1e-6)) - _binary_entropy(logits) @ masses


def _binary_entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of a coin whose heads have these log-odds: softplus(l) - l sigmoid(l)."""
    return F.softplus(logits) - logits * torch.sigmoid(logits)
