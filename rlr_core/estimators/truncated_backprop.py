"""Truncated backpropagation with a fixed or a random cut, as AlignProp and DRaFT-K do it."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.config import setting
from rlr_core.estimators import fields
from rlr_core.estimators.backpropagation import first_order_gradient
from rlr_core.estimators.estimate import NOTHING, Estimate, Memory
from rlr_core.estimators.requirements import differentiable_reward, first_order_fits
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class TruncatedBackpropSettings:
    """How many last steps the reward is propagated back through."""

    cut: str = setting(
        "uniform",
        "How many steps: always K (DRaFT-K, AlignProp fixed), 1 to K at random, or about K (normal).",
        choices=("fixed", "uniform", "gaussian"),
    )
    first_order_steps: int = fields.first_order_steps(default=10)
    cut_spread: float = setting(2.0, "Standard deviation of a gaussian cut about K.", minimum=0.0, maximum=1000.0, unit="steps")
    micro_batch_size: int = fields.micro_batch_size()


class TruncatedBackprop:
    """First order through the last C steps, C drawn anew for every batch.

        g = d/dtheta R(decode(y_T)),   y_T replayed from the stored y_{T-C}
        C = K (fixed: DRaFT-K, arXiv 2309.17400; AlignProp, arXiv 2310.03739);   C ~ U{1, .., K} (uniform);
        C = round(N(K, spread^2)) within 1 .. T (gaussian)

    Step T-j gets its share of the gradient whenever C >= j, and no weight makes up for the other times.
    Unbiased: no, because early steps are left out (always or mostly); only with a fixed cut K = T, which is full backpropagation.
    """

    def __init__(self, settings: TruncatedBackpropSettings) -> None:
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        fits = first_order_fits(chain, self._settings.first_order_steps, most=chain.num_steps)
        return differentiable_reward("truncated_backprop", reward_is_differentiable) | fits

    def estimate(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator, memory: Memory = NOTHING
    ) -> Estimate:
        num_steps, always = self._cut(chain.num_steps, generator)
        rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
        gradient = first_order_gradient(chain, trajectory, reward, num_steps, self._settings.micro_batch_size)
        return Estimate({"first_order": gradient}, rewards, frozenset(range(chain.num_steps - always, chain.num_steps)))

    def _cut(self, num_steps: int, generator: torch.Generator) -> tuple[int, int]:
        """C, and the number of last steps that every C covers."""
        longest = self._settings.first_order_steps
        if self._settings.cut == "fixed":
            return longest, longest
        if self._settings.cut == "uniform":
            return int(torch.randint(1, longest + 1, (), generator=generator)), 1
        drawn = longest + self._settings.cut_spread * float(torch.randn((), generator=generator, dtype=torch.float64))
        return min(max(round(drawn), 1), num_steps), 1
