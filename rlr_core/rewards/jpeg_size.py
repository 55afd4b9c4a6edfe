"""Reward: how small a picture's JPEG file is."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from rlr_core.config import setting


@dataclass(frozen=True)
class JpegSizeSettings:
    """How the file is written."""

    quality: int = setting(95, "JPEG quality of the file that is measured.", minimum=1, maximum=100)


class JpegSize:
    """Minus the size in kilobytes (1000 bytes) of the encoded file: simpler pictures score higher. A black box without a gradient."""

    is_differentiable = False

    def __init__(self, settings: JpegSizeSettings) -> None:
        self._quality = settings.quality

    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images (B, 3, H, W) in [0, 1] to (B,)."""
        pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        return images.new_tensor([-self._bytes(Image.fromarray(picture)) / 1000 for picture in pixels])

    def _bytes(self, picture: Image.Image) -> int:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=self._quality)
        return file.tell()
