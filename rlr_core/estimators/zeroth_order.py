"""Zeroth order (ZO): the reward as a function of the parameters, seen from outside."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.config import setting, validate
from rlr_core.estimators.estimate import NOTHING, Estimate, Memory
from rlr_core.estimators.zeroth_term import PerturbationSettings, ZerothTerm
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class ZerothOrderSettings(PerturbationSettings):
    """Perturbations, and whether the steps share them."""

    is_shared: bool = setting(True, "One direction for the whole chain (MeZO) instead of one for each step.")


class ZerothOrder:
    """The ZO term of the paper's Eq. 6 alone, over the whole chain; with a shared direction it is MeZO (arXiv 2305.17333).

    Unbiased: for the smoothed objective yes (with the rules gaussian, hizoo, lezo, zo_finetuner), because the Gaussian's score is known;
    for the objective itself no, its bias is O(mu^2).
    """

    def __init__(self, settings: ZerothOrderSettings) -> None:
        validate(settings)
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        return {}

    def estimate(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator, memory: Memory = NOTHING
    ) -> Estimate:
        rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
        steps = range(chain.num_steps)
        term = ZerothTerm(self._settings)
        gradient, memory = term.gradient(chain, trajectory, reward, rewards, steps, generator, memory, self._settings.is_shared)
        return Estimate({"zeroth_order": gradient}, rewards, frozenset(steps), memory)
