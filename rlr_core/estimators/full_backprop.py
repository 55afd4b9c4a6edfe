"""Full backpropagation: the reference every other estimator is compared with."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.estimators import fields
from rlr_core.estimators.backpropagation import first_order_gradient
from rlr_core.estimators.estimate import NOTHING, Estimate, Memory
from rlr_core.estimators.requirements import differentiable_reward
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class FullBackpropSettings:
    """How many chains are differentiated together."""

    micro_batch_size: int = fields.micro_batch_size()


class FullBackprop:
    """First order through all T steps.

        g = d/dtheta R(decode(y_T)),   y_T replayed from the stored y_0

    Unbiased: yes, because theta is in the means only, so the derivative passes under the expectation over the noises. Its memory grows
    with T.
    """

    def __init__(self, settings: FullBackpropSettings) -> None:
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        return differentiable_reward("full_backprop", reward_is_differentiable)

    def estimate(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator, memory: Memory = NOTHING
    ) -> Estimate:
        rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
        gradient = first_order_gradient(chain, trajectory, reward, chain.num_steps, self._settings.micro_batch_size)
        return Estimate({"first_order": gradient}, rewards, frozenset(range(chain.num_steps)))
