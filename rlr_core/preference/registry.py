"""All features a taste can go by, by name; factories take the features' settings and `FeatureResources`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from rlr_core.config import FeatureConfig, setting
from rlr_core.pipelines.device import reward_dtype
from rlr_core.pipelines.mid_block import MidBlock
from rlr_core.pipelines.stable_diffusion import BaseModel
from rlr_core.plugin import Plugin, find_with
from rlr_core.preference.clip import ClipEncoder
from rlr_core.preference.features import EMBEDDED_CLIP, FeatureEncoder, embedded_features
from rlr_core.preference.siglip import SIGLIP_FILES, SiglipEncoder
from rlr_core.pretrained import CLIP_FILES, fetch, missing


@dataclass(frozen=True)
class FeatureResources:
    """Handed to every factory of features.

    Attributes:
        clip: gives the embedded CLIP.
        base_model: gives the session's base model; not called by features that do without.
        device: where networks are loaded; pictures are expected there too.
    """

    clip: Callable[[], ClipEncoder]
    base_model: Callable[[], BaseModel]
    device: torch.device


@dataclass(frozen=True)
class NoSettings:
    """Nothing to set."""


@dataclass(frozen=True)
class ClipSettings:
    """Which CLIP looks at the pictures."""

    source: str = setting("openai/clip-vit-large-patch14", "A CLIP in transformers' format: a folder, or an id on the Hugging Face hub.")


@dataclass(frozen=True)
class SiglipSettings:
    """Which SigLIP looks at the pictures."""

    source: str = setting("google/siglip-base-patch16-224", "A SigLIP in transformers' format: a folder, or an id on the Hugging Face hub.")


def check_features(config: FeatureConfig) -> None:
    """Raise RLRError if there are no such features or settings, or they cannot be had here; nothing is loaded for it."""
    find_with(FEATURES, "features", config.features, config.features_settings)


def make_features(config: FeatureConfig, resources: FeatureResources) -> FeatureEncoder:
    """The features that `config` names."""
    plugin, settings = find_with(FEATURES, "features", config.features, config.features_settings)
    return plugin.factory(settings, resources)


def _clip(settings: ClipSettings, resources: FeatureResources) -> FeatureEncoder:
    encoder = ClipEncoder(fetch(settings.source, CLIP_FILES), resources.device, reward_dtype(resources.device))
    return FeatureEncoder(f"clip:{_identity(settings.source)}", encoder, resources.clip())


def _siglip(settings: SiglipSettings, resources: FeatureResources) -> FeatureEncoder:
    encoder = SiglipEncoder(fetch(settings.source, SIGLIP_FILES), resources.device, reward_dtype(resources.device))
    return FeatureEncoder(f"siglip:{_identity(settings.source)}", encoder, resources.clip())


def _base_model(settings: NoSettings, resources: FeatureResources) -> FeatureEncoder:
    model = resources.base_model()
    return FeatureEncoder(f"base_model:{model.name}", MidBlock(model), resources.clip())


def _identity(source: str) -> str:
    """What a source is called in the features' name: its id on the hub, or its folder's own name."""
    return Path(source).resolve().name if Path(source).is_dir() else source


FEATURES: dict[str, Plugin[FeatureEncoder]] = {
    EMBEDDED_CLIP: Plugin(
        label="Embedded CLIP",
        help="The small CLIP that ships with the studio; it knows emoji.",
        settings=NoSettings,
        factory=lambda settings, resources: embedded_features(resources.clip()),
    ),
    "clip": Plugin(
        label="CLIP",
        help="A published CLIP, which knows all that people photograph and draw (1.7 GB).",
        settings=ClipSettings,
        factory=_clip,
        availability=lambda settings=ClipSettings(): missing(settings.source, CLIP_FILES),
    ),
    "siglip": Plugin(
        label="SigLIP",
        help="A published SigLIP, a later kin of CLIP that sees finer detail (0.8 GB).",
        settings=SiglipSettings,
        factory=_siglip,
        availability=lambda settings=SiglipSettings(): missing(settings.source, SIGLIP_FILES),
    ),
    "base_model": Plugin(
        label="The base model itself",
        help="The middle of the network that draws the pictures; nothing to download, whatever the base model.",
        settings=NoSettings,
        factory=_base_model,
    ),
}
