"""Sample trajectories and keep what their gradients need: the states and the noises."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.chain import Condition, DenoisingChain
from rlr_core.rng import standard_normal


@dataclass(frozen=True)
class Trajectory:
    """A batch of sampled chains.

    Attributes:
        condition: what they were conditioned on.
        states: y_0 .. y_T, shape (T + 1, B, *event), without gradients.
        noises: noise_0 .. noise_{T-1}, shape (T, B, *event).
        images: decode(y_T), in [0, 1], shape (B, 3, H, W), without gradients.
    """

    condition: Condition
    states: Tensor
    noises: Tensor
    images: Tensor

    def __len__(self) -> int:
        return len(self.condition)

    @property
    def num_steps(self) -> int:
        """T."""
        return len(self.noises)

    def select(self, indices: Sequence[int]) -> "Trajectory":
        """The chains at `indices`, in that order; an index may repeat."""
        rows = list(indices)
        return Trajectory(self.condition.select(rows), self.states[:, rows], self.noises[:, rows], self.images[rows])


def draw_noises(chain: DenoisingChain, generators: Sequence[torch.Generator]) -> Tensor:
    """y_0 and the noises of all T steps, shape (T + 1, B, *event); chain i's come from generators[i] alone."""
    rows = [standard_normal(chain.event_shape, generators, chain.dtype, chain.device) for _ in range(chain.num_steps + 1)]
    return torch.stack(rows)


def walk(chain: DenoisingChain, y: Tensor, steps: range, noises: Tensor, condition: Condition) -> list[Tensor]:
    """The states after each of `steps`, from the state y before the first of them; differentiable.

    Args:
        y: shape (B, *event).
        noises: all T noises, shape (T, B, *event); only those of `steps` are used.
    """
    states = []
    for step in steps:
        transition = chain.transition(y, step, condition)
        y = transition.mean + transition.std * noises[step]
        states.append(y)
    return states


@torch.no_grad()
def roll_out(chain: DenoisingChain, y: Tensor, first_step: int, noises: Tensor, condition: Condition) -> list[Tensor]:
    """Walk on from y_{first_step} to the end, without gradients: the states y_{first_step + 1} .. y_T."""
    return walk(chain, y, range(first_step, chain.num_steps), noises, condition)


@torch.no_grad()
def sample(chain: DenoisingChain, condition: Condition, generators: Sequence[torch.Generator]) -> Trajectory:
    """Sample one chain a generator."""
    drawn = draw_noises(chain, generators)
    y_0, noises = drawn[0], drawn[1:]
    states = torch.stack([y_0, *roll_out(chain, y_0, 0, noises, condition)])
    return Trajectory(condition, states, noises, chain.decode(states[-1]))
