"""What rewards may need beyond their settings."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from rlr_core.preference.clip import ClipEncoder, embedded_clip
from rlr_core.preference.features import FeatureEncoder, embedded_features
from rlr_core.preference.taste import Taste


@dataclass(frozen=True)
class RewardResources:
    """Handed to every reward's factory. What is given by a function is loaded at its first use and shared by all who ask.

    Attributes:
        clip: gives the embedded CLIP.
        features: gives the features that the session's taste goes by.
        taste: what was learned from the person's answers; None before the first.
        device: where networks are loaded; pictures are expected there too.
    """

    clip: Callable[[], ClipEncoder]
    features: Callable[[], FeatureEncoder]
    taste: Taste | None
    device: torch.device


def embedded_resources(device: torch.device, taste: Taste | None = None) -> RewardResources:
    """With nothing but what ships with the project."""
    clip = cache(lambda: embedded_clip(device))
    return RewardResources(clip, lambda: embedded_features(clip()), taste, device)
