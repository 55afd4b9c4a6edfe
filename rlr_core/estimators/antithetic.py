"""Antithetic advantages: what the reward changes by when the sign of one step's noise is flipped and all other noises are kept.

    one flip:      A   = (R(noise) - R(-noise)) / 2
    n flips:       A_e = (R(noise) - R(noise with group g(e) flipped)) / 2   for each element e of the state

With n flips the state's elements are dealt at random into n groups of equal size. The flips are orthogonal directions at one interface:
group g's part of A * noise then holds what the reward owes to group g alone, and the variance that one direction brings is divided by n.
Unbiased: yes, because for each group, given all other noises, the noise and its flip are equally likely.
"""

import torch
from torch import Tensor

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory
from rlr_core.twins import make_twins


def antithetic(
    chain: DenoisingChain, trajectory: Trajectory, reward: Reward, rewards: Tensor, step: int, groups: Tensor | None = None
) -> Tensor:
    """A of each trajectory at `step`: shape (B,) for one flip of all elements, (B, *event) with groups.

    Args:
        rewards: the trajectory's own rewards, shape (B,).
        groups: each element's group, from 0, shape event; None for one flip of all.
    """
    prompts = trajectory.condition.prompts

    def drop(flipped: Tensor | None) -> Tensor:
        return (rewards - measure(reward, make_twins(chain, trajectory, step, flipped).images_minus, prompts)) / 2

    if groups is None:
        return drop(None)
    drops = torch.stack([drop(groups == group) for group in range(int(groups.max()) + 1)], 1)
    return drops[:, groups]


def deal(event_shape: tuple[int, ...], num_groups: int, generator: torch.Generator, device: torch.device) -> Tensor | None:
    """A random group from 0 to num_groups - 1 for each element, of sizes that differ by one at most; None for a single group."""
    if num_groups == 1:
        return None
    count = torch.Size(event_shape).numel()
    return (torch.randperm(count, generator=generator) % num_groups).view(event_shape).to(device)
