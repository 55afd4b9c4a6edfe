"""Half order (HO), single-sided: likelihood ratios on random sub-chains, with a baseline."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.estimators import fields
from rlr_core.estimators.accumulate import weighted_sum
from rlr_core.estimators.advantage import ADVANTAGES
from rlr_core.estimators.estimate import NOTHING, Estimate, Memory
from rlr_core.estimators.likelihood_ratio import sub_chain_gradients
from rlr_core.estimators.placement import Placement
from rlr_core.estimators.requirements import sub_chains_fit_before_tail
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class HalfOrderSettings:
    """Which sub-chains are drawn, and what rewards are compared with."""

    sub_chain_length: int = fields.sub_chain_length()
    num_sub_chains: int = fields.num_sub_chains()
    advantage: str = fields.advantage()
    place: str = fields.place()
    uncovered_tail: int = fields.uncovered_tail()
    micro_batch_size: int = fields.micro_batch_size()


class HalfOrder:
    """The HO term of the paper's Eq. 6 alone, on m of the n sub-chains [a, b) that tile the steps before the tail.

        g = sum over drawn [a, b) of   A * (D_theta m_{a -> b})^T noise_{b-1} / s_{b-1} / pi_{a,b},   A = R - baseline

    With h = 1 and m = n this is the classical likelihood ratio (score function). Any reward will do, differentiable or not.
    Unbiased: for the steps before the tail yes with the advantages none and leave_one_out, because such a baseline is independent of a
    chain's own noises and every sub-chain is weighted by its inverse inclusion probability; for the whole chain only with
    uncovered_tail = 0. With batch_mean and group_normalised no, because they contain the chain's own reward.
    """

    def __init__(self, settings: HalfOrderSettings) -> None:
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        settings = self._settings
        return sub_chains_fit_before_tail(chain, settings.uncovered_tail, settings.sub_chain_length, settings.num_sub_chains)

    def estimate(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator, memory: Memory = NOTHING
    ) -> Estimate:
        settings = self._settings
        prompts = trajectory.condition.prompts
        rewards = measure(reward, trajectory.images, prompts)
        advantage = ADVANTAGES[settings.advantage](rewards, prompts)
        stop = chain.num_steps - settings.uncovered_tail
        placement = Placement(settings.place, stop, settings.sub_chain_length)
        draw = placement.draw(settings.num_sub_chains, generator, memory)
        gradients = sub_chain_gradients(chain, trajectory, draw, [advantage] * len(draw.sub_chains), settings.micro_batch_size)
        half_order = weighted_sum(gradients, draw.weights)
        return Estimate({"half_order": half_order}, rewards, frozenset(range(stop)), placement.learn(memory, draw, gradients))
