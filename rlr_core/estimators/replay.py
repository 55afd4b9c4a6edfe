"""Replay a part of a stored trajectory with its stored noises, so that it can be differentiated.

The part starts from a stored state, which carries no gradient: earlier steps are not reached.
"""

from torch import Tensor

from rlr_core.chain import DenoisingChain
from rlr_core.sampling import Trajectory, walk


def replay_state(chain: DenoisingChain, trajectory: Trajectory, first: int, stop: int) -> Tensor:
    """y_stop, shape (B, *event), reached from the stored y_first; differentiable through the steps first .. stop-1."""
    y = trajectory.states[first]
    return [y, *walk(chain, y, range(first, stop), trajectory.noises, trajectory.condition)][-1]


def replay_mean(chain: DenoisingChain, trajectory: Trajectory, first: int, stop: int) -> Tensor:
    """m_{first -> stop}, shape (B, *event): the mean of step stop-1, reached like y_stop; the noise of step stop-1 plays no part."""
    y = replay_state(chain, trajectory, first, stop - 1)
    return chain.transition(y, stop - 1, trajectory.condition).mean
