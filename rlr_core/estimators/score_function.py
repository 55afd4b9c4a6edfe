"""The classical likelihood ratio at every step: REINFORCE for diffusion models, DDPO's score-function estimator (DDPO-SF)."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.estimators import fields
from rlr_core.estimators.advantage import ADVANTAGES
from rlr_core.estimators.estimate import NOTHING, Estimate, Memory
from rlr_core.estimators.likelihood_ratio import half_order_gradient
from rlr_core.estimators.requirements import sub_chains_fit_before_tail
from rlr_core.estimators.sub_chain import all_of, tile
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class ScoreFunctionSettings:
    """What rewards are compared with, and how many last steps are left out."""

    advantage: str = fields.advantage()
    uncovered_tail: int = fields.uncovered_tail(default=0)
    micro_batch_size: int = fields.micro_batch_size()


class ScoreFunction:
    """Half order with sub-chains of one step, all of them (Black et al. 2023, arXiv 2305.13301, Eq. 4).

        g = sum over steps k of   A * grad log p(y_{k+1} | y_k),   grad log p = (D_theta m_k)^T noise_k / s_k

    The log-density is summed over a state's elements; ddpo-pytorch and TRL take its mean, which only rescales g.
    Unbiased: yes with the advantages none and leave_one_out and uncovered_tail = 0, because such a baseline is independent of a chain's
    own noises; otherwise no.
    """

    def __init__(self, settings: ScoreFunctionSettings) -> None:
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        return sub_chains_fit_before_tail(chain, self._settings.uncovered_tail, 1, 1)

    def estimate(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator, memory: Memory = NOTHING
    ) -> Estimate:
        settings = self._settings
        prompts = trajectory.condition.prompts
        rewards = measure(reward, trajectory.images, prompts)
        advantage = ADVANTAGES[settings.advantage](rewards, prompts)
        steps = all_of(tile(chain.num_steps - settings.uncovered_tail, 1))
        gradient = half_order_gradient(chain, trajectory, steps, [advantage] * len(steps.sub_chains), settings.micro_batch_size)
        return Estimate({"half_order": gradient}, rewards, steps.steps)
