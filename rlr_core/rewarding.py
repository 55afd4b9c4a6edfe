"""Ask a reward for its numbers, and refuse answers from which no gradient can be made."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rlr_core.chain import Reward
from rlr_core.errors import RLRError


def evaluate(reward: Reward, images: Tensor, prompts: Sequence[str]) -> Tensor:
    """R(images, prompts), shape (B,), with gradients where images carry them and the reward passes them on.

    Args:
        images: in [0, 1], shape (B, 3, H, W).
        prompts: B of them.

    Raises:
        RLRError: the result is not one finite number an image.
    """
    return checked(reward(images, prompts), len(images))


def checked(rewards: object, count: int) -> Tensor:
    """What a reward returned for `count` images, shape (count,).

    Raises:
        RLRError: it is not one finite number an image.
    """
    if not isinstance(rewards, Tensor) or not rewards.is_floating_point():
        kind = rewards.dtype if isinstance(rewards, Tensor) else type(rewards).__name__
        raise RLRError(f"reward: it returned {kind}, which carries no gradient; return a floating-point tensor with one number an image.")
    if rewards.shape != (count,):
        raise RLRError(
            f"reward: it returned shape {tuple(rewards.shape)} for {count} images, but each image needs its own number; "
            f"return shape ({count},)."
        )
    bad = torch.nonzero(~torch.isfinite(rewards.detach())).flatten().tolist()
    if bad:
        raise RLRError(
            f"reward: {float(rewards[bad[0]].detach())} for image {bad[0]} ({len(bad)} of {count} images are not finite), "
            f"which would spoil the whole gradient; make the reward finite for every image."
        )
    return rewards


@torch.no_grad()
def measure(reward: Reward, images: Tensor, prompts: Sequence[str]) -> Tensor:
    """The values of `evaluate` alone, shape (B,), without gradients: the reward as a black box."""
    return evaluate(reward, images, prompts)
