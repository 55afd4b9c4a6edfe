"""A person's taste: a utility of pictures learned from a few answers, with its uncertainty.

    utility(x) = w . z(x),     z = the features, standardised by reference pictures and softly limited to three standard deviations;
                               0 where a feature is not known
    w ~ N(0, diag(v_theme of each column))

What a person says is explained by it as `choices` tells, whatever its kind; `posterior` has the likelihood and its Gaussian posterior, of
which the taste keeps the part of w: its covariance includes what is not known of the nuisance parameters. How much each theme matters,
v_theme, is learned from the same evidence by maximising its marginal likelihood (MacKay 1992), held back by a hyper-prior so that a
handful of answers cannot decide on one theme.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import NormalDist

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from rlr_core.errors import RLRError
from rlr_core.preference.choices import Choices, Names, contrasts, make_choices
from rlr_core.preference.evidence import Answer, Evidence, Ranking
from rlr_core.preference.features import EMBEDDED_FEATURES, UNNAMED_FEATURES, column_themes, is_unknown
from rlr_core.preference.posterior import POSITION_BIAS_STD, Likelihood, Posterior, Prior, fit, laplace
from rlr_core.preference.span import span

LIMIT = 3.0  # standard deviations: beyond what was seen, more of the same is worth little more
SMALLEST_SCALE = 0.01
SMALLEST_CONTRAST = 0.05  # standard deviations between the two pictures of a question
REFERENCES_PER_COMPARISON = 8
FOLDS = 8
FEWEST_ANSWERS_FOR_AGREEMENT = 6
MOST_EVIDENCE_FOR_ALL_FOLDS = 400
QUADRATURE_REACH, QUADRATURE_NODES = 4.0, 33  # standard deviations to either side; how many values between


@dataclass(frozen=True)
class RaterFit:
    """What was learned of one rater, each figure with its standard error.

    Attributes:
        consistency: inverse temperature; the utility's differences times this are the rater's logits. 1 is the (geometric) mean of all
            raters; so it is 1, without error, for a single one, whose own logits are then the utility's unit.
        position_bias: logits by which the picture on the left is preferred for being there; 0 with the prior's error where it is never
            known which one that was.
    """

    name: str
    consistency: float
    consistency_error: float
    position_bias: float
    position_bias_error: float


@dataclass(frozen=True)
class Taste:
    """The posterior of a person's utility.

    Attributes:
        centre, scale: standardisation of the features, each shape (F,).
        weights: posterior mean of w, shape (F,).
        covariance: posterior covariance of w, shape (F, F).
        spread: standard deviation of the mean utility over the reference pictures, in logits.
        num_answers: how many answers, ratings and uploads it was learned from.
        agreement_held_out: share of decided answers that a taste fitted without them foretells; None if they are too few to tell.
        raters: everybody it was learned from.
        features: the name of the features it was learned from (`FeatureEncoder.name`); of others it knows nothing.
    """

    centre: Tensor
    scale: Tensor
    weights: Tensor
    covariance: Tensor
    spread: float
    num_answers: int
    agreement_held_out: float | None
    raters: tuple[RaterFit, ...] = ()
    features: str = EMBEDDED_FEATURES

    def standardised(self, features: Tensor) -> Tensor:
        """z of features (B, F)."""
        return standardised(features, self.centre, self.scale)

    def mean(self, features: Tensor) -> Tensor:
        """Expected utility in logits, 0 for an average reference picture: features (B, F) to (B,), differentiable."""
        return self.standardised(features) @ self.weights

    def std(self, features: Tensor) -> Tensor:
        """Standard deviation of the utility in logits: features (B, F) to (B,), differentiable; where it is 0, its derivative is 0."""
        return _deviation(self.standardised(features), self.covariance)

    def lower_bound(self, features: Tensor, confidence: float) -> Tensor:
        """What the utility exceeds with this probability, mean - Phi^-1(confidence) std: features (B, F) to (B,), differentiable.

        Raises:
            RLRError: if the confidence, a probability, is below 0.5, where the bound would be above the mean, or not below 1.
        """
        if not 0.5 <= confidence < 1:  # noqa: PLR2004
            raise RLRError(f"confidence = {confidence:g}: a lower bound holds with a probability from 0.5 to below 1; give one of these.")
        return self.mean(features) - NormalDist().inv_cdf(confidence) * self.std(features)

    def difference(self, features_a: Tensor, features_b: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of utility(a) - utility(b), each shape (B,)."""
        z = self.standardised(features_a) - self.standardised(features_b)
        return z @ self.weights, _deviation(z, self.covariance)

    def probability(self, features_a: Tensor, features_b: Tensor) -> Tensor:
        """How likely it is that a is preferred to b, shape (B,): the mean of sigmoid(utility(a) - utility(b)) over the posterior."""
        logits, masses = quadrature(*self.difference(features_a, features_b))
        return torch.sigmoid(logits) @ masses

    def to(self, device: torch.device) -> "Taste":
        """The same taste on another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in TENSORS})

    def parts(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Its tensors, and all else as text: what a safetensors file can hold."""
        numbers = {name: repr(getattr(self, name)) for name in NUMBERS if getattr(self, name) is not None}
        about = {**numbers, "raters": json.dumps([asdict(rater) for rater in self.raters]), "features": self.features}
        return {name: getattr(self, name).cpu().contiguous() for name in TENSORS}, about

    @staticmethod
    def from_parts(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> "Taste":
        """The taste of what `parts` gave; KeyError, ValueError or TypeError for anything else."""
        agreement = about.get("agreement_held_out")
        return Taste(
            **{name: tensors[name] for name in TENSORS},
            spread=float(about["spread"]),
            num_answers=int(about["num_answers"]),
            agreement_held_out=None if agreement is None else float(agreement),
            raters=tuple(RaterFit(**each) for each in json.loads(about.get("raters", "[]"))),
            features=about.get("features", UNNAMED_FEATURES),
        )

    def to_bytes(self) -> bytes:
        """The content of a safetensors file."""
        return save(*self.parts())

    @staticmethod
    def load(path: Path) -> "Taste":
        """Read a file of what `to_bytes` gave; one written before raters or features were kept has none, or is of the embedded CLIP's."""
        if not path.is_file():
            raise RLRError(f"{path} is not there, so no taste can be read from it: give the file that a round wrote.")
        try:
            with safe_open(path, framework="pt") as file:
                return Taste.from_parts({name: file.get_tensor(name) for name in TENSORS}, file.metadata() or {})
        except (OSError, KeyError, ValueError, TypeError, SafetensorError) as problem:
            raise RLRError(f"The taste in {path} cannot be read ({problem}): start a new round, which learns it anew.") from problem


TENSORS = ("centre", "scale", "weights", "covariance")
NUMBERS = ("spread", "num_answers", "agreement_held_out")


def fit_taste(features: Tensor, evidence: Sequence[Evidence], reference: Tensor, features_name: str = EMBEDDED_FEATURES) -> Taste:
    """Learn a taste from all that was said.

    The agreement is cross-validated in eight parts, for each of which the prior's variances are fitted anew. Of more than 400 pieces of
    evidence only one eighth of the answers is kept back, and foretold with the variances of all: it saves most of the time.

    Args:
        features: the pictures, shape (N, F), columns as FeatureEncoder gives them.
        evidence: what was said of them; pictures are rows of `features`.
        reference: pictures of the base model, shape (r, F), r >= 2: the standard of comparison.
        features_name: which features they are (`FeatureEncoder.name`).

    Raises:
        RLRError: if there is no evidence, too few reference pictures, a row that is not there, or a feature that is not finite.
    """
    _check(features, evidence, reference)
    features, reference = features.double().cpu(), reference.double().cpu()
    centre, scale = reference.mean(0), reference.std(0).clamp_min(SMALLEST_SCALE)
    z, base = (standardised(part, centre, scale) for part in (features, reference))
    gain = _contrast(_question_differences(z, evidence))
    rivals = base[torch.linspace(0, len(base) - 1, min(len(base), REFERENCES_PER_COMPARISON)).round().long()]
    seen = torch.cat([z, rivals]) * gain
    fitted = span(_theme_matrix(reference.shape[1]), seen)
    pictures, rivals = fitted.narrowed(seen).split([len(z), len(rivals)])
    choices = make_choices(pictures, evidence, rivals)
    posterior, prior = fit(choices, fitted.columns)
    ours = slice(0, fitted.columns.shape[1])
    mean, covariance = fitted.widened(posterior.mean[ours], posterior.covariance[ours, ours], prior.std[ours].square())
    weights = gain * mean
    return Taste(
        centre.float(),
        scale.float(),
        weights.float(),
        (gain[:, None] * covariance * gain).float(),
        spread=float((base @ weights).std()),
        num_answers=len(evidence),
        agreement_held_out=_agreement(choices, fitted.columns, prior, posterior, pictures, evidence),
        raters=_rater_fits(choices.names, posterior),
        features=features_name,
    )


def _check(features: Tensor, evidence: Sequence[Evidence], reference: Tensor) -> None:
    if not evidence:
        raise RLRError("There are 0 answers, ratings and uploads, so there is no taste to learn yet: answer a few questions first.")
    if len(reference) < 2:  # noqa: PLR2004
        raise RLRError(f"There are {len(reference)} reference pictures, which have no spread to compare with: give 2 or more.")
    for what, rows in (("picture", features), ("reference picture", reference)):
        broken = (~rows.isfinite().all(1)).nonzero().flatten().tolist()
        if broken:
            raise RLRError(
                f"The features of {what} {broken[0]} are not all finite numbers, so it cannot be compared with any other: leave it out, or "
                "make it again."
            )
    for number, piece in enumerate(evidence):
        missing = next((picture for picture in piece.pictures if not 0 <= picture < len(features)), None)
        if missing is not None:
            raise RLRError(
                f"Piece of evidence {number} is about picture {missing}, which is not among the {len(features)} pictures: give the "
                "features of all, and count them from 0."
            )


def _question_differences(z: Tensor, evidence: Sequence[Evidence]) -> Tensor:
    """z(a) - z(b) of the answers, and z(first) - z(other) of the rankings; shape (n, F)."""
    answers = [piece.pictures for piece in evidence if isinstance(piece, Answer)]
    rankings = [(piece.pictures[0], other) for piece in evidence if isinstance(piece, Ranking) for other in piece.pictures[1:]]
    left, right = torch.tensor([*answers, *rankings], dtype=torch.long).reshape(-1, 2).unbind(1)
    return z[left] - z[right]


def _contrast(differences: Tensor) -> Tensor:
    """What each column is multiplied by so that the two pictures of a question differ by about one, shape (F,).

    Pictures of different prompts differ far more than the two of a question; a prior in units of the former would leave nothing to
    learn from the latter.
    """
    if len(differences) < FEWEST_ANSWERS_FOR_AGREEMENT:
        return torch.ones(differences.shape[1], dtype=differences.dtype)
    return 1 / differences.square().mean(0).sqrt().clamp_min(SMALLEST_CONTRAST)


def standardised(features: Tensor, centre: Tensor, scale: Tensor) -> Tensor:
    """LIMIT tanh((features - centre) / (LIMIT scale)), shape of `features`; 0 where a feature is not known."""
    return torch.where(is_unknown(features), 0.0, LIMIT * torch.tanh((features - centre) / (LIMIT * scale)))


def _theme_matrix(num_columns: int) -> Tensor:
    """Which column is of which theme: shape (themes, F), of zeros and ones."""
    themes = column_themes(num_columns)
    names = list(dict.fromkeys(themes))
    return torch.tensor([[float(theme == name) for theme in themes] for name in names], dtype=torch.float64)


def _agreement(  # noqa: PLR0913 - the fit that is tested, and the answers it is tested on
    choices: Choices, columns: Tensor, prior: Prior, posterior: Posterior, z: Tensor, evidence: Sequence[Evidence]
) -> float | None:
    """Cross-validated share of decided answers foretold; answers to the same question are kept back together."""
    questions: dict[frozenset[int], list[int]] = {}
    for number, piece in enumerate(evidence):
        if isinstance(piece, Answer) and piece.outcome in ("a", "b"):
            questions.setdefault(frozenset(piece.pictures), []).append(number)
    num_decided = sum(map(len, questions.values()))
    if num_decided < FEWEST_ANSWERS_FOR_AGREEMENT or len(questions) < 2:  # noqa: PLR2004
        return None
    is_thinned = len(evidence) > MOST_EVIDENCE_FOR_ALL_FOLDS
    right: list[bool] = []
    for fold in range(1 if is_thinned else min(FOLDS, len(questions))):
        hidden = [number for numbers in list(questions.values())[fold::FOLDS] for number in numbers]
        known = choices.without(hidden)
        fitted = laplace(Likelihood(known), prior, posterior.mean) if is_thinned else fit(known, columns)[0]
        utility = z @ fitted.mean[: z.shape[1]]
        for answer in (evidence[number] for number in hidden):
            assert isinstance(answer, Answer)
            right.append(bool(utility[answer.a] > utility[answer.b]) == (answer.outcome == "a"))
    return sum(right) / len(right)


def _rater_fits(names: Names, posterior: Posterior) -> tuple[RaterFit, ...]:
    num_raters, num_sided = len(names.raters), len(names.sided)
    first_contrast = len(posterior.mean) - names.num_contrasts
    first_bias, basis = first_contrast - num_sided, contrasts(num_raters)
    consistencies = (basis @ posterior.mean[first_contrast:]).exp()
    log_errors = (basis @ posterior.covariance[first_contrast:, first_contrast:] * basis).sum(1).sqrt()
    biases = {name: (0.0, POSITION_BIAS_STD) for name in names.raters}
    for place, name in enumerate(names.sided, start=first_bias):
        biases[name] = (float(posterior.mean[place]), float(posterior.covariance[place, place].sqrt()))
    rows = zip(names.raters, consistencies.tolist(), (consistencies * log_errors).tolist(), strict=True)
    return tuple(RaterFit(name, consistency, error, *biases[name]) for name, consistency, error in rows)


def _deviation(z: Tensor, covariance: Tensor) -> Tensor:
    """sqrt(z' covariance z); 0 with derivative 0 where rounding leaves nothing or less."""
    variance = (z @ covariance * z).sum(-1)
    is_positive = variance > 0
    # The root of a number that is not used: an infinite derivative times 0 would be NaN.
    return torch.where(is_positive, torch.where(is_positive, variance, 1.0).sqrt(), 0.0)


def quadrature(mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Values of Gaussians over four standard deviations to either side, shape (B, 33), and how much each of them counts, shape (33,)."""
    nodes = torch.linspace(-QUADRATURE_REACH, QUADRATURE_REACH, QUADRATURE_NODES, device=mean.device, dtype=mean.dtype)
    return mean[:, None] + std[:, None] * nodes, torch.softmax(-nodes.square() / 2, 0)
