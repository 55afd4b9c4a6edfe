"""Reward: how beautiful people rated such pictures, whatever the prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rlr_core.config import setting
from rlr_core.pipelines.device import reward_dtype
from rlr_core.preference.clip import ClipEncoder
from rlr_core.pretrained import CLIP_FILES, WEIGHTS, fetch, missing, read_state
from rlr_core.rewards.score_head import ScoreHead


@dataclass(frozen=True)
class LaionAestheticSettings:
    """The CLIP and the head that was trained on its vectors."""

    source: str = setting("openai/clip-vit-large-patch14", "CLIP ViT-L/14 in transformers' format: a folder, or an id on the hub.")
    head: str = setting(
        "ttj/sac-logos-ava1-l14-linearMSE",
        "The MLP: a .safetensors file, or a folder or an id on the Hugging Face hub with model.safetensors.",
    )


class LaionAesthetic:
    """MLP(c / |c|) of the picture's CLIP vector c (Schuhmann 2022, improved-aesthetic-predictor); about 1 (ugly) to 10 (beautiful)."""

    is_differentiable = True

    def __init__(self, settings: LaionAestheticSettings, device: torch.device) -> None:
        self._encoder = ClipEncoder(fetch(settings.source, CLIP_FILES), device, reward_dtype(device))
        path = Path(settings.head) if Path(settings.head).is_file() else fetch(settings.head, (WEIGHTS,)) / WEIGHTS
        self._head = ScoreHead(read_state(path), self._encoder.dimension, path, device)

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images (B, 3, H, W) in [0, 1] to (B,)."""
        return self._head(self._encoder.images(images))


def laion_aesthetic_reason(settings: LaionAestheticSettings = LaionAestheticSettings()) -> str | None:  # noqa: B008 - frozen
    """None if it can run here; else the reason and what to do."""
    head_reason = None if Path(settings.head).is_file() else missing(settings.head, (WEIGHTS,))
    return missing(settings.source, CLIP_FILES) or head_reason
