"""Reward: ImageReward, a BLIP whose text encoder looks at the picture, and a small network on top, trained on people's rankings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path

import torch
from torch import Tensor
from transformers import BertTokenizer, BlipConfig, BlipTextModel, BlipVisionModel

from rlr_core.config import setting
from rlr_core.errors import RLRError
from rlr_core.pipelines.device import reward_dtype
from rlr_core.pretrained import (
    DESCRIPTION,
    WEIGHTS,
    Preparation,
    described_by,
    fetch,
    frozen,
    missing,
    read_config,
    read_state,
    read_tokenizer,
)
from rlr_core.rewards.score_head import ScoreHead

# Of the network's raw scores over its training pictures, as published.
SCORE_MEAN, SCORE_STD = 0.16717362830052426, 1.0333394966054072
MAX_TOKENS = 35
# BLIP's own names of its picture encoder to those of transformers' BlipVisionModel; the text encoder's are the same in both.
PICTURE_NAMES = (
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^blocks\.(\d+)\.norm", r"encoder.layers.\1.layer_norm"),
    (r"^blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.projection."),
    (r"^blocks\.(\d+)\.attn\.", r"encoder.layers.\1.self_attn."),
    (r"^blocks\.", "encoder.layers."),
    (r"^norm\.", "post_layernorm."),
)
# BLIP's layer norms in the picture encoder; transformers' default is another.
PICTURE_EPSILON = 1e-6


@dataclass(frozen=True)
class ImageRewardSettings:
    """Where ImageReward lies, and a BLIP of the same architecture."""

    source: str = setting(
        "RE-N-Y/ImageReward",
        "ImageReward as model.safetensors, in the names of ImageReward.pt: a folder, or an id on the Hugging Face hub.",
    )
    base: str = setting(
        "Salesforce/blip-itm-large-coco",
        "Where config.json, the tokenizer and preprocessor_config.json come from, unless `source` is a folder that holds them.",
    )


class ImageReward:
    """(MLP(h) - mean) / std of the text encoder's first state h (Xu et al., arXiv 2304.05977): 0 on average over its pictures, spread 1.

    The text encoder reads at most 35 tokens of the prompt and attends to all patches of the picture in every layer.

    The weights are expected as ImageReward.pt holds them, re-saved as safetensors: "blip.visual_encoder.*" (a ViT-L/16 at 224 px),
    "blip.text_encoder.*" (a BERT-base with cross-attention) and "mlp.layers.*". The picture's size follows from the position embedding.
    """

    is_differentiable = True

    def __init__(self, settings: ImageRewardSettings, device: torch.device) -> None:
        path = fetch(settings.source, (WEIGHTS,)) / WEIGHTS
        described = fetch(described_by(settings.source, settings.base), DESCRIPTION)
        state, dtype = read_state(path), reward_dtype(device)
        pictures, texts, head = (_part(state, name, path) for name in ("blip.visual_encoder.", "blip.text_encoder.", "mlp."))
        config = read_config(BlipConfig, described)
        config.vision_config.layer_norm_eps = PICTURE_EPSILON
        config.vision_config.image_size = _image_size(pictures, config.vision_config.patch_size, path)
        self._pictures = frozen(BlipVisionModel, config.vision_config, _renamed(pictures), path, device, dtype)
        self._texts = frozen(BlipTextModel, config.text_config, texts, path, device, dtype, add_pooling_layer=False)
        self._head = ScoreHead(head, config.text_config.hidden_size, path, device)
        self._tokenizer = read_tokenizer(BertTokenizer, described)
        self._length = min(MAX_TOKENS, config.text_config.max_position_embeddings)
        self._prepared = Preparation(described, config.vision_config.image_size, device, dtype)

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images (B, 3, H, W) in [0, 1] and B prompts to (B,)."""
        words = self._tokenizer(list(prompts), padding="max_length", truncation=True, max_length=self._length, return_tensors="pt")
        seen = self._pictures(pixel_values=self._prepared(images)).last_hidden_state
        states = self._texts(
            input_ids=words.input_ids.to(seen.device), attention_mask=words.attention_mask.to(seen.device), encoder_hidden_states=seen
        ).last_hidden_state
        return (self._head(states[:, 0]) - SCORE_MEAN) / SCORE_STD


def image_reward_reason(settings: ImageRewardSettings = ImageRewardSettings()) -> str | None:  # noqa: B008 - frozen
    """None if it can run here; else the reason and what to do."""
    return missing(settings.source, (WEIGHTS,)) or missing(described_by(settings.source, settings.base), DESCRIPTION)


def _part(state: Mapping[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if not found:
        raise RLRError(f"{path} has no tensors called {prefix}*, so it is not ImageReward: re-save ImageReward.pt with its own names.")
    return found


def _image_size(pictures: Mapping[str, Tensor], patch_size: int, path: Path) -> int:
    """The side of the square whose patches the position embedding, shape (1, 1 + patches, width), counts."""
    positions = pictures.get("pos_embed")
    if positions is None or positions.ndim != 3:
        raise RLRError(f"{path} has no blip.visual_encoder.pos_embed of three axes, so it is not ImageReward: get the file again.")
    return isqrt(positions.shape[1] - 1) * patch_size


def _renamed(pictures: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed = {}
    for name, tensor in pictures.items():
        new = name
        for pattern, replacement in PICTURE_NAMES:
            new = re.sub(pattern, replacement, new)
        renamed[new] = tensor
    return renamed
