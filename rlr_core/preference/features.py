"""Pictures as the numbers a person's taste is learned from: named statistics, how well the prompt is matched, a network's vector."""

from collections.abc import Sequence
from functools import cache
from typing import Protocol

import torch
from torch import Tensor

from rlr_core.preference.clip import ClipEncoder
from rlr_core.preference.statistics import THEMES, look
from rlr_core.pretrained import resized

IMAGE_SIZE = 64
EMBEDDED_CLIP = "embedded_clip"
MATCH_THEME = "text match"
EMBEDDING_THEME = "subject and style"
# Unit vectors have tiny coordinates and cosines differ little; this brings them to the size of the statistics.
EMBEDDING_SCALE = 3.0
# The text match of a picture without a prompt: on average the embedded model's pictures have it, a cosine of 0.71. A taste takes a picture
# with this very number to match as well as pictures usually do (`is_unknown`). Exact in every number format.
UNKNOWN_MATCH = 2.125
# To be raised whenever the statistics, their scales or the embedded CLIP change: features of before and after cannot be compared.
VERSION = 2


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
UNNAMED_FEATURES = "statistics 1, embedded_clip"  # those of a taste written before features had a name


class FeatureEncoder:
    """Pictures to features, the columns in the order of `column_themes`.

    Args:
        network: the encoder's kind and, where there are several of the kind, which one it is: "clip:owner/model".
        encoder: the network whose picture vectors are part of the features.
        clip: the embedded CLIP, which compares pictures with their prompts.
    """

    def __init__(self, network: str, encoder: PictureEncoder, clip: ClipEncoder) -> None:
        self.name = features_name(network)
        self._encoder = encoder
        self._clip = clip

    @property
    def num_columns(self) -> int:
        """F."""
        return len(_statistics_themes()) + 1 + self._encoder.dimension

    def __call__(self, images: Tensor, prompts: Sequence[str | None]) -> Tensor:
        """(B, 3, H, W) in [0, 1] to (B, F), differentiable. For the statistics, pictures of any size are resized to 64 px first.

        `prompts` are the B pictures' own, None for one that was made for none.
        """
        small, seen = resized(images.float(), IMAGE_SIZE), self._clip.images(images)
        vectors = seen if self._encoder is self._clip else self._encoder.images(images)
        return torch.cat([statistics(small), self._match(seen, prompts), EMBEDDING_SCALE * vectors], 1)

    def _match(self, seen: Tensor, prompts: Sequence[str | None]) -> Tensor:
        """EMBEDDING_SCALE times the cosine of each picture's vector and its prompt's, shape (B, 1)."""
        cosines = (seen * self._clip.texts([prompt or "" for prompt in prompts])).sum(1, keepdim=True)
        is_given = torch.tensor([[prompt is not None] for prompt in prompts], device=seen.device)
        return torch.where(is_given, EMBEDDING_SCALE * cosines, UNKNOWN_MATCH)


def embedded_features(clip: ClipEncoder) -> FeatureEncoder:
    """Those of the CLIP that ships with the project."""
    return FeatureEncoder(EMBEDDED_CLIP, clip, clip)


def statistics(images: Tensor) -> Tensor:
    """The statistics of every theme side by side: (B, 3, S, S) in [0, 1] to (B, columns)."""
    view = look(images)
    return torch.cat([theme(view) for theme in THEMES.values()], 1)


@cache
def _statistics_themes() -> tuple[str, ...]:
    view = look(torch.ones(1, 3, IMAGE_SIZE, IMAGE_SIZE))
    return tuple(name for name, theme in THEMES.items() for _ in range(theme(view).shape[1]))


def column_themes(num_columns: int) -> tuple[str, ...]:
    """The theme of each of `num_columns` feature columns: the statistics first, the text match, the network's vector last."""
    named = (*_statistics_themes(), MATCH_THEME)[:num_columns]
    return named + (EMBEDDING_THEME,) * (num_columns - len(named))


def is_unknown(features: Tensor) -> Tensor:
    """Which features of pictures are not known, for want of a prompt: (n, F) to (n, F)."""
    is_match = [theme == MATCH_THEME for theme in column_themes(features.shape[1])]
    return (features == UNKNOWN_MATCH) & torch.tensor(is_match, device=features.device)
