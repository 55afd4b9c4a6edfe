"""A running average of the adapter over a round's updates: steadier than its last state. The one place that averages."""

from collections.abc import Mapping

import torch
from torch import Tensor

WARM_UP = 10


def averaged(average: Mapping[str, Tensor], adapter: Mapping[str, Tensor], decay: float, update: int) -> dict[str, Tensor]:
    """The average after update number `update` (from 0), which made `adapter`.

        average <- d * average + (1 - d) * adapter,   d = min(decay, (1 + update) / (WARM_UP + update))

    The share of the start is kept small at first, as in diffusers' EMAModel, or a short round would hand over where it began. Both factors
    of a LoRA are averaged by themselves: to first order that is the average of their product.

    Args:
        average, adapter: tensors of the same names and shapes.
        decay: from 0, which keeps nothing of the average, to below 1.
    """
    share = min(decay, (1 + update) / (WARM_UP + update))
    return {name: torch.lerp(tensor, average[name], share) for name, tensor in adapter.items()}
