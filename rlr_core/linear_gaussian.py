"""The closed-form twin of a diffusion model: a linear chain whose expected reward and gradient are known exactly.

    y_0 ~ N(0, I),   y_{k+1} = (A_k + W) y_k + b + s_k noise_k,   theta = (W, b),   k = 0 .. T-1
    R(y) = c . y + y . Q y / 2

Every y_k is Gaussian, and its moments follow by recursion:

    mean_{k+1} = (A_k + W) mean_k + b
    cov_{k+1}  = (A_k + W) cov_k (A_k + W)^T + s_k^2 I
    E[R]       = c . mean_T + (mean_T . Q mean_T + trace(Q cov_T)) / 2

In one dimension this is y_{k+1} = (a_k + theta_0) y_k + theta_1 + s_k noise_k with R = c y + q y^2 / 2. Gradient estimators are tested on
this chain, because nothing about it has to be taken on trust.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.chain import Condition, Transition

NOT_SMOOTHED: Mapping[int, float] = {}


@dataclass(frozen=True)
class QuadraticReward:
    """R = c . y + y . Q y / 2, read off a one-pixel picture.

    Attributes:
        linear: c, shape (d,).
        quadratic: Q, symmetric, shape (d, d).
        is_differentiable: whether estimators are told that they may differentiate it.
    """

    linear: Tensor
    quadratic: Tensor
    is_differentiable: bool = True

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        """Images, shape (B, d, 1, 1), to rewards, shape (B,)."""
        y = images.flatten(1)
        return y @ self.linear + ((y @ self.quadratic) * y).sum(1) / 2


class LinearGaussianChain:
    """A DenoisingChain whose states are one-pixel pictures with d channels, shape (B, d, 1, 1); `decode` shows them as they are.

    Args:
        drifts: A_k, shape (T, d, d).
        stds: s_k, T of them.
        weight: W, shape (d, d).
        offset: b, shape (d,).
    """

    def __init__(self, drifts: Tensor, stds: Sequence[float], weight: Tensor, offset: Tensor) -> None:
        self._drifts = drifts
        self._stds = tuple(float(std) for std in stds)
        self._weight = weight.clone().requires_grad_()
        self._offset = offset.clone().requires_grad_()
        self._share = 1.0

    @property
    def num_steps(self) -> int:
        return len(self._stds)

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (len(self._offset), 1, 1)

    @property
    def dtype(self) -> torch.dtype:
        return self._drifts.dtype

    @property
    def device(self) -> torch.device:
        return self._drifts.device

    def parameters(self) -> list[Tensor]:
        return [self._weight, self._offset]

    def std(self, step: int) -> float:
        return self._stds[step]

    def transition(self, y: Tensor, step: int, condition: Condition) -> Transition:
        matrix = self._drifts[step] + self._share * self._weight
        mean = y.flatten(1) @ matrix.T + self._share * self._offset
        return Transition(mean.view_as(y), self._stds[step])

    def decode(self, y: Tensor) -> Tensor:
        return y

    @contextmanager
    def reference(self) -> Iterator[None]:
        self._share = 0.0
        try:
            yield
        finally:
            self._share = 1.0

    def expected_reward(
        self, reward: QuadraticReward, steps: Collection[int] | None = None, smoothed: Mapping[int, float] = NOT_SMOOTHED
    ) -> Tensor:
        """E[R], shape (), differentiable in the theta_k of `steps` (of all steps if None).

        Args:
            smoothed: mu by step: there the expectation is also over theta_k + mu xi_k, xi_k ~ N(0, I) independent of everything else.
        """
        mean = torch.zeros_like(self._offset)
        identity = torch.eye(len(mean), dtype=self.dtype, device=self.device)
        covariance = identity
        for step, std in enumerate(self._stds):
            is_trained = steps is None or step in steps
            weight, offset = (each if is_trained else each.detach() for each in self.parameters())
            matrix = self._drifts[step] + weight
            # xi y + xi' adds mu^2 (E||y||^2 + 1) to every element's variance.
            spread = smoothed.get(step, 0.0) ** 2 * (torch.trace(covariance) + mean @ mean + 1)
            mean = matrix @ mean + offset
            covariance = matrix @ covariance @ matrix.T + (std**2 + spread) * identity
        quadratic = mean @ reward.quadratic @ mean + torch.trace(reward.quadratic @ covariance)
        return reward.linear @ mean + quadratic / 2

    def exact_gradient(
        self, reward: QuadraticReward, steps: Collection[int] | None = None, smoothed: Mapping[int, float] = NOT_SMOOTHED
    ) -> tuple[Tensor, ...]:
        """dJ/dtheta exactly, shaped like `parameters()`: the share of `steps`, or all of it; of the smoothed J where that is asked for."""
        return torch.autograd.grad(self.expected_reward(reward, steps, smoothed), self.parameters(), materialize_grads=True)
