"""Reward: how bright a picture is."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

LUMA_WEIGHTS = (0.2126, 0.7152, 0.0722)  # Rec. 709


@dataclass(frozen=True)
class BrightnessSettings:
    """Nothing to set."""


class Brightness:
    """Mean luma: 0 for black, 1 for white."""

    is_differentiable = True

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images (B, 3, H, W) in [0, 1] to (B,)."""
        return images.mean((2, 3)) @ images.new_tensor(LUMA_WEIGHTS)
