"""RLR with antithetic half order, the default: the last steps by backpropagation, the earlier ones by twins."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.estimators import fields
from rlr_core.estimators.advantage import antithetic
from rlr_core.estimators.backpropagation import first_order_gradient
from rlr_core.estimators.estimate import Estimate
from rlr_core.estimators.likelihood_ratio import half_order_gradient
from rlr_core.estimators.requirements import differentiable_reward, first_order_fits, sub_chains_fit
from rlr_core.estimators.sub_chain import draw_sub_chains
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class RLRAntitheticSettings:
    """Where first order ends and half order begins, and which sub-chains are drawn."""

    first_order_steps: int = fields.first_order_steps()
    sub_chain_length: int = fields.sub_chain_length()
    num_sub_chains: int = fields.num_sub_chains()
    micro_batch_size: int = fields.micro_batch_size()


class RLRAntithetic:
    """First order on the last K steps plus antithetic half order on m of the n sub-chains that tile steps 0 .. T-K-1.

        g = d/dtheta R(decode(y_T)) from the stored y_{T-K}
            + n/m * sum over [a, b) of   A * (D_theta m_{a -> b})^T noise_{b-1} / s_{b-1},   A = (R^+ - R^-) / 2

    It replaces the HO and ZO terms of the paper's Eq. 6: weighted by its inverse inclusion probability, the half-order term covers all
    earlier steps, so no zeroth order is needed.
    Unbiased: yes, because both terms are, and together they cover every step exactly once in expectation.
    """

    def __init__(self, settings: RLRAntitheticSettings) -> None:
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        settings = self._settings
        stop = chain.num_steps - settings.first_order_steps
        fits = first_order_fits(chain, settings.first_order_steps, most=chain.num_steps - 1) or sub_chains_fit(
            chain, stop, settings.sub_chain_length, settings.num_sub_chains
        )
        return differentiable_reward("rlr_antithetic", reward_is_differentiable) | fits

    def estimate(self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator) -> Estimate:
        settings = self._settings
        rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
        stop = chain.num_steps - settings.first_order_steps
        draw = draw_sub_chains(stop, settings.sub_chain_length, settings.num_sub_chains, generator)
        advantages = [antithetic(chain, trajectory, reward, rewards, sub_chain.interface) for sub_chain in draw.sub_chains]
        first_order = first_order_gradient(chain, trajectory, reward, settings.first_order_steps, settings.micro_batch_size)
        half_order = half_order_gradient(chain, trajectory, draw, advantages, settings.micro_batch_size)
        return Estimate({"first_order": first_order, "half_order": half_order}, rewards, frozenset(range(chain.num_steps)))
