"""Advantages: rewards minus a baseline that lowers the variance of a likelihood ratio without moving its mean.

A baseline may depend on anything but the noise whose likelihood ratio it multiplies. So a chain's own reward must not enter its baseline
(the batch mean that includes it is off by (B - 1) / B), and dividing by the group's standard deviation is biased.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.errors import RLRError
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory
from rlr_core.twins import make_twins


def leave_one_out(rewards: Tensor, prompts: Sequence[str]) -> Tensor:
    """R_i minus the mean of the OTHER rewards of the same prompt, shape (B,).

    A chain that is alone with its prompt is compared with all others of the batch: also unbiased, only less alike.

    Raises:
        RLRError: there is no other chain in the batch.
    """
    if len(prompts) < 2:
        raise RLRError(
            "baseline = leave_one_out: the batch holds 1 picture, so there is no other to compare it with; "
            "sample at least 2 or set baseline to none."
        )
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    group = torch.tensor([numbers[prompt] for prompt in prompts], device=rewards.device)
    counts = torch.bincount(group)[group]
    sums = rewards.new_zeros(len(numbers)).index_add(0, group, rewards)[group]
    is_alone = counts == 1
    others = torch.where(is_alone, len(prompts), counts) - 1
    baseline = (torch.where(is_alone, rewards.sum(), sums) - rewards) / others
    return rewards - baseline


def antithetic(chain: DenoisingChain, trajectory: Trajectory, reward: Reward, rewards: Tensor, step: int) -> Tensor:
    """(R^+ - R^-) / 2, shape (B,), of each trajectory and its twin with the noise of `step` flipped.

    Args:
        rewards: R^+, the trajectory's own rewards, shape (B,).
    """
    twins = make_twins(chain, trajectory, step)
    return (rewards - measure(reward, twins.images_minus, trajectory.condition.prompts)) / 2
