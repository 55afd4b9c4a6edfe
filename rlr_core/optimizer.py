"""The one place that changes the trained parameters: clip, then AdamW.

Estimators return ascent directions; AdamW descends, so the gradient is negated here and nowhere else.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rlr_core.errors import RLRError
from rlr_core.estimators.estimate import Gradient, norm


class Optimizer:
    """AdamW on a fixed list of parameters, with clipping; its state can be written out and read back exactly."""

    def __init__(self, parameters: Sequence[Tensor], learning_rate: float, max_gradient_norm: float) -> None:
        self._parameters = list(parameters)
        self._max_gradient_norm = max_gradient_norm
        self._adamw = torch.optim.AdamW(self._parameters, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.0)

    def apply(self, gradient: Gradient) -> float:
        """Step up along `gradient` (shaped like the parameters); return its length before clipping.

        Raises:
            RLRError: the gradient is not finite; the parameters are then unchanged.
        """
        length = norm(gradient)
        if not length < float("inf"):
            raise RLRError(
                f"The gradient's length is {length}: an update with it would destroy the adapter, so it was not made. "
                "Lower the learning rate or the guidance, or start from an earlier round."
            )
        scale = min(1.0, self._max_gradient_norm / (length + 1e-12))
        for parameter, part in zip(self._parameters, gradient, strict=True):
            parameter.grad = part.to(parameter.dtype) * -scale
        self._adamw.step()
        self._adamw.zero_grad()
        return length

    def state(self) -> dict[str, Tensor]:
        """AdamW's moments and step counts as named tensors (empty before the first step)."""
        return {
            f"{index}.{name}": tensor.detach().cpu().clone()
            for index, moments in self._adamw.state_dict()["state"].items()
            for name, tensor in moments.items()
        }

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Read what `state` gave."""
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = tensor
        whole = self._adamw.state_dict()
        self._adamw.load_state_dict({"state": moments, "param_groups": whole["param_groups"]})
