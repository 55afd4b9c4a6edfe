"""Reward: Human Preference Score v2, a CLIP trained on people's rankings of pictures; published in open_clip's names, renamed here."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.config import setting
from rlr_core.pipelines.device import reward_dtype
from rlr_core.preference.clip import ClipEncoder
from rlr_core.pretrained import DESCRIPTION, WEIGHTS, described_by, fetch, missing, read_state
from rlr_core.rewards.clip_score import ScaledCosine

# open_clip's CLIP, whose text tower has no prefix, to transformers' CLIPModel.
TOWERS = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final": "text_model.final_layer_norm",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre": "vision_model.pre_layrnorm",  # sic
    "visual.ln_post": "vision_model.post_layernorm",
    "logit_scale": "logit_scale",
}
# Kept there as (width, D), to be multiplied from the left; Linear keeps (D, width).
PROJECTIONS = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)")
IN_BLOCK = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
}  # fmt: skip
# How training scripts and wrappers name the network they keep.
PREFIX = re.compile(r"^(model|module)\.")


@dataclass(frozen=True)
class HpsV2Settings:
    """Where HPS v2 lies, and the CLIP it was trained from."""

    source: str = setting(
        "RE-N-Y/hpsv21",
        "HPS v2 or v2.1 as model.safetensors, in open_clip's names or transformers': a folder, or an id on the Hugging Face hub.",
    )
    base: str = setting(
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
        "Where config.json, the tokenizer and preprocessor_config.json come from, unless `source` is a folder that holds them.",
    )


def hps_v2(settings: HpsV2Settings, device: torch.device) -> ScaledCosine:
    """The bare cosine of a CLIP ViT-H/14 trained on rankings (Wu et al., arXiv 2306.09341), about 0.2 to 0.35."""
    weights = fetch(settings.source, (WEIGHTS,)) / WEIGHTS
    description = fetch(described_by(settings.source, settings.base), DESCRIPTION)
    return ScaledCosine(ClipEncoder(description, device, reward_dtype(device), clip_state(read_state(weights))), 1.0)


def hps_v2_reason(settings: HpsV2Settings = HpsV2Settings()) -> str | None:  # noqa: B008 - frozen
    """None if it can run here; else the reason and what to do."""
    return missing(settings.source, (WEIGHTS,)) or missing(described_by(settings.source, settings.base), DESCRIPTION)


def clip_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights by the names of transformers' CLIPModel, whether they had those or open_clip's."""
    plain = {PREFIX.sub("", name): tensor for name, tensor in state.items()}
    if "visual.conv1.weight" not in plain:
        return plain
    return {new: part for name, tensor in plain.items() for new, part in _renamed(name, tensor)}


def _renamed(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    block = BLOCK.fullmatch(name)
    stem, _, kind = name.rpartition(".")
    if block:
        yield from _renamed_in_block(tensor, *block.groups())
    elif name in PROJECTIONS:
        yield PROJECTIONS[name], tensor.T
    elif name in TOWERS:
        yield TOWERS[name], tensor
    elif stem in TOWERS:
        yield f"{TOWERS[stem]}.{kind}", tensor


def _renamed_in_block(tensor: Tensor, tower: str | None, number: str, part: str, kind: str) -> Iterator[tuple[str, Tensor]]:
    layer = f"{'vision' if tower else 'text'}_model.encoder.layers.{number}"
    if part == "attn.in_proj":  # query, key and value in one
        for letter, third in zip("qkv", tensor.chunk(3), strict=True):
            yield f"{layer}.self_attn.{letter}_proj.{kind}", third
    elif part in IN_BLOCK:
        yield f"{layer}.{IN_BLOCK[part]}.{kind}", tensor
