"""The LoRA on a UNet's attention: everything that is trained.

    W y  becomes  W y + B A y,    A shape (rank, in), B shape (out, rank), alpha = rank so that the scale is 1

A fresh adapter has B = 0 and changes nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import sqrt
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from rlr_core.config import AdapterConfig
from rlr_core.errors import RLRError
from rlr_core.pipelines.device import state_dtype
from rlr_core.rng import generator

TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]


class Adapter:
    """A LoRA put on a UNet, whose own weights are frozen."""

    def __init__(self, unet: UNet2DConditionModel, config: AdapterConfig) -> None:
        self._unet = unet
        unet.requires_grad_(False)
        unet.add_adapter(LoraConfig(r=config.rank, lora_alpha=config.rank, target_modules=TARGETS))
        self._layers = [module for module in unet.modules() if isinstance(module, BaseTunerLayer)]
        self._parameters = [tensor for tensor in unet.parameters() if tensor.requires_grad]
        for tensor in self._parameters:
            tensor.data = tensor.data.to(state_dtype(unet.dtype))
        self.reset(seed=0)

    def parameters(self) -> list[Tensor]:
        """The trained tensors, always in the same order."""
        return self._parameters

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Start afresh: A uniform in +-1/sqrt(in), from the seed and the layer's name; B = 0."""
        for name, tensor in self._named().items():
            if ".lora_A." in name:
                limit = 1 / sqrt(tensor.shape[1])
                tensor.copy_(torch.empty(tensor.shape).uniform_(-limit, limit, generator=generator(seed, "adapter", name)))
            else:
                tensor.zero_()

    def state(self) -> dict[str, Tensor]:
        """A copy of the trained tensors by PEFT's names, on the CPU."""
        return {name: tensor.detach().to("cpu", copy=True) for name, tensor in self._named().items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` gave; names or shapes that do not fit raise RLRError and change nothing."""
        own = {name: tuple(tensor.shape) for name, tensor in self._named().items()}
        given = {name: tuple(tensor.shape) for name, tensor in state.items()}
        wrong = sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
        if wrong:
            name = wrong[0]
            raise RLRError(
                f"The adapter does not fit this model: {len(wrong)} of {len(own)} tensors differ, first '{name}' with shape "
                f"{given.get(name, 'none')} where {own.get(name, 'none')} is needed; use an adapter of this base model and rank."
            )
        set_peft_model_state_dict(self._unet, dict(state))

    def save(self, path: Path) -> None:
        """Write a .safetensors file in diffusers' layout, rank and alpha in its metadata."""
        StableDiffusionPipeline.save_lora_weights(
            path.parent,
            unet_lora_layers=self.state(),
            weight_name=path.name,
            unet_lora_adapter_metadata=self._unet.peft_config["default"].to_dict(),
        )

    @contextmanager
    def switched_off(self) -> Iterator[None]:
        """Within it the UNet is the base model's."""
        self._enable(False)
        try:
            yield
        finally:
            self._enable(True)

    def _enable(self, enabled: bool) -> None:
        # Not layer.enable_adapters: it also walks over every tensor's requires_grad and takes 40 times as long, at every step.
        for layer in self._layers:
            layer._disable_adapters = not enabled

    def _named(self) -> dict[str, Tensor]:
        return get_peft_model_state_dict(self._unet)
