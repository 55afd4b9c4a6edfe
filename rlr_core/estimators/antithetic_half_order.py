"""Antithetic half order: every trajectory is compared with the twin that differs by the sign of one noise."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.estimators import fields
from rlr_core.estimators.advantage import antithetic
from rlr_core.estimators.estimate import Estimate
from rlr_core.estimators.likelihood_ratio import half_order_gradient
from rlr_core.estimators.requirements import sub_chains_fit_before_tail
from rlr_core.estimators.sub_chain import draw_sub_chains
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class AntitheticHalfOrderSettings:
    """Which sub-chains are drawn, and how many last steps are left out."""

    sub_chain_length: int = fields.sub_chain_length()
    num_sub_chains: int = fields.num_sub_chains()
    uncovered_tail: int = fields.uncovered_tail()
    micro_batch_size: int = fields.micro_batch_size()


class AntitheticHalfOrder:
    """Half order on m of the n sub-chains [a, b) that tile the steps before the tail, each with its own twin.

        y_b^+ = m + s_{b-1} noise_{b-1}      y_b^- = m - s_{b-1} noise_{b-1}      the same later noises for both
        g = n/m * sum over [a, b) of   A * (D_theta m_{a -> b})^T noise_{b-1} / s_{b-1},   A = (R^+ - R^-) / 2

    Any reward will do, even a person's answer. All randomness but one noise cancels in A, hence the low variance.
    Unbiased: for the steps before the tail yes, because noise and -noise are equally likely, so g is the mean of the twins' likelihood
    ratios, and every sub-chain is weighted by its inverse inclusion probability; for the whole chain only with uncovered_tail = 0.
    """

    def __init__(self, settings: AntitheticHalfOrderSettings) -> None:
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        settings = self._settings
        return sub_chains_fit_before_tail(chain, settings.uncovered_tail, settings.sub_chain_length, settings.num_sub_chains)

    def estimate(self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator) -> Estimate:
        settings = self._settings
        rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
        stop = chain.num_steps - settings.uncovered_tail
        draw = draw_sub_chains(stop, settings.sub_chain_length, settings.num_sub_chains, generator)
        advantages = [antithetic(chain, trajectory, reward, rewards, sub_chain.interface) for sub_chain in draw.sub_chains]
        gradient = half_order_gradient(chain, trajectory, draw, advantages, settings.micro_batch_size)
        return Estimate({"half_order": gradient}, rewards, frozenset(range(stop)))
