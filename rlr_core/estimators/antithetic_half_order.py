"""Antithetic half order: every trajectory is compared with the twin that differs by the sign of one noise."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.estimators import fields
from rlr_core.estimators.estimate import NOTHING, Estimate, Memory
from rlr_core.estimators.requirements import flips_fit, sub_chains_fit_before_tail
from rlr_core.estimators.twins_term import TwinsSettings, TwinsTerm
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class AntitheticHalfOrderSettings(TwinsSettings):
    """Which sub-chains and twins, and how many last steps are left out."""

    uncovered_tail: int = fields.uncovered_tail()


class AntitheticHalfOrder:
    """Half order on m of the n sub-chains [a, b) that tile the steps before the tail, each with its own twins.

        y_b^+ = m + s_{b-1} noise_{b-1}      y_b^- = m - s_{b-1} noise_{b-1}      the same later noises for both
        g = sum over drawn [a, b) of   A * (D_theta m_{a -> b})^T noise_{b-1} / s_{b-1} / pi_{a,b},   A = (R^+ - R^-) / 2

    Any reward will do, even a person's answer. All randomness but one noise cancels in A, hence the low variance.
    Unbiased: for the steps before the tail yes, because noise and -noise are equally likely, so g is the mean of the twins' likelihood
    ratios, and every sub-chain is weighted by its inverse inclusion probability; for the whole chain only with uncovered_tail = 0.
    """

    def __init__(self, settings: AntitheticHalfOrderSettings) -> None:
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        settings = self._settings
        fits = sub_chains_fit_before_tail(chain, settings.uncovered_tail, settings.sub_chain_length, settings.num_sub_chains)
        return fits | flips_fit(chain, settings.num_flips)

    def estimate(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator, memory: Memory = NOTHING
    ) -> Estimate:
        rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
        twins = TwinsTerm(self._settings, chain.num_steps - self._settings.uncovered_tail)
        half_order, memory = twins.gradient(chain, trajectory, reward, rewards, generator, memory)
        return Estimate({"half_order": half_order}, rewards, frozenset(range(twins.stop)), memory)
