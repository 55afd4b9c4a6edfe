"""Pictures and prompts as vectors of one space, by a CLIP model on disk."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from rlr_core.errors import RLRError


class ClipEncoder:
    """A frozen CLIPModel in float32; gradients flow to the pictures, never to the weights.

    Args:
        folder: a transformers folder with the model, its tokenizer and preprocessor_config.json.
        device: where it runs.

    Raises:
        RLRError: if the folder holds no such model.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        if not (folder / "preprocessor_config.json").is_file():
            raise RLRError(f"{folder} holds no CLIP model (preprocessor_config.json is missing): choose the folder of a transformers CLIP.")
        self._model: CLIPModel = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
        self._model.requires_grad_(False)
        self._model.to(device=device)
        self._tokenizer = CLIPTokenizer.from_pretrained(folder)
        processor = json.loads((folder / "preprocessor_config.json").read_text())
        self._mean = torch.tensor(processor["image_mean"], device=device).view(3, 1, 1)
        self._std = torch.tensor(processor["image_std"], device=device).view(3, 1, 1)
        self._size = self._model.config.vision_config.image_size

    @property
    def dimension(self) -> int:
        """D, the length of the vectors."""
        return self._model.config.projection_dim

    def images(self, images: Tensor) -> Tensor:
        """Unit vectors of pictures: (B, 3, H, W) in [0, 1] to (B, D), differentiable. Other sizes are resized to the model's square."""
        pixels = (resized(images.float(), self._size) - self._mean) / self._std
        return F.normalize(self._model.get_image_features(pixel_values=pixels).pooler_output, dim=-1)

    @torch.no_grad()
    def texts(self, prompts: Sequence[str]) -> Tensor:
        """Unit vectors of prompts, shape (len(prompts), D)."""
        words = self._tokenizer(list(prompts), padding="max_length", truncation=True, return_tensors="pt")
        ids = words.input_ids.to(self._model.device)
        return F.normalize(self._model.get_text_features(input_ids=ids).pooler_output, dim=-1)


def resized(images: Tensor, size: int) -> Tensor:
    """Antialiased bicubic resize to a square, kept in [0, 1]: (B, 3, H, W) to (B, 3, size, size)."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
