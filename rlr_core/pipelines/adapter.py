"""The LoRA on a UNet's attention: everything that is trained.

    W y  becomes  W y + B A y,    A shape (rank, in), B shape (out, rank), alpha = rank so that the scale is 1

A fresh adapter has B = 0 and changes nothing.

Two layouts of a file of it:

    diffusers   unet.<layer>.lora_A.weight and lora_B.weight; rank and alpha in the metadata, as PEFT's LoraConfig
    kohya       lora_unet_<layer, _ for .>.lora_down.weight, lora_up.weight and alpha, a number: what ComfyUI, A1111 and sd-scripts read
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import sqrt
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.lora_base import LORA_ADAPTER_METADATA_KEY
from diffusers.utils import convert_state_dict_to_kohya
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import save
from torch import Tensor

from rlr_core.config import AdapterConfig
from rlr_core.errors import RLRError
from rlr_core.pipelines.device import state_dtype
from rlr_core.rng import generator

LAYOUTS = ("diffusers", "kohya")
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

    def save(self, path: Path, layout: str = "diffusers") -> None:
        """Write a .safetensors file in one of LAYOUTS."""
        tensors, metadata = self._diffusers() if layout == "diffusers" else self._kohya()
        # In one piece from memory: a full disk is then an OSError, as everywhere.
        path.write_bytes(save(tensors, metadata))

    def _diffusers(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        config = {f"unet.{name}": value for name, value in self._unet.peft_config["default"].to_dict().items()}
        metadata = {"format": "pt", LORA_ADAPTER_METADATA_KEY: json.dumps(config, indent=2, sort_keys=True, default=sorted)}
        return {f"unet.{name}": tensor.contiguous() for name, tensor in self.state().items()}, metadata

    def _kohya(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        named = convert_state_dict_to_kohya({f"unet.{name}": tensor.contiguous() for name, tensor in self.state().items()})
        # Left out, an alpha is taken for 1 by some programs and for the rank by others; kohya's own are numbers of the weights' format.
        tensors = {name: tensor.float() if name.endswith(".alpha") else tensor for name, tensor in named.items()}
        rank = str(self._unet.peft_config["default"].r)
        return tensors, {"ss_network_module": "networks.lora", "ss_network_dim": rank, "ss_network_alpha": rank}

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
