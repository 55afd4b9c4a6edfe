"""First order (FO): backpropagation through the last steps, and nothing else."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.estimators import fields
from rlr_core.estimators.backpropagation import first_order_gradient
from rlr_core.estimators.estimate import NOTHING, Estimate, Memory
from rlr_core.estimators.requirements import differentiable_reward, first_order_fits
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class FirstOrderSettings:
    """How far the reward is propagated back."""

    first_order_steps: int = fields.first_order_steps()
    micro_batch_size: int = fields.micro_batch_size()


class FirstOrder:
    """The FO term of the paper's Eq. 6 alone, over the last K steps (DRaFT-K).

        g = d/dtheta R(decode(y_T)),   y_T replayed from the stored y_{T-K}

    Unbiased: for steps T-K .. T-1 yes, because it is the exact derivative of a sampled reward; for the whole chain no, because the
    earlier steps are left out (truncated backpropagation), unless K = T.
    """

    def __init__(self, settings: FirstOrderSettings) -> None:
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        fits = first_order_fits(chain, self._settings.first_order_steps, most=chain.num_steps)
        return differentiable_reward("first_order", reward_is_differentiable) | fits

    def estimate(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator, memory: Memory = NOTHING
    ) -> Estimate:
        num_steps = self._settings.first_order_steps
        rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
        gradient = first_order_gradient(chain, trajectory, reward, num_steps, self._settings.micro_batch_size)
        return Estimate({"first_order": gradient}, rewards, frozenset(range(chain.num_steps - num_steps, chain.num_steps)))
