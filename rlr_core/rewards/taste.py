"""Reward: the person's own taste, as learned from their answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.config import setting
from rlr_core.errors import RLRError
from rlr_core.preference.taste import Taste
from rlr_core.rewards.resources import RewardResources


@dataclass(frozen=True)
class TasteSettings:
    """How far a guess about the person's taste is trusted."""

    # Reward models are cheated where they are unsure, and a bound below their mean is what helps (Coste et al., arXiv 2310.02743). Half a
    # deviation also foretells pictures never rated better than the mean does (tests/rewards/test_caution.py); two are too many for few
    # answers.
    caution: float = setting(
        0.5,
        "How many standard deviations of what is not yet known about your taste are taken off; 0 trusts the best guess.",
        minimum=0.0,
        maximum=5.0,
    )


class TasteReward:
    """tanh(u / (2 max(spread, 1))) of a cautious utility u: from -1 to 1, and about 0 for an average picture of the base model.

        u(x) = mean(x) - caution * (std(x) - typical std)

    mean and std are the posterior's, of a picture x; the typical one is that of the base model's pictures, so that caution takes nothing
    off an average picture and lifts what is surely average. `spread` is the utility's standard deviation over the base model's pictures,
    in logits: a picture twice as far from the average as usual is already near the top, so there is little to gain from exaggeration.
    """

    is_differentiable = True

    def __init__(self, settings: TasteSettings, resources: RewardResources) -> None:
        if resources.taste is None:
            raise RLRError("Reward 'taste' has nothing to go by: 0 answers have been learned from; answer a few questions first.")
        self._taste = resources.taste.to(resources.device)
        self._encoder = resources.features()
        if self._taste.features != self._encoder.name:
            raise RLRError(
                f"The taste was learned from the features '{self._taste.features}', and the pictures here are compared by "
                f"'{self._encoder.name}', whose numbers mean other things: use a session with the taste's own features, or learn one anew."
            )
        self._caution = settings.caution
        self._typical_std = typical_std(self._taste)

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images (B, 3, H, W) in [0, 1] and B prompts to (B,)."""
        return torch.tanh(self._utility(self._encoder(images, prompts)) / (2 * max(self._taste.spread, 1.0)))

    def _utility(self, features: Tensor) -> Tensor:
        """The cautious utility in logits: features (B, F) to (B,)."""
        if self._caution == 0:
            return self._taste.mean(features)
        return self._taste.mean(features) - self._caution * (self._taste.std(features) - self._typical_std)


def typical_std(taste: Taste) -> float:
    """Standard deviation in logits of the utility of a picture that is, in every feature by itself, as far from the average as usual.

    The root of the sum of the features' variances: right on average for features that do not go together. Those of real pictures do, and
    their own mean is about two thirds of it, which puts an average picture a little above 0; gradients do not see such a constant.
    """
    one_at_a_time = taste.centre + torch.diag(taste.scale)
    return float(taste.std(one_at_a_time).square().sum().sqrt())
