"""Pictures as the numbers a person's taste is learned from: named statistics, then the picture's CLIP vector."""

import hashlib
from functools import cache, cached_property
from pathlib import Path

import torch
from torch import Tensor

from rlr_core.preference.clip import ClipEncoder
from rlr_core.preference.statistics import THEMES, look
from rlr_core.pretrained import WEIGHTS, resized

IMAGE_SIZE = 64
EMBEDDING_THEME = "subject and style"
# Unit vectors have tiny coordinates; this brings them to the size of the statistics.
EMBEDDING_SCALE = 3.0
# To be raised whenever the statistics or their scales change: features of before and after cannot be compared.
VERSION = 1


class FeatureEncoder:
    """Pictures to features, the columns in the order of `column_themes`.

    Args:
        clip_folder: the CLIP whose picture vectors are part of the features.
        device: where it runs.
    """

    def __init__(self, clip_folder: Path, device: torch.device) -> None:
        self._clip = ClipEncoder(clip_folder, device)
        self._weights = clip_folder / WEIGHTS

    @cached_property
    def name(self) -> str:
        """Features of equal names can be compared: the version of the statistics, and the digest of the CLIP's weights."""
        return f"statistics {VERSION}, clip {hashlib.sha256(self._weights.read_bytes()).hexdigest()[:16]}"

    @property
    def num_columns(self) -> int:
        """F."""
        return len(_statistics_themes()) + self._clip.dimension

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to (B, F), differentiable. Pictures of any size are resized to 64 px first."""
        small = resized(images.float(), IMAGE_SIZE)
        return torch.cat([statistics(small), EMBEDDING_SCALE * self._clip.images(images)], 1)


def statistics(images: Tensor) -> Tensor:
    """The statistics of every theme side by side: (B, 3, S, S) in [0, 1] to (B, columns)."""
    view = look(images)
    return torch.cat([theme(view) for theme in THEMES.values()], 1)


@cache
def _statistics_themes() -> tuple[str, ...]:
    view = look(torch.ones(1, 3, IMAGE_SIZE, IMAGE_SIZE))
    return tuple(name for name, theme in THEMES.items() for _ in range(theme(view).shape[1]))


def column_themes(num_columns: int) -> tuple[str, ...]:
    """The theme of each of `num_columns` feature columns: the statistics first, the CLIP vector last."""
    named = _statistics_themes()[:num_columns]
    return named + (EMBEDDING_THEME,) * (num_columns - len(named))
