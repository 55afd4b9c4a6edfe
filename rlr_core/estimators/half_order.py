"""Half order (HO), single-sided: likelihood ratios on random sub-chains, with a baseline."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.config import setting
from rlr_core.estimators import fields
from rlr_core.estimators.advantage import leave_one_out
from rlr_core.estimators.estimate import Estimate
from rlr_core.estimators.likelihood_ratio import half_order_gradient
from rlr_core.estimators.requirements import sub_chains_fit_before_tail
from rlr_core.estimators.sub_chain import draw_sub_chains
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class HalfOrderSettings:
    """Which sub-chains are drawn, and what rewards are compared with."""

    sub_chain_length: int = fields.sub_chain_length()
    num_sub_chains: int = fields.num_sub_chains()
    baseline: str = setting(
        "leave_one_out",
        "What a picture's reward is compared with: nothing, or the mean of the other pictures of its prompt.",
        choices=("none", "leave_one_out"),
    )
    uncovered_tail: int = fields.uncovered_tail()
    micro_batch_size: int = fields.micro_batch_size()


class HalfOrder:
    """The HO term of the paper's Eq. 6 alone, on m of the n sub-chains [a, b) that tile the steps before the tail.

        g = n/m * sum over [a, b) of   A * (D_theta m_{a -> b})^T noise_{b-1} / s_{b-1},   A = R - baseline

    With h = 1 and m = n this is the classical likelihood ratio (score function). Any reward will do, differentiable or not.
    Unbiased: for the steps before the tail yes, because the baseline is independent of a chain's own noises and every sub-chain is
    weighted by its inverse inclusion probability; for the whole chain only with uncovered_tail = 0.
    """

    def __init__(self, settings: HalfOrderSettings) -> None:
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        settings = self._settings
        return sub_chains_fit_before_tail(chain, settings.uncovered_tail, settings.sub_chain_length, settings.num_sub_chains)

    def estimate(self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator) -> Estimate:
        settings = self._settings
        prompts = trajectory.condition.prompts
        rewards = measure(reward, trajectory.images, prompts)
        advantage = leave_one_out(rewards, prompts) if settings.baseline == "leave_one_out" else rewards
        stop = chain.num_steps - settings.uncovered_tail
        draw = draw_sub_chains(stop, settings.sub_chain_length, settings.num_sub_chains, generator)
        gradient = half_order_gradient(chain, trajectory, draw, [advantage] * len(draw.sub_chains), settings.micro_batch_size)
        return Estimate({"half_order": gradient}, rewards, frozenset(range(stop)))
