"""Reward: how well a picture matches its prompt, by a published CLIP; and the cosine that such rewards share."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.config import setting
from rlr_core.pipelines.device import reward_dtype
from rlr_core.preference.clip import ClipEncoder
from rlr_core.pretrained import CLIP_FILES, fetch, missing


@dataclass(frozen=True)
class ClipScoreSettings:
    """Which CLIP judges."""

    source: str = setting("openai/clip-vit-large-patch14", "A CLIP in transformers' format: a folder, or an id on the Hugging Face hub.")


class ScaledCosine:
    """unit * cosine of the picture's and the prompt's CLIP vectors."""

    is_differentiable = True

    def __init__(self, encoder: ClipEncoder, unit: float) -> None:
        self._encoder = encoder
        self._unit = unit

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images (B, 3, H, W) in [0, 1] and B prompts to (B,)."""
        return self._unit * (self._encoder.images(images) * self._encoder.texts(prompts)).sum(1)


def clip_score(settings: ClipScoreSettings, device: torch.device) -> ScaledCosine:
    """100 * cosine (Hessel et al., CLIPScore, arXiv 2104.08718), without the cut at 0, below which there would be no derivative."""
    return ScaledCosine(ClipEncoder(fetch(settings.source, CLIP_FILES), device, reward_dtype(device)), 100.0)


def clip_score_reason(settings: ClipScoreSettings = ClipScoreSettings()) -> str | None:  # noqa: B008 - frozen
    """None if it can run here; else the reason and what to do."""
    return missing(settings.source, CLIP_FILES)
