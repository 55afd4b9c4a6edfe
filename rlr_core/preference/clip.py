"""Pictures and prompts as vectors of one space, by a CLIP model on disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from rlr_core.errors import RLRError
from rlr_core.paths import assets_folder
from rlr_core.pretrained import CONFIG, PROCESSOR, WEIGHTS, Preparation, frozen, read_config, read_state, read_tokenizer


class ClipEncoder:
    """A frozen CLIPModel; gradients flow to the pictures, never to the weights.

    Args:
        folder: a transformers folder with the model, its tokenizer and preprocessor_config.json.
        device: where it runs.
        dtype: the number format of its weights; vectors are in float32 at least.
        state: weights in place of the folder's own, by the names of CLIPModel.

    Raises:
        RLRError: if the folder holds no such model.
    """

    def __init__(
        self, folder: Path, device: torch.device, dtype: torch.dtype = torch.float32, state: Mapping[str, Tensor] | None = None
    ) -> None:
        for name in (CONFIG, PROCESSOR):
            if not (folder / name).is_file():
                raise RLRError(f"{folder} holds no CLIP model ({name} is missing): choose the folder of a transformers CLIP.")
        config = read_config(CLIPConfig, folder)
        weights = read_state(folder / WEIGHTS) if state is None else state
        self._model: CLIPModel = frozen(CLIPModel, config, weights, folder, device, dtype)
        self._tokenizer = read_tokenizer(CLIPTokenizer, folder)
        self._prepared = Preparation(folder, config.vision_config.image_size, device, dtype)
        self._length = config.text_config.max_position_embeddings
        self._work = torch.promote_types(torch.float32, dtype)

    @property
    def dimension(self) -> int:
        """D, the length of the vectors."""
        return self._model.config.projection_dim

    @property
    def temperature(self) -> float:
        """What a cosine is multiplied by to become a logit: exp(logit_scale), 100 in the published models."""
        return float(self._model.logit_scale.double().exp())

    def images(self, images: Tensor) -> Tensor:
        """Unit vectors of pictures: (B, 3, H, W) in [0, 1] to (B, D), differentiable. Other sizes are resized to the model's square."""
        return self._unit(self._model.get_image_features(pixel_values=self._prepared(images)).pooler_output)

    @torch.no_grad()
    def texts(self, prompts: Sequence[str]) -> Tensor:
        """Unit vectors of prompts, shape (len(prompts), D)."""
        words = self._tokenizer(list(prompts), padding="max_length", truncation=True, max_length=self._length, return_tensors="pt")
        ids = words.input_ids.to(self._model.device)
        return self._unit(self._model.get_text_features(input_ids=ids).pooler_output)

    def _unit(self, vectors: Tensor) -> Tensor:
        return F.normalize(vectors.to(self._work), dim=-1)


def embedded_clip(device: torch.device) -> ClipEncoder:
    """The small CLIP that ships with the project, of 128 numbers a picture; it was trained on emoji."""
    return ClipEncoder(assets_folder() / "clip", device)
