"""What every gradient estimator takes and returns.

An estimator turns a trajectory and a reward into an estimate of dJ/dtheta (ascent direction). It never touches an optimizer, a log or a
file. With its own copy theta_k of the parameters at every step, dJ/dtheta is the sum over k of dJ/dtheta_k, so an estimate is unbiased
exactly when every step is covered once in expectation; `covered_steps` says which were.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.sampling import Trajectory

Gradient = tuple[Tensor, ...]
# What an estimator carries from one estimate to the next, by name; tensors, so that it can be saved and a round can be resumed exactly.
Memory = Mapping[str, Tensor]
NOTHING: Memory = {}


@dataclass(frozen=True)
class Estimate:
    """An estimated gradient.

    Attributes:
        parts: each part's gradient ("first_order", "half_order", "zeroth_order"), shaped like chain.parameters(); their sum is the
            estimate.
        rewards: the trajectory's rewards, shape (B,).
        covered_steps: the steps whose share of the gradient the estimate contains in expectation.
        memory: what the next estimate is to be given.
        figures: what else there is to report of it, by name.
    """

    parts: Mapping[str, Gradient]
    rewards: Tensor
    covered_steps: frozenset[int]
    memory: Memory = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def gradient(self) -> Gradient:
        """The sum of the parts."""
        return tuple(torch.stack(tensors).sum(0) for tensors in zip(*self.parts.values(), strict=True))

    def part_norms(self) -> dict[str, float]:
        """Euclidean length of each part."""
        return {name: norm(part) for name, part in self.parts.items()}


def within(memory: Memory, name: str) -> Memory:
    """The entries that `labelled` put under `name`, by their own names."""
    return {key.removeprefix(f"{name}/"): tensor for key, tensor in memory.items() if key.startswith(f"{name}/")}


def labelled(memory: Memory, name: str) -> Memory:
    """The entries under `name`, so that several parts can keep a memory each."""
    return {f"{name}/{key}": tensor for key, tensor in memory.items()}


def norm(gradient: Gradient) -> float:
    """Euclidean length over all tensors together."""
    return float(torch.stack([tensor.double().pow(2).sum() for tensor in gradient]).sum().sqrt())


class Estimator(Protocol):
    """Estimates dJ/dtheta from one batch of trajectories."""

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        """Why this cannot work on this chain with such a reward, by setting; empty if it can."""

    def estimate(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator, memory: Memory = NOTHING
    ) -> Estimate:
        """One estimate from the batch.

        Args:
            generator: makes the estimator's own choices (which block, which direction).
            memory: the `memory` of the estimate before it; empty at first, and always for an estimator that learns nothing.
        """
