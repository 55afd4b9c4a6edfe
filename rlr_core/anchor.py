"""The anchor: a price on the divergence from the base model, steered so that a round spends its budget evenly and no more.

The divergence of a trajectory from the base model is the sum over steps of KL_k = ||m_theta - m_base||^2 / (2 s_k^2), in nats. The last
noisy step has by far the smallest s_k and the largest share, so it is always measured; of the steps before it, one in the last quarter and
one of the rest are drawn. The round climbs

    E[R] / sd(R) - price * KL

and after every update the price is multiplied by exp(0.5 (KL / allowance - 1)), kept within [exp(-0.3), exp(0.5)], where the allowance
grows linearly from the round's first update to its last. Without a price an optimizer only reaches the end of its reward sooner:
pictures become plain squares within minutes.
"""

import math
from dataclasses import dataclass

import torch

from rlr_core.chain import DenoisingChain
from rlr_core.divergence import step_divergence
from rlr_core.errors import RLRError
from rlr_core.estimators.estimate import Gradient
from rlr_core.sampling import Trajectory

NO_NOISE = (
    "eta = 0: no step adds noise, so any change of the model is infinitely far from the base model, and no budget can be kept. "
    "Use eta > 0 (DDPM is 1.0)."
)
LATE_SHARE = 0.25
SMOOTHING = 0.5


@dataclass(frozen=True)
class Anchor:
    """The anchor's state between two updates.

    Attributes:
        kl_at_start: divergence from the base model where the round began, in nats a trajectory.
        kl_budget: how much the round may add to it, in nats.
        num_updates: updates the allowance is spread over.
        price: standard deviations of reward a nat costs.
        kl: smoothed divergence now.
    """

    kl_at_start: float
    kl_budget: float
    num_updates: int
    price: float
    kl: float

    @classmethod
    def at_start(cls, kl_at_start: float, kl_budget: float, num_updates: int) -> "Anchor":
        """One standard deviation of reward is worth the whole budget, until the first measurement says otherwise."""
        return cls(kl_at_start, kl_budget, num_updates, price=1.0 / max(kl_budget, 1e-6), kl=kl_at_start)

    @property
    def is_spent(self) -> bool:
        """Whether the round has used up its budget."""
        return self.kl >= self.kl_at_start + self.kl_budget

    def after(self, update: int, measured_kl: float) -> "Anchor":
        """The state after update number `update` (from 0) measured `measured_kl` nats."""
        kl = SMOOTHING * self.kl + (1 - SMOOTHING) * measured_kl
        allowance = self.kl_at_start + 0.9 * self.kl_budget * (update + 1) / self.num_updates
        pressure = 0.5 * (kl / max(allowance, 1e-6) - 1)
        price = self.price * math.exp(min(0.5, max(-0.3, pressure)))
        return Anchor(self.kl_at_start, self.kl_budget, self.num_updates, price, kl)


def divergence_gradient(chain: DenoisingChain, trajectory: Trajectory, generator: torch.Generator) -> tuple[float, Gradient]:
    """The divergence from the base model at the trajectory's states, in nats a trajectory, and its gradient, from one step a stratum.

    Unbiased for the sum over the steps with s_k > 0 at these states: each stratum's step is drawn uniformly and weighted by its length.
    """
    parameters = chain.parameters()
    total, gradient = 0.0, [torch.zeros_like(parameter) for parameter in parameters]
    for stratum in strata(noisy_steps(chain)):
        step = stratum[int(torch.randint(len(stratum), (), generator=generator))]
        weighted = len(stratum) * step_divergence(chain, trajectory, step).mean()
        for summed, part in zip(gradient, torch.autograd.grad(weighted, parameters), strict=True):
            summed += part
        total += weighted.item()
    return total, tuple(gradient)


def noisy_steps(chain: DenoisingChain) -> list[int]:
    """The steps with s_k > 0: only there is a divergence defined. RLRError if there is none."""
    steps = [step for step in range(chain.num_steps) if chain.std(step) > 0]
    if not steps:
        raise RLRError(NO_NOISE)
    return steps


def strata(steps: list[int]) -> list[list[int]]:
    """The last step, the last quarter before it, and the rest; empty ones are left out."""
    earlier = steps[:-1]
    early = len(earlier) - round(LATE_SHARE * len(earlier))
    return [part for part in (earlier[:early], earlier[early:], steps[-1:]) if part]


@torch.no_grad()
def trajectory_divergence(chain: DenoisingChain, trajectory: Trajectory) -> torch.Tensor:
    """Each trajectory's divergence from the base model over all its steps with s_k > 0, in nats, shape (B,)."""
    return torch.stack([step_divergence(chain, trajectory, step) for step in noisy_steps(chain)]).sum(0)
