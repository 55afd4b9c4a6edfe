"""Reward: the person's own taste, as learned from their answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.errors import RLRError
from rlr_core.preference.features import FeatureEncoder
from rlr_core.rewards.resources import RewardResources


@dataclass(frozen=True)
class TasteSettings:
    """Nothing to set."""


class TasteReward:
    """tanh(u / (2 max(spread, 1))) of the expected utility u: from -1 to 1, and 0 for an average picture of the base model.

    `spread` is the utility's standard deviation over the base model's pictures, in logits: a picture twice as far from the average as
    usual is already near the top, so there is little to gain from exaggeration.
    """

    is_differentiable = True

    def __init__(self, resources: RewardResources) -> None:
        if resources.taste is None:
            raise RLRError("Reward 'taste' has nothing to go by: 0 answers have been learned from; answer a few questions first.")
        self._taste = resources.taste.to(resources.device)
        self._encoder = FeatureEncoder(resources.clip_folder, resources.device)

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images (B, 3, H, W) in [0, 1] to (B,)."""
        return torch.tanh(self._taste.mean(self._encoder(images)) / (2 * max(self._taste.spread, 1.0)))
