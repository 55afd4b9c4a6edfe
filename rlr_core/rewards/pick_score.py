"""Reward: which picture people would pick for a prompt."""

from dataclasses import dataclass

import torch

from rlr_core.config import setting
from rlr_core.pipelines.device import reward_dtype
from rlr_core.preference.clip import ClipEncoder
from rlr_core.pretrained import CLIP_FILES, fetch, missing
from rlr_core.rewards.clip_score import ScaledCosine


@dataclass(frozen=True)
class PickScoreSettings:
    """Where PickScore lies."""

    source: str = setting("yuvalkirstain/PickScore_v1", "PickScore in transformers' format: a folder, or an id on the Hugging Face hub.")


def pick_score(settings: PickScoreSettings, device: torch.device) -> ScaledCosine:
    """exp(logit_scale) * cosine of a CLIP ViT-H/14 trained on people's choices (Kirstain et al., Pick-a-Pic, arXiv 2305.01569).

    The unit is the logit: of two pictures of a prompt, the one that is better by u was chosen with probability sigmoid(u). About 20.
    """
    encoder = ClipEncoder(fetch(settings.source, CLIP_FILES), device, reward_dtype(device))
    return ScaledCosine(encoder, encoder.temperature)


def pick_score_reason(settings: PickScoreSettings = PickScoreSettings()) -> str | None:  # noqa: B008 - frozen
    """None if it can run here; else the reason and what to do."""
    return missing(settings.source, CLIP_FILES)
