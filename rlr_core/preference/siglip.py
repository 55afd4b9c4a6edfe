"""Pictures as vectors by the picture half of a SigLIP model on disk."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import SiglipConfig, SiglipVisionModel

from rlr_core.pretrained import CONFIG, PROCESSOR, WEIGHTS, Preparation, frozen, read_config, read_state

SIGLIP_FILES = (CONFIG, PROCESSOR, WEIGHTS)


class SiglipEncoder:
    """The frozen picture half of a SiglipModel (Zhai et al., arXiv 2303.15343); gradients flow to the pictures, never to the weights.

    Args:
        folder: a transformers folder with the model and preprocessor_config.json.
        device: where it runs.
        dtype: the number format of its weights; vectors are in float32 at least.

    Raises:
        RLRError: if the folder holds no such model.
    """

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> None:
        config = read_config(SiglipConfig, folder).vision_config
        self._model: SiglipVisionModel = frozen(SiglipVisionModel, config, read_state(folder / WEIGHTS), folder, device, dtype)
        self._prepared = Preparation(folder, config.image_size, device, dtype)
        self._work = torch.promote_types(torch.float32, dtype)

    @property
    def dimension(self) -> int:
        """D, the length of the vectors."""
        return self._model.config.hidden_size

    def images(self, images: Tensor) -> Tensor:
        """Unit vectors of pictures: (B, 3, H, W) in [0, 1] to (B, D), differentiable. Other sizes are resized to the model's square."""
        return F.normalize(self._model(pixel_values=self._prepared(images)).pooler_output.to(self._work), dim=-1)
