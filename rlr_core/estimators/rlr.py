"""RLR, the paper's estimator (arXiv 2502.00639, Eq. 6): first order, half order and zeroth order in one sum, with its faults repaired."""

from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.config import setting, validate
from rlr_core.estimators import fields
from rlr_core.estimators.accumulate import weighted_sum
from rlr_core.estimators.advantage import ADVANTAGES
from rlr_core.estimators.backpropagation import first_order_gradient
from rlr_core.estimators.estimate import NOTHING, Estimate, Gradient, Memory, labelled, within
from rlr_core.estimators.likelihood_ratio import sub_chain_gradients
from rlr_core.estimators.placement import Placement
from rlr_core.estimators.requirements import differentiable_reward, first_order_fits, sub_chains_fit_before_tail
from rlr_core.estimators.sub_chain import Draw
from rlr_core.estimators.zeroth_term import PerturbationSettings, ZerothTerm
from rlr_core.rewarding import measure
from rlr_core.sampling import Trajectory

PLACE, RULE = "place", "rule"


@dataclass(frozen=True)
class RLRSettings(PerturbationSettings):
    """Which terms there are, and each one's own settings."""

    has_first_order: bool = setting(True, "First order on the last steps.")
    has_half_order: bool = setting(True, "Half order on one sub-chain.")
    has_zeroth_order: bool = setting(True, "Zeroth order on all steps that no other term covers.")
    first_order_steps: int = fields.first_order_steps(default=1)
    sub_chain_length: int = fields.sub_chain_length(default=2)
    place: str = fields.place()
    advantage: str = fields.advantage()
    uncovered_tail: int = fields.uncovered_tail(default=0)
    micro_batch_size: int = fields.micro_batch_size()

    def combination_problems(self) -> dict[str, str]:
        """At least one term, and a perturbation that can work where there is zeroth order."""
        if not (self.has_first_order or self.has_half_order or self.has_zeroth_order):
            return {"has_half_order": "has_first_order, has_half_order, has_zeroth_order = no: nothing is left to estimate with. Use one."}
        return super().combination_problems() if self.has_zeroth_order else {}


class RLR:
    """FO on the last K steps, HO on one sub-chain at a random place, ZO on all the rest.

        g = d/dtheta R(decode(y_T)) from the stored y_{T-K}
            + w * A * (D_theta m_{a -> b})^T noise_{b-1} / s_{b-1}
            + A_ZO / mu * (sum over k in no other term of xi_k)

    Repairs of the printed Eq. 6: every step is in one term only (printed, the last step counts in FO and in ZO); each step of the ZO term
    has its own direction; sums over elements, not means. The terms are read off roll-outs that share all noises: FO and HO off the
    unperturbed one, so that only ZO sees a smoothed objective.
    With ZO, the sub-chain counts once (w = 1) wherever it is drawn, since ZO covers the others. Without ZO, w = 1 / pi_{a,b}.
    Without FO the sub-chain is drawn from the steps before `uncovered_tail`, which only ZO then covers.
    Unbiased: without ZO yes, if `covered_steps` holds all steps and the advantage is none or leave_one_out; with ZO up to O(mu^2), the
    bias of the smoothed objective.
    """

    def __init__(self, settings: RLRSettings) -> None:
        validate(settings)
        self._settings = settings

    def problems(self, chain: DenoisingChain, reward_is_differentiable: bool) -> dict[str, str]:
        settings, found = self._settings, dict[str, str]()
        if settings.has_first_order:
            most = chain.num_steps - (settings.has_half_order or settings.has_zeroth_order)
            found |= differentiable_reward("rlr", reward_is_differentiable) | first_order_fits(chain, settings.first_order_steps, most)
        if settings.has_half_order and "first_order_steps" not in found:
            found |= sub_chains_fit_before_tail(chain, self._tail, settings.sub_chain_length, 1)
        return found

    @property
    def _tail(self) -> int:
        """The last steps that half order leaves alone."""
        return self._settings.first_order_steps if self._settings.has_first_order else self._settings.uncovered_tail

    def estimate(
        self, chain: DenoisingChain, trajectory: Trajectory, reward: Reward, generator: torch.Generator, memory: Memory = NOTHING
    ) -> Estimate:
        settings = self._settings
        rewards = measure(reward, trajectory.images, trajectory.condition.prompts)
        parts: dict[str, Gradient] = {}
        rest, covered = set(range(chain.num_steps)), set[int]()
        kept: dict[str, torch.Tensor] = {}
        if settings.has_first_order:
            last = range(chain.num_steps - settings.first_order_steps, chain.num_steps)
            parts["first_order"] = first_order_gradient(chain, trajectory, reward, len(last), settings.micro_batch_size)
            covered |= set(last)
            rest -= covered
        if settings.has_half_order:
            parts["half_order"], draw, learned = self._half_order(chain, trajectory, rewards, generator, memory)
            kept |= labelled(learned, PLACE)
            covered |= set(range(chain.num_steps - self._tail))
            rest -= draw.steps
        if settings.has_zeroth_order and rest:
            term, known = ZerothTerm(settings), within(memory, RULE)
            parts["zeroth_order"], learned = term.gradient(chain, trajectory, reward, rewards, sorted(rest), generator, known)
            kept |= labelled(learned, RULE)
            covered |= rest
        return Estimate(parts, rewards, frozenset(covered), kept)

    def _half_order(
        self, chain: DenoisingChain, trajectory: Trajectory, rewards: torch.Tensor, generator: torch.Generator, memory: Memory
    ) -> tuple[Gradient, Draw, Memory]:
        settings = self._settings
        advantage = ADVANTAGES[settings.advantage](rewards, trajectory.condition.prompts)
        placement = Placement(settings.place, chain.num_steps - self._tail, settings.sub_chain_length)
        known = within(memory, PLACE)
        draw = placement.draw(1, generator, known)
        gradients = sub_chain_gradients(chain, trajectory, draw, [advantage], settings.micro_batch_size)
        counted = draw.unweighted() if settings.has_zeroth_order else draw
        return weighted_sum(gradients, counted.weights), draw, placement.learn(known, draw, gradients)
