"""The half-order (HO) term: a likelihood ratio at the end of a sub-chain, propagated back through the sub-chain.

    g_HO = sum over drawn [a, b) of   weight_{a,b} * A * (D_theta m_{a -> b})^T noise_{b-1} / s_{b-1}

A * noise / s is the likelihood-ratio estimate of dJ / d m_{a -> b}: it needs the reward's values only. The inner product with the mean is a
SUM over the elements of a state. A is one number a chain, or one an element where elements are compared with twins of their own.
"""

from collections.abc import Sequence

from torch import Tensor

from rlr_core.chain import DenoisingChain
from rlr_core.estimators.accumulate import mean_gradient, weighted_sum
from rlr_core.estimators.estimate import Gradient
from rlr_core.estimators.replay import replay_mean
from rlr_core.estimators.sub_chain import Draw, SubChain
from rlr_core.sampling import Trajectory


def half_order_gradient(
    chain: DenoisingChain, trajectory: Trajectory, draw: Draw, advantages: Sequence[Tensor], micro_batch_size: int
) -> Gradient:
    """g_HO, the mean over the batch; `advantages` holds each drawn sub-chain's A, shape (B,) or (B, *event), without gradients."""
    return weighted_sum(sub_chain_gradients(chain, trajectory, draw, advantages, micro_batch_size), draw.weights)


def sub_chain_gradients(
    chain: DenoisingChain, trajectory: Trajectory, draw: Draw, advantages: Sequence[Tensor], micro_batch_size: int
) -> list[Gradient]:
    """Each drawn sub-chain's term of g_HO without its weight."""
    return [
        _sub_chain_gradient(chain, trajectory, sub_chain, advantage, micro_batch_size)
        for sub_chain, advantage in zip(draw.sub_chains, advantages, strict=True)
    ]


def _sub_chain_gradient(
    chain: DenoisingChain, trajectory: Trajectory, sub_chain: SubChain, advantage: Tensor, micro_batch_size: int
) -> Gradient:
    std = chain.std(sub_chain.interface)

    def objective(rows: list[int]) -> Tensor:
        part = trajectory.select(rows)
        mean = replay_mean(chain, part, sub_chain.first, sub_chain.stop)
        weighted = (mean * part.noises[sub_chain.interface]).flatten(1) * advantage[rows].view(len(rows), -1)
        return weighted.sum(1) / std

    return mean_gradient(chain.parameters(), objective, len(trajectory), micro_batch_size)
