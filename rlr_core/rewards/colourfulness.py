"""Reward: how colourful a picture is."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

EPSILON = 1e-8  # keeps the gradient of the square roots finite on grey pictures


@dataclass(frozen=True)
class ColourfulnessSettings:
    """Nothing to set."""


class Colourfulness:
    """Hasler and Süsstrunk (2003), on pictures in [0, 1]: 0 for grey, about 0.4 for a very colourful photograph.

    With rg = r - g and yb = (r + g) / 2 - b over the pixels: sqrt(var rg + var yb) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2).
    """

    is_differentiable = True

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images (B, 3, H, W) in [0, 1] to (B,)."""
        r, g, b = images.flatten(2).unbind(1)
        red_green, yellow_blue = r - g, (r + g) / 2 - b
        spread = _root(red_green.var(1, correction=0) + yellow_blue.var(1, correction=0))
        strength = _root(red_green.mean(1).square() + yellow_blue.mean(1).square())
        return spread + 0.3 * strength


def _root(value: Tensor) -> Tensor:
    return (value + EPSILON).sqrt() - EPSILON**0.5
