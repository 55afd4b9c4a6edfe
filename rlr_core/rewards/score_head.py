"""The small network that turns a picture's features into one number: linear layers and nothing between them.

The aesthetic predictor and ImageReward both publish an MLP of this form, 768-1024-128-64-16-1, whose dropout does nothing at evaluation;
its tensors are called layers.0, layers.2, layers.4, layers.6 and layers.7.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from rlr_core.errors import RLRError

LAYER = re.compile(r"layers\.(\d+)\.(weight|bias)")


class ScoreHead:
    """(B, D) to (B,), by layers in the order of their numbers; in float32 at least.

    Args:
        state: "layers.<number>.weight" and ".bias"; other names are left out.
        width: D.
        source: the file, for messages.

    Raises:
        RLRError: the layers do not lead from D numbers to one.
    """

    def __init__(self, state: Mapping[str, Tensor], width: int, source: Path, device: torch.device) -> None:
        numbers = sorted({int(found[1]) for found in map(LAYER.fullmatch, state) if found})
        if not numbers:
            raise RLRError(f"{source} has no tensors called layers.<number>.weight, so it is no score head: give the file of its MLP.")
        self._layers = nn.Sequential()
        for number in numbers:
            weight, bias = (state.get(f"layers.{number}.{part}") for part in ("weight", "bias"))
            if weight is None or bias is None or weight.ndim != 2 or bias.shape != weight.shape[:1] or weight.shape[1] != width:
                shapes = " and ".join(str(None if part is None else tuple(part.shape)) for part in (weight, bias))
                raise RLRError(
                    f"{source}: layers.{number} has a weight and a bias of shapes {shapes}, but it receives {width} numbers: the file does "
                    "not belong to this model. Take both from the same publication."
                )
            layer = nn.Linear(width, len(weight), device=device, dtype=torch.promote_types(torch.float32, weight.dtype))
            layer.load_state_dict({"weight": weight, "bias": bias})
            self._layers.append(layer)
            width = len(weight)
        if width != 1:
            raise RLRError(f"{source}: its last layer gives {width} numbers, but a reward is one: give the file of a score head.")
        self._layers.requires_grad_(False)

    def __call__(self, features: Tensor) -> Tensor:
        """Differentiable."""
        return self._layers(features.to(cast(nn.Linear, self._layers[0]).weight.dtype))[:, 0]
