"""How long a half-order sub-chain may be in a given memory: the paper's Eq. 8, with measured bytes.

    h* = floor( (B - B_z (T - 1)) / (B_h - B_z) )

B is the budget; B_h what one more step of a differentiated sub-chain takes; B_z what a step takes that is only kept (its state and its
noise). The paper quotes 8 GB and 0.24 GB a step for Stable Diffusion; here B_h is the slope between a dry sub-chain of two steps and one of
three, and what a sub-chain takes beyond its steps is taken off B first.
"""

from dataclasses import dataclass
from math import floor

import torch

from rlr_core.chain import DenoisingChain
from rlr_core.errors import RLRError
from rlr_core.estimators.likelihood_ratio import half_order_gradient
from rlr_core.estimators.sub_chain import SubChain, all_of
from rlr_core.peak_memory import peak_bytes
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class StepBytes:
    """Measured bytes for a batch.

    Attributes:
        differentiated: B_h, one step of a sub-chain.
        kept: B_z, one stored step.
        fixed: what a sub-chain of any length takes besides.
    """

    differentiated: int
    kept: int
    fixed: int

    def longest_sub_chain(self, budget: float, num_steps: int) -> int:
        """h*, in steps; below 1 where not even one fits.

        Args:
            budget: B, in bytes.
            num_steps: T.
        """
        room = budget - self.fixed - self.kept * (num_steps - 1)
        return floor(room / max(self.differentiated - self.kept, 1))

    def needed(self, length: int, num_steps: int) -> int:
        """The bytes that a sub-chain of `length` steps takes."""
        return self.fixed + length * self.differentiated + (num_steps - length) * self.kept


def half_order_bytes(chain: DenoisingChain, trajectory: Trajectory, length: int) -> int:
    """Peak bytes of one half-order gradient over the first `length` steps, the batch at once."""
    draw = all_of([SubChain(0, length)])
    advantage = torch.ones(len(trajectory), dtype=chain.dtype, device=chain.device)
    return peak_bytes(lambda: half_order_gradient(chain, trajectory, draw, [advantage], len(trajectory)), chain.device)


def measure_step_bytes(chain: DenoisingChain, trajectory: Trajectory) -> StepBytes:
    """Measure B_h and B_z by dry sub-chains on a real trajectory; the chain needs three steps."""
    two, three = (half_order_bytes(chain, trajectory, length) for length in (2, 3))
    state = trajectory.states[0]
    differentiated = three - two
    return StepBytes(differentiated, 2 * state.numel() * state.element_size(), two - 2 * differentiated)


def fitting_length(step_bytes: StepBytes, budget_gigabytes: float, num_steps: int, longest: int) -> int:
    """The longest sub-chain, 1 to `longest`, within the budget; RLRError if not even one step fits."""
    length = step_bytes.longest_sub_chain(budget_gigabytes * 1e9, num_steps)
    if length < 1:
        raise RLRError(
            f"memory_budget = {budget_gigabytes:g} GB: a sub-chain of one step takes {step_bytes.needed(1, num_steps) / 1e9:.2g} GB here. "
            "Use a larger budget, a smaller micro_batch_size, or gradient_checkpointing."
        )
    return min(length, longest)
