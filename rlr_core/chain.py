"""The seam of the project: a sampler as a Markov chain of Gaussian steps.

    y_0 ~ N(0, I)
    y_{k+1} = m_k(y_k; theta) + s_k noise_k,   noise_k ~ N(0, I),   k = 0 .. T-1 in sampling order
    J(theta) = E[ R(decode(y_T)) ],            R is maximised

Estimators see only this protocol and a reward, never a pipeline. The same estimator therefore runs on a closed-form chain, on a tiny
UNet in float64, and on Stable Diffusion.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class Condition:
    """What a batch of chains is conditioned on: one prompt a chain, and tensors whose first axis is the batch."""

    prompts: tuple[str, ...]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.prompts)

    def select(self, indices: Sequence[int]) -> "Condition":
        """The chains at `indices`, in that order; an index may repeat."""
        rows = list(indices)
        return Condition(tuple(self.prompts[row] for row in rows), {name: tensor[rows] for name, tensor in self.tensors.items()})


@dataclass(frozen=True)
class Transition:
    """One step's Gaussian: mean, shape (B, *event), with gradients where they are wanted; std, a number >= 0 without theta in it."""

    mean: Tensor
    std: float


class DenoisingChain(Protocol):
    """A sampler as a chain of Gaussian steps."""

    @property
    def num_steps(self) -> int:
        """T, the number of steps."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one state."""

    @property
    def dtype(self) -> torch.dtype:
        """The states' number format."""

    @property
    def device(self) -> torch.device:
        """Where the states live."""

    def parameters(self) -> list[Tensor]:
        """The trained tensors theta (leaves that require gradients)."""

    def std(self, step: int) -> float:
        """s_k of a step, without evaluating the network."""

    def transition(self, y: Tensor, step: int, condition: Condition) -> Transition:
        """m_k(y) and s_k: y shape (B, *event). One network evaluation a chain (two with guidance)."""

    def decode(self, y: Tensor) -> Tensor:
        """Finished states (B, *event) to images in [0, 1], shape (B, 3, H, W)."""

    def reference(self) -> AbstractContextManager[None]:
        """Within it, `transition` is the base model's: theta switched off."""


class Reward(Protocol):
    """Images to numbers; higher is better."""

    @property
    def is_differentiable(self) -> bool:
        """Whether gradients flow from the result to the images."""

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """images in [0, 1], shape (B, 3, H, W), and B prompts to rewards, shape (B,)."""


class WrappedChain:
    """A chain that is another one in all that a subclass does not change."""

    def __init__(self, chain: DenoisingChain) -> None:
        self._chain = chain

    @property
    def num_steps(self) -> int:
        return self._chain.num_steps

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self._chain.event_shape

    @property
    def dtype(self) -> torch.dtype:
        return self._chain.dtype

    @property
    def device(self) -> torch.device:
        return self._chain.device

    def parameters(self) -> list[Tensor]:
        return self._chain.parameters()

    def std(self, step: int) -> float:
        return self._chain.std(step)

    def transition(self, y: Tensor, step: int, condition: Condition) -> Transition:
        return self._chain.transition(y, step, condition)

    def decode(self, y: Tensor) -> Tensor:
        return self._chain.decode(y)

    def reference(self) -> AbstractContextManager[None]:
        return self._chain.reference()


class CheckpointedChain(WrappedChain):
    """A chain that keeps only its states for the backward pass and computes each step again in it.

    The gradients are the same. The memory of a sub-chain no longer grows with its length but by one state a step; the time grows by one
    forward pass a step.
    """

    def transition(self, y: Tensor, step: int, condition: Condition) -> Transition:
        if not torch.is_grad_enabled():
            return self._chain.transition(y, step, condition)
        # A step draws no random numbers, so there is no generator's state to keep.
        mean = checkpoint(
            lambda state: self._chain.transition(state, step, condition).mean, y, use_reentrant=False, preserve_rng_state=False
        )
        return Transition(mean, self._chain.std(step))

    def decode(self, y: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return self._chain.decode(y)
        return checkpoint(self._chain.decode, y, use_reentrant=False, preserve_rng_state=False)


class MeteredChain(WrappedChain):
    """A chain that counts its network evaluations and asks, before every step, whether to go on.

    An evaluation is one call of the network for one chain and one branch of guidance (`evaluations_per_step` of them); a step whose
    result carries gradients counts three times, once forward and two for its backward, and once more if it is computed again there.
    """

    def __init__(self, chain: DenoisingChain, before_step: Callable[[], None] = lambda: None, evaluations_per_step: int = 1) -> None:
        super().__init__(chain)
        self._before_step = before_step
        self._evaluations_per_step = evaluations_per_step
        self._evaluations_per_gradient = 4 if isinstance(chain, CheckpointedChain) else 3
        self.network_evaluations = 0

    @property
    def unmetered(self) -> DenoisingChain:
        """The chain itself."""
        return self._chain

    def transition(self, y: Tensor, step: int, condition: Condition) -> Transition:
        self._before_step()
        result = self._chain.transition(y, step, condition)
        weight = self._evaluations_per_gradient if result.mean.requires_grad else 1
        self.network_evaluations += weight * len(y) * self._evaluations_per_step
        return result
