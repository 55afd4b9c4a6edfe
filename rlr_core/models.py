"""The networks that engines work with, each loaded once, whoever uses it. They live in the worker's thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import torch

from rlr_core.config import AdapterConfig, FeatureConfig, to_json
from rlr_core.pipelines.device import best_device, weight_dtype
from rlr_core.pipelines.loading import load_base_model
from rlr_core.pipelines.quiet import quiet_libraries
from rlr_core.pipelines.stable_diffusion import BaseModel
from rlr_core.preference.clip import ClipEncoder, embedded_clip
from rlr_core.preference.features import FeatureEncoder
from rlr_core.preference.registry import FeatureResources, make_features
from rlr_core.rewards.text_match import TextMatch


class Models:
    """One base model at a time, the features that a taste goes by, and the embedded CLIP."""

    def __init__(self, device: torch.device | None = None) -> None:
        """Args: device: where they run; the fastest device of this machine if None."""
        quiet_libraries()
        self.device = device or best_device()
        self._loaded: tuple[object, BaseModel] | None = None
        self._loaded_features: tuple[object, FeatureEncoder] | None = None

    def base_model(self, source: str, adapter: AdapterConfig) -> BaseModel:
        """The base model, with an adapter of this shape; whoever uses it puts the adapter's tensors in first."""
        if self._loaded is None or self._loaded[0] != (source, adapter):
            self._load(source, adapter)
        assert self._loaded is not None
        return self._loaded[1]

    @contextmanager
    def in_float32(self, source: str, adapter: AdapterConfig) -> Iterator[None]:
        """Within it the base model has float32 weights; afterwards none is in the memory, for where it ran in another format."""
        try:
            if weight_dtype(self.device) != torch.float32:
                self._load(source, adapter, torch.float32)
            yield
        finally:
            self._forget()

    def features(self, source: str, adapter: AdapterConfig, config: FeatureConfig) -> FeatureEncoder:
        """What a taste of this base model's pictures goes by."""
        key = source, adapter, to_json(config)
        if self._loaded_features is None or self._loaded_features[0] != key:
            self._loaded_features = None
            resources = FeatureResources(lambda: self.clip, lambda: self.base_model(source, adapter), self.device)
            self._loaded_features = (key, make_features(config, resources))
        return self._loaded_features[1]

    @cached_property
    def clip(self) -> ClipEncoder:
        """The embedded CLIP."""
        return embedded_clip(self.device)

    @cached_property
    def text_match(self) -> TextMatch:
        """How well pictures match their prompts."""
        return TextMatch(self.clip)

    def _load(self, source: str, adapter: AdapterConfig, dtype: torch.dtype | None = None) -> None:
        self._forget()  # one base model in the memory at a time
        self._loaded = ((source, adapter), load_base_model(source, adapter, self.device, dtype))

    def _forget(self) -> None:
        self._loaded = self._loaded_features = None
