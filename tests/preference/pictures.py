"""Emoji-like pictures drawn on the spot: a shape on white paper with eyes, of many sizes, places, colours and shadings."""

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from rlr_core.rng import generator


def draw_pictures(count: int, seed: int = 0, size: int = 64) -> Tensor:
    """Shape (count, 3, size, size), in [0, 1]."""
    return torch.stack([_draw(generator(seed, "picture", number), size) for number in range(count)])


def _draw(draws: torch.Generator, size: int) -> Tensor:
    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=draws))

    def colour() -> tuple[int, int, int]:
        return tuple(int(uniform(0, 240)) for _ in range(3))

    picture = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(picture)
    middle = [uniform(0.4, 0.6) * size, uniform(0.4, 0.6) * size]
    wide, high = uniform(0.15, 0.48) * size, uniform(0.15, 0.48) * size
    box = (middle[0] - wide, middle[1] - high, middle[0] + wide, middle[1] + high)
    (pen.ellipse if uniform(0, 1) < 0.5 else pen.rectangle)(box, fill=colour())
    for _ in range(int(uniform(0, 5))):
        x, y, radius = middle[0] + uniform(-0.7, 0.7) * wide, middle[1] + uniform(-0.7, 0.7) * high, uniform(0.02, 0.1) * size
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour())
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(size, size, 3).permute(2, 0, 1) / 255
    noise = torch.randn((size, size), generator=draws) * uniform(0, 0.12) * (pixels.amin(0) < 0.9)
    return (pixels + noise).clamp(0, 1)


def to_pil(picture: Tensor) -> Image.Image:
    """A picture (3, H, W) in [0, 1]."""
    return Image.fromarray((picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
