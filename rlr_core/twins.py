"""Twins: two finished pictures that differ by the sign of ONE injected noise.

    y_{k+1}^+ = m_k + s_k noise_k        y_{k+1}^- = m_k - s_k noise_k        all other noises are shared

Both twins are equally likely under the sampler, so the pair is a fair question, and "which is better?" asked of it is exactly what the
antithetic half-order estimator needs to know.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.chain import DenoisingChain
from rlr_core.sampling import Trajectory, roll_out


@dataclass(frozen=True)
class Twins:
    """A batch of pairs.

    Attributes:
        images_plus: the trajectory's own images, in [0, 1], shape (B, 3, H, W).
        images_minus: their twins' images, same shape.
        final_minus: the twins' finished states y_T^-, shape (B, *event).
    """

    images_plus: Tensor
    images_minus: Tensor
    final_minus: Tensor


@torch.no_grad()
def make_twins(chain: DenoisingChain, trajectory: Trajectory, step: int, elements: Tensor | None = None) -> Twins:
    """The trajectory and its twin with the noise of `step` flipped: T - 1 - step network evaluations a chain.

    The mean is not evaluated again: m - s noise = y_{step + 1} - 2 s noise.

    Args:
        elements: which elements of the noise are flipped, booleans of shape event; all if None.
    """
    noise = trajectory.noises[step] if elements is None else trajectory.noises[step] * elements
    flipped = trajectory.states[step + 1] - 2 * chain.std(step) * noise
    final = [flipped, *roll_out(chain, flipped, step + 1, trajectory.noises, trajectory.condition)][-1]
    return Twins(trajectory.images, chain.decode(final), final)
