"""The scalar chain of the oracles and each estimator's term on it, written out in plain numbers."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rlr_core.estimators.estimate import Estimate
from rlr_core.linear_gaussian import LinearGaussianChain
from rlr_core.sampling import Trajectory
from tests.estimators.cases import make
from tests.estimators.oracles import DRIFT, LINEAR, OFFSET, QUADRATIC, STD, WEIGHT, batch, pairs_of_prompts, scalar_chain, scalar_reward

T = len(STD)
EXACT = {"rtol": 1e-12, "atol": 1e-12}
UNMOVED: Mapping[int, tuple[float, float]] = {}


def reward_of(y: float) -> float:
    return LINEAR * y + QUADRATIC * y * y / 2


def mean_of_step(k: int, y: float, moved: tuple[float, float] = (0.0, 0.0)) -> float:
    """m_k with theta + moved."""
    return (DRIFT[k] + WEIGHT + moved[0]) * y + OFFSET + moved[1]


def steps_from(y: float, first: int, noises: Sequence[float], moved: Mapping[int, tuple[float, float]] = UNMOVED) -> list[float]:
    """y_first .. y_T; `moved` by step is added to theta there."""
    states = [y]
    for k in range(first, T):
        states.append(mean_of_step(k, states[-1], moved.get(k, (0.0, 0.0))) + STD[k] * noises[k])
    return states


def sensitivity(states: Sequence[float], first: int, stop: int) -> tuple[float, float]:
    """d y_stop / d (theta_0, theta_1) through the steps first .. stop-1: u_{k+1} = (a_k + theta_0) u_k + (y_k, 1)."""
    u = (0.0, 0.0)
    for k in range(first, stop):
        slope = DRIFT[k] + WEIGHT
        u = (slope * u[0] + states[k], slope * u[1] + 1.0)
    return u


def first_order_by_hand(states: Sequence[float], num_steps: int) -> list[float]:
    slope = LINEAR + QUADRATIC * states[T]
    return [slope * u for u in sensitivity(states, T - num_steps, T)]


def half_order_by_hand(states: Sequence[float], noises: Sequence[float], first: int, stop: int, advantage: float) -> list[float]:
    factor = advantage * noises[stop - 1] / STD[stop - 1]
    return [factor * u for u in sensitivity(states, first, stop)]


def antithetic_by_hand(states: Sequence[float], noises: Sequence[float], first: int, stop: int) -> list[float]:
    twin = steps_from(mean_of_step(stop - 1, states[stop - 1]) - STD[stop - 1] * noises[stop - 1], stop, noises)[-1]
    return half_order_by_hand(states, noises, first, stop, (reward_of(states[T]) - reward_of(twin)) / 2)


def advantages_by_hand(advantage: str, rewards: Sequence[float]) -> list[float]:
    """Of four rewards, two of each prompt."""
    partner = [rewards[1], rewards[0], rewards[3], rewards[2]]
    if advantage == "none":
        return list(rewards)
    if advantage == "leave_one_out":
        return [own - other for own, other in zip(rewards, partner, strict=True)]
    if advantage == "batch_mean":
        return [own - sum(rewards) / 4 for own in rewards]
    # Of two numbers a and b the mean is (a + b) / 2 and the standard deviation |a - b| / 2.
    return [(own - (own + other) / 2) / (abs(own - other) / 2 + 1e-8) for own, other in zip(rewards, partner, strict=True)]


def mean_over(rows: Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).mean(0)


def four_chains() -> tuple[LinearGaussianChain, Trajectory, list[list[float]], list[list[float]]]:
    """A chain, a batch of four, and the batch's states and noises in plain numbers, a row a trajectory."""
    chain = scalar_chain()
    trajectory = batch(chain, pairs_of_prompts(4), torch.Generator().manual_seed(3))
    noises = trajectory.noises.flatten(1).T.tolist()
    starts = trajectory.states[0].flatten().tolist()
    return chain, trajectory, [steps_from(y, 0, row) for y, row in zip(starts, noises, strict=True)], noises


def estimate(name: str, settings: dict, chain: LinearGaussianChain, trajectory: Trajectory, seed: int = 0) -> Estimate:
    """The estimator's first estimate, its own choices made from `seed`."""
    return make(name, settings).estimate(chain, trajectory, scalar_reward(), torch.Generator().manual_seed(seed))
