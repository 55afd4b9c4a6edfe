"""How far the trained chain has moved from the base model, in nats.

Both chains add the same Gaussian noise, so the divergence of one step, given the state it starts from, is

    KL( N(m_theta, s^2 I) || N(m_base, s^2 I) ) = || m_theta - m_base ||^2 / (2 s^2)

summed over the elements of a state. Its sum over the steps of trained trajectories estimates the divergence of whole trajectories.
"""

import torch
from torch import Tensor

from rlr_core.chain import DenoisingChain
from rlr_core.errors import RLRError
from rlr_core.sampling import Trajectory


def step_divergence(chain: DenoisingChain, trajectory: Trajectory, step: int) -> Tensor:
    """The divergence of one step at the stored states, in nats, shape (B,); differentiable in theta, never through the base.

    Raises:
        RLRError: the step adds no noise, so the divergence is infinite wherever the means differ.
    """
    y = trajectory.states[step]
    transition = chain.transition(y, step, trajectory.condition)
    if transition.std == 0:
        raise RLRError(
            f"eta: step {step} adds no noise, so its divergence from the base model is infinite. "
            "Use eta > 0 (DDPM is 1.0) or measure the divergence at another step."
        )
    with torch.no_grad(), chain.reference():
        base = chain.transition(y, step, trajectory.condition).mean
    return (transition.mean - base).flatten(1).pow(2).sum(1) / (2 * transition.std**2)
