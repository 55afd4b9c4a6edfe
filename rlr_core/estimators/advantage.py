"""Advantages: rewards minus a baseline that lowers the variance of a likelihood ratio without moving its mean.

A baseline may depend on anything but the noise whose likelihood ratio it multiplies. So a chain's own reward must not enter its baseline
(the batch mean that includes it is off by (B - 1) / B), and dividing by the group's standard deviation is biased. Both are offered all the
same, because they are in wide use (DDPO, GRPO), and labelled.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rlr_core.errors import RLRError

Advantage = Callable[[Tensor, Sequence[str]], Tensor]


def no_baseline(rewards: Tensor, prompts: Sequence[str]) -> Tensor:
    """R_i itself, shape (B,). Unbiased: yes."""
    return rewards


def leave_one_out(rewards: Tensor, prompts: Sequence[str]) -> Tensor:
    """R_i minus the mean of the OTHER rewards of the same prompt, shape (B,). Unbiased: yes, as the others do not depend on i's noises.

    A chain that is alone with its prompt is compared with all others of the batch: also unbiased, only less alike.

    Raises:
        RLRError: there is no other chain in the batch.
    """
    if len(prompts) < 2:
        raise RLRError(
            "advantage = leave_one_out: the batch holds 1 picture, so there is no other to compare it with; "
            "sample at least 2 or set advantage to none."
        )
    group, counts, sums = _groups(rewards, prompts)
    is_alone = counts[group] == 1
    others = torch.where(is_alone, len(prompts), counts[group]) - 1
    baseline = (torch.where(is_alone, rewards.sum(), sums[group]) - rewards) / others
    return rewards - baseline


def batch_mean(rewards: Tensor, prompts: Sequence[str]) -> Tensor:
    """R_i minus the mean of all rewards, shape (B,). Unbiased: no, R_i is part of its own baseline; the mean is off by (B - 1) / B."""
    return rewards - rewards.mean()


def group_normalised(rewards: Tensor, prompts: Sequence[str]) -> Tensor:
    """(R_i - mean) / (standard deviation + 1e-8) over the chains of the same prompt, shape (B,), as in GRPO.

    Unbiased: no, both contain R_i, and the division changes every prompt's weight.
    """
    group, counts, sums = _groups(rewards, prompts)
    centred = rewards - (sums / counts)[group]
    variance = rewards.new_zeros(len(counts)).index_add(0, group, centred.square()) / counts
    return centred / (variance.sqrt()[group] + 1e-8)


ADVANTAGES: dict[str, Advantage] = {
    "none": no_baseline,
    "leave_one_out": leave_one_out,
    "batch_mean": batch_mean,
    "group_normalised": group_normalised,
}
UNBIASED_ADVANTAGES = ("none", "leave_one_out")


def _groups(rewards: Tensor, prompts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Each chain's group, shape (B,), and each group's size and sum of rewards, shape (groups,); a group is a prompt."""
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    group = torch.tensor([numbers[prompt] for prompt in prompts], device=rewards.device)
    return group, torch.bincount(group), rewards.new_zeros(len(numbers)).index_add(0, group, rewards)
