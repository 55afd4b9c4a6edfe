"""Oracles for gradient estimators: chains with an exact gradient, fast batches, and the z-test of a mean."""

from collections.abc import Callable

import torch
from torch import Tensor

from rlr_core.chain import Condition, DenoisingChain
from rlr_core.estimators.estimate import Gradient
from rlr_core.linear_gaussian import LinearGaussianChain, QuadraticReward
from rlr_core.sampling import Trajectory, roll_out

DRIFT = (0.9, 0.7, 1.0, 0.8, 0.95, 0.85)
STD = (0.8, 0.7, 0.6, 0.5, 0.6, 0.4)
WEIGHT, OFFSET = 0.1, -0.2
LINEAR, QUADRATIC = 1.3, -0.7


def float64(*values) -> Tensor:
    return torch.tensor(*values, dtype=torch.float64)


def scalar_chain() -> LinearGaussianChain:
    """y_{k+1} = (a_k + theta_0) y_k + theta_1 + s_k noise_k, six steps."""
    return LinearGaussianChain(float64(DRIFT).view(-1, 1, 1), STD, float64([[WEIGHT]]), float64([OFFSET]))


def scalar_reward(is_differentiable: bool = True) -> QuadraticReward:
    return QuadraticReward(float64([LINEAR]), float64([[QUADRATIC]]), is_differentiable)


def vector_chain() -> LinearGaussianChain:
    """Three channels, matrix parameter, five steps."""
    drifts = 0.3 * torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5 * torch.eye(3)
    weight = 0.1 * torch.randn(3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return LinearGaussianChain(drifts, (0.7, 0.6, 0.6, 0.5, 0.5), weight, float64([0.2, -0.1, 0.3]))


def vector_reward() -> QuadraticReward:
    return QuadraticReward(float64([1.0, -0.5, 0.8]), float64([[-0.6, 0.2, 0.0], [0.2, 0.4, 0.1], [0.0, 0.1, -0.3]]))


def pairs_of_prompts(batch_size: int) -> Condition:
    """Every prompt twice."""
    return Condition(tuple(f"prompt {row // 2}" for row in range(batch_size)))


def trajectory_from(chain: DenoisingChain, y_0: Tensor, noises: Tensor, condition: Condition) -> Trajectory:
    """The trajectory that given noises make."""
    states = torch.stack([y_0, *roll_out(chain, y_0, 0, noises, condition)])
    return Trajectory(condition, states, noises, chain.decode(states[-1]))


def batch(chain: DenoisingChain, condition: Condition, generator: torch.Generator) -> Trajectory:
    """As `sampling.sample`, with one generator for the whole batch, which is faster."""
    shape = (chain.num_steps + 1, len(condition), *chain.event_shape)
    drawn = torch.randn(shape, generator=generator, dtype=chain.dtype)
    return trajectory_from(chain, drawn[0], drawn[1:], condition)


def flat(gradient: Gradient) -> Tensor:
    """All tensors of a gradient in one vector."""
    return torch.cat([tensor.flatten() for tensor in gradient])


def largest_z(
    chain: LinearGaussianChain,
    estimate: Callable[[Trajectory, torch.Generator], Gradient],
    exact: Gradient,
    num_estimates: int = 100,
    batch_size: int = 1000,
) -> float:
    """The largest |mean - exact| of independent estimates over the parameters' elements, in standard errors of the mean."""
    generator = torch.Generator().manual_seed(0)
    condition = pairs_of_prompts(batch_size)
    samples = torch.stack([flat(estimate(batch(chain, condition, generator), generator)) for _ in range(num_estimates)])
    # An estimate that never varies has no standard error: its distance then counts in units of rounding.
    standard_error = samples.std(0) / num_estimates**0.5 + 1e-12
    return float(((samples.mean(0) - flat(exact)).abs() / standard_error).max())
