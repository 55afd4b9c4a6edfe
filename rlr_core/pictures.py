"""Pictures between tensors and Pillow."""

import torch
from PIL import Image
from torch import Tensor


def to_pillow(image: Tensor) -> Image.Image:
    """(3, H, W) in [0, 1] to 8 bits a channel."""
    pixels = image.detach().clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu()
    return Image.frombytes("RGB", (pixels.shape[1], pixels.shape[0]), bytes(pixels.contiguous().numpy()))


def from_pillow(image: Image.Image) -> Tensor:
    """A picture to (3, H, W) in [0, 1]."""
    rgb = image.convert("RGB")
    pixels = torch.frombuffer(bytearray(rgb.tobytes()), dtype=torch.uint8)
    return pixels.view(rgb.height, rgb.width, 3).permute(2, 0, 1).float() / 255
