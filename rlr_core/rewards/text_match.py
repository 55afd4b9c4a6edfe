"""Reward: how well a picture matches its prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.preference.clip import ClipEncoder


@dataclass(frozen=True)
class TextMatchSettings:
    """Nothing to set."""


class TextMatch:
    """Cosine of the picture's and the prompt's CLIP vectors, from -1 to 1."""

    is_differentiable = True

    def __init__(self, encoder: ClipEncoder) -> None:
        self._encoder = encoder

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images (B, 3, H, W) in [0, 1] and B prompts to (B,)."""
        return (self._encoder.images(images) * self._encoder.texts(prompts)).sum(1)

    @torch.no_grad()
    def text_margins(self, images: Tensor, prompts: Sequence[str], among: Sequence[str]) -> Tensor:
        """Each picture's cosine with its own prompt minus the mean cosine with all other prompts in `among`, shape (B,).

        On average 0 if pictures ignore their prompts; the bare cosine if there is no other prompt to compare with.
        """
        seen = self._encoder.images(images)
        right = (seen * self._encoder.texts(prompts)).sum(1)
        scores = seen @ self._encoder.texts(among).T
        is_other = torch.tensor([[float(other != prompt) for other in among] for prompt in prompts], device=scores.device)
        return right - (scores * is_other).sum(1) / is_other.sum(1).clamp_min(1)

    @torch.no_grad()
    def retrieval_accuracy(self, images: Tensor, prompts: Sequence[str], among: Sequence[str]) -> float:
        """Share of the B pictures that match their own prompt better than every other prompt in `among`."""
        seen = self._encoder.images(images)
        right = (seen * self._encoder.texts(prompts)).sum(1)
        scores = seen @ self._encoder.texts(among).T
        is_own = torch.tensor([[other == prompt for other in among] for prompt in prompts], device=scores.device)
        best_other = scores.masked_fill(is_own, -torch.inf).amax(1)
        return float((right > best_other).float().mean())
