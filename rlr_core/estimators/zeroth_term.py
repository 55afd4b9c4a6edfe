"""The zeroth-order (ZO) term: roll out again with perturbed parameters and read a gradient off what the reward changes by.

    g_ZO = mean over directions of   slope * (sum over steps k of ascent_k),   slope = A / mu
    two_sided:    A = (R(theta + mu xi) - R(theta - mu xi)) / 2
    unperturbed:  A = R(theta + mu xi) - R(theta)          with the same noises
    none:         A = R(theta + mu xi)                     the paper's Eq. 6 as printed

Each step k has a xi_k of its own, or all steps share one (MeZO). Any reward will do.
Unbiased: for the objective smoothed over N(0, mu^2) perturbations of these steps yes, because E[xi_k (f(theta + mu xi) - any baseline
without xi)] / mu is its derivative; for the objective itself only up to O(mu^2).
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.config import from_mapping, setting
from rlr_core.errors import InvalidSettings
from rlr_core.estimators.estimate import Gradient, Memory
from rlr_core.estimators.parameters import moved
from rlr_core.estimators.perturbations.registry import PERTURBATIONS
from rlr_core.estimators.perturbations.rule import Direction, PerturbationRule, Probe
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory, walk

COMPARISONS = ("two_sided", "unperturbed", "none")


@dataclass(frozen=True)
class PerturbationSettings:
    """How parameters are perturbed, and what a perturbed reward is compared with."""

    perturbation_std: float = setting(
        0.01, "How far the parameters are moved: the bias grows with its square, the noise as it shrinks.",
        minimum=1e-9, maximum=1e3, symbol="μ",
    )  # fmt: skip
    num_perturbations: int = setting(1, "Parts the batch is split into, each with directions of its own.", minimum=1, maximum=1024)
    comparison: str = setting(
        "two_sided", "What the reward of a perturbed roll-out is compared with: the opposite one, the unperturbed one, or nothing.",
        choices=COMPARISONS,
    )  # fmt: skip
    rule: str = setting("gaussian", "How directions are chosen.", choices=tuple(PERTURBATIONS))
    rule_settings: Mapping[str, Any] = field(default_factory=dict)

    def combination_problems(self) -> dict[str, str]:
        """The rule's own settings, and what it needs of the comparison."""
        found: dict[str, str] = {}
        if isinstance(self.rule_settings, Mapping):
            try:
                make_rule(self)
            except InvalidSettings as error:
                found |= error.problems
        else:
            found["rule_settings"] = (
                f"rule_settings = {self.rule_settings!r}: the rule's own settings are values by name. "
                'Write them like {"name": value}, or leave them out.'
            )
        if make_rule(PerturbationSettings(rule=self.rule)).needs_curvature and self.comparison != "two_sided":
            found["comparison"] = (
                f"comparison = {self.comparison}: the rule {self.rule} learns the curvature from both sides of the parameters. "
                "Use two_sided, or another rule."
            )
        return found


def make_rule(settings: PerturbationSettings) -> PerturbationRule:
    """The rule that the settings ask for; InvalidSettings if its own settings cannot work."""
    plugin = PERTURBATIONS[settings.rule]
    return plugin.factory(from_mapping(plugin.settings, settings.rule_settings))


class ZerothTerm:
    """Zeroth order on any set of steps."""

    def __init__(self, settings: PerturbationSettings) -> None:
        self._settings = settings
        self._rule = make_rule(settings)

    def gradient(  # noqa: PLR0913 - an estimator's own arguments, the rewards that it has already, and the steps
        self,
        chain: DenoisingChain,
        trajectory: Trajectory,
        reward: Reward,
        rewards: Tensor,
        steps: Sequence[int],
        generator: torch.Generator,
        memory: Memory,
        is_shared: bool = False,
    ) -> tuple[Gradient, Memory]:
        """The term, the mean over the batch; and the rule's memory.

        Args:
            rewards: the unperturbed trajectory's, shape (B,).
            steps: the steps to cover, in order.
            is_shared: all steps share one direction.
        """
        probes = []
        for rows in torch.arange(len(trajectory)).chunk(self._settings.num_perturbations):
            seed = int(torch.randint(2**62, (), generator=generator))
            drawing = torch.Generator().manual_seed(seed)
            count = 1 if is_shared else len(steps)
            directions = tuple(self._rule.direction(chain.parameters(), drawing, memory) for _ in range(count))
            by_step = dict(zip(steps, directions * len(steps) if is_shared else directions, strict=False))
            part = trajectory.select(rows.tolist())
            slope, curvature = self._slope(chain, part, reward, rewards[rows.to(rewards.device)], by_step)
            share = len(rows) / len(trajectory)
            probes.append(Probe(directions, seed, share, slope, curvature, float(rewards[rows.to(rewards.device)].mean())))
        return self._rule.combine(chain.parameters(), probes, memory)

    def _slope(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, rewards: Tensor, by_step: Mapping[int, Direction]
    ) -> tuple[float, float | None]:
        """The reward's mean slope along the directions, and its curvature where both sides are looked at."""
        mu, comparison = self._settings.perturbation_std, self._settings.comparison
        forward = perturbed_rewards(chain, trajectory, reward, by_step, mu).double()
        if comparison == "two_sided":
            backward = perturbed_rewards(chain, trajectory, reward, by_step, -mu).double()
            curvature = float((forward + backward - 2 * rewards.double()).mean()) / mu**2
            return float((forward - backward).mean()) / (2 * mu), curvature
        baseline = rewards.double() if comparison == "unperturbed" else 0.0
        return float((forward - baseline).mean()) / mu, None


@torch.no_grad()
def perturbed_rewards(
    chain: DenoisingChain, trajectory: Trajectory, reward: Reward, by_step: Mapping[int, Direction], factor: float
) -> Tensor:
    """R, shape (B,), of the trajectory rolled out again with theta + factor * offset_k at each step k of `by_step`, the noises kept."""
    first = min(by_step)
    y = trajectory.states[first]
    for step in range(first, chain.num_steps):
        is_moved = step in by_step
        with moved(chain.parameters(), by_step[step].offset, factor) if is_moved else nullcontext():
            (y,) = walk(chain, y, range(step, step + 1), trajectory.noises, trajectory.condition)
    return measure(reward, chain.decode(y), trajectory.condition.prompts)
