"""Exported adapters as other people will load them: with diffusers' own loader, into a base model that has never seen the studio."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from rlr_core.config import SamplerConfig
from rlr_core.errors import RLRError
from rlr_core.pipelines.loading import load_pipeline
from rlr_core.pipelines.stable_diffusion import StableDiffusionChain


class ReloadedAdapter:
    """A base model loaded afresh in float32, on which files are tried; as a chain's adapter, nothing of it is trained."""

    def __init__(self, source: str, device: torch.device) -> None:
        _, self._pipeline = load_pipeline(source, device, torch.float32)

    def chain(self, path: Path, sampler: SamplerConfig) -> StableDiffusionChain:
        """The base model with the file's LoRA, in place of any other file's; RLRError if diffusers cannot load it."""
        self._pipeline.unload_lora_weights()
        try:
            self._pipeline.load_lora_weights(path.parent, weight_name=path.name, local_files_only=True)
        except (ValueError, KeyError, RuntimeError) as problem:
            first_line = str(problem).strip().split("\n")[0]
            raise RLRError(f"diffusers cannot load {path.name} ({first_line}), so it is not handed out: report this.") from problem
        return StableDiffusionChain(self._pipeline, self, sampler)

    def parameters(self) -> list[Tensor]:
        """None: the file is only looked at."""
        return []

    @contextmanager
    def switched_off(self) -> Iterator[None]:
        """Within it the network is the base model's."""
        self._pipeline.disable_lora()
        try:
            yield
        finally:
            self._pipeline.enable_lora()
