"""A person's stored answers, alone or beside an estimate from the reward."""

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.estimators.answer_term import AnswerTerm
from rlr_core.estimators.estimate import NOTHING, Estimate, Estimator, Gradient, Memory
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory


class WithAnswers:
    """An answer term as a part of an estimate, added to another estimator's parts or by itself.

        g = g_reward + g_answers,   g_answers from the answers minus what the reward's own taste foretells of them
        g = g_answers               without another estimator; the rewards are then only measured

    With a reward that foretells every answer g_answers is zero on average; where it is wrong or blind, the answers speak for themselves.
    Unbiased: as far as both parts are; see `AnswerTerm` and the other estimator. Only the other estimator's steps are called covered.
    """

    def __init__(self, term: AnswerTerm, other: Estimator | None) -> None:
        self._term = term
        self._other = other

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        return self._other.problems(chain, reward_is_differentiable) if self._other else {}

    def estimate(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator, memory: Memory = NOTHING
    ) -> Estimate:
        answers = self._term.estimate(chain, generator)
        parts: dict[str, Gradient] = {"answers": answers.gradient}
        figures = {"effective_share": answers.effective_share}
        if self._other is None:
            return Estimate(parts, measure(reward, trajectory.images, trajectory.condition.prompts), frozenset(), figures=figures)
        found = self._other.estimate(chain, trajectory, reward, generator, memory)
        return Estimate({**found.parts, **parts}, found.rewards, found.covered_steps, found.memory, {**found.figures, **figures})
