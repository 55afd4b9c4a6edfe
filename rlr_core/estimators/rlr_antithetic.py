"""RLR with antithetic half order, the default: the last steps by backpropagation, the earlier ones by twins."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.config import setting
from rlr_core.estimators.backpropagation import first_order_gradient
from rlr_core.estimators.estimate import NOTHING, Estimate, Memory
from rlr_core.estimators.requirements import differentiable_reward, first_order_fits, flips_fit, sub_chains_fit
from rlr_core.estimators.twins_term import TwinsSettings, TwinsTerm
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory

# Variance times seconds on the embedded model falls with K all the way to T, and memory grows: docs/claims.md has both.
OWN_SHARE = 0.6


@dataclass(frozen=True)
class RLRAntitheticSettings(TwinsSettings):
    """Where first order ends and half order begins, and which sub-chains and twins."""

    first_order_steps: int = setting(
        0,
        "Last steps the reward is propagated back through: more give less noise and take more memory; 0 takes 60 % of all steps.",
        minimum=0, maximum=1000, symbol="K",
    )  # fmt: skip


class RLRAntithetic:
    """First order on the last K steps plus antithetic half order on m of the n sub-chains that tile steps 0 .. T-K-1.

        g = d/dtheta R(decode(y_T)) from the stored y_{T-K}
            + sum over drawn [a, b) of   A * (D_theta m_{a -> b})^T noise_{b-1} / s_{b-1} / pi_{a,b},   A = (R^+ - R^-) / 2

    It replaces the HO and ZO terms of the paper's Eq. 6: weighted by its inverse inclusion probability, the half-order term covers all
    earlier steps, so no zeroth order is needed.
    Unbiased: yes, because both terms are, and together they cover every step exactly once in expectation.
    """

    def __init__(self, settings: RLRAntitheticSettings) -> None:
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        settings, first_order_steps = self._settings, self._first_order_steps(chain)
        fits = first_order_fits(chain, first_order_steps, most=chain.num_steps - 1) or sub_chains_fit(
            chain, chain.num_steps - first_order_steps, settings.sub_chain_length, settings.num_sub_chains
        )
        return differentiable_reward("rlr_antithetic", reward_is_differentiable) | fits | flips_fit(chain, settings.num_flips)

    def estimate(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator, memory: Memory = NOTHING
    ) -> Estimate:
        rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
        first_order_steps = self._first_order_steps(chain)
        first_order = first_order_gradient(chain, trajectory, reward, first_order_steps, self._settings.micro_batch_size)
        twins = TwinsTerm(self._settings, chain.num_steps - first_order_steps)
        half_order, memory = twins.gradient(chain, trajectory, reward, rewards, generator, memory)
        return Estimate({"first_order": first_order, "half_order": half_order}, rewards, frozenset(range(chain.num_steps)), memory)

    def _first_order_steps(self, chain: DenoisingChain) -> int:
        """K; of itself it leaves room for one sub-chain at least."""
        own = min(round(OWN_SHARE * chain.num_steps), chain.num_steps - (self._settings.sub_chain_length or 1))
        return self._settings.first_order_steps or max(own, 1)
