"""The first-order (FO) term: the reward propagated back through the last K steps.

    g_FO = d/dtheta R(decode(y_T)),   y_T replayed from the stored y_{T-K} with the stored noises

It is the exact derivative of the sampled reward for the steps [T-K, T), so it covers them without bias; its memory grows with K.
"""

from torch import Tensor

from rlr_core.chain import DenoisingChain, Reward
from rlr_core.estimators.accumulate import mean_gradient
from rlr_core.estimators.estimate import Gradient
from rlr_core.estimators.replay import replay_state
from rlr_core.rewarding import evaluate
from rlr_core.sampling import Trajectory


def first_order_gradient(chain: DenoisingChain, trajectory: Trajectory, reward: Reward, num_steps: int, micro_batch_size: int) -> Gradient:
    """g_FO of the last `num_steps` steps, the mean over the batch."""
    first = chain.num_steps - num_steps

    def objective(rows: list[int]) -> Tensor:
        part = trajectory.select(rows)
        images = chain.decode(replay_state(chain, part, first, chain.num_steps))
        return evaluate(reward, images, part.condition.prompts)

    return mean_gradient(chain.parameters(), objective, len(trajectory), micro_batch_size)
