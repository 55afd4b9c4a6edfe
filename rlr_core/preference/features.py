"""Pictures as the numbers a person's taste is learned from: named statistics, then what a network makes of the picture."""

from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from rlr_core.preference.clip import ClipEncoder
from rlr_core.preference.statistics import THEMES, look
from rlr_core.pretrained import resized

IMAGE_SIZE = 64
EMBEDDED_CLIP = "embedded_clip"
EMBEDDING_THEME = "subject and style"
# Unit vectors have tiny coordinates; this brings them to the size of the statistics.
EMBEDDING_SCALE = 3.0
# To be raised whenever the statistics, their scales or the embedded CLIP change: features of before and after cannot be compared.
VERSION = 1


class PictureEncoder(Protocol):
    """A network that looks at pictures."""

    @property
    def dimension(self) -> int:
        """D, the length of the vectors."""

    def images(self, images: Tensor) -> Tensor:
        """Unit vectors of pictures: (B, 3, H, W) in [0, 1] to (B, D), differentiable."""


def features_name(network: str) -> str:
    """Features of equal names can be compared: the version of the statistics, and the network."""
    return f"statistics {VERSION}, {network}"


EMBEDDED_FEATURES = features_name(EMBEDDED_CLIP)


class FeatureEncoder:
    """Pictures to features, the columns in the order of `column_themes`.

    Args:
        network: the encoder's kind and, where there are several of the kind, which one it is: "clip:owner/model".
        encoder: the network whose picture vectors are part of the features.
    """

    def __init__(self, network: str, encoder: PictureEncoder) -> None:
        self.name = features_name(network)
        self._encoder = encoder

    @property
    def num_columns(self) -> int:
        """F."""
        return len(_statistics_themes()) + self._encoder.dimension

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to (B, F), differentiable. For the statistics, pictures of any size are resized to 64 px first."""
        small = resized(images.float(), IMAGE_SIZE)
        return torch.cat([statistics(small), EMBEDDING_SCALE * self._encoder.images(images)], 1)


def embedded_features(clip: ClipEncoder) -> FeatureEncoder:
    """Those of the CLIP that ships with the project."""
    return FeatureEncoder(EMBEDDED_CLIP, clip)


def statistics(images: Tensor) -> Tensor:
    """The statistics of every theme side by side: (B, 3, S, S) in [0, 1] to (B, columns)."""
    view = look(images)
    return torch.cat([theme(view) for theme in THEMES.values()], 1)


@cache
def _statistics_themes() -> tuple[str, ...]:
    view = look(torch.ones(1, 3, IMAGE_SIZE, IMAGE_SIZE))
    return tuple(name for name, theme in THEMES.items() for _ in range(theme(view).shape[1]))


def column_themes(num_columns: int) -> tuple[str, ...]:
    """The theme of each of `num_columns` feature columns: the statistics first, the network's vector last."""
    named = _statistics_themes()[:num_columns]
    return named + (EMBEDDING_THEME,) * (num_columns - len(named))
