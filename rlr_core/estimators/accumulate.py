"""Differentiate a batch a few chains at a time, so that memory does not grow with the batch; and sum gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from rlr_core.estimators.estimate import Gradient


def mean_gradient(
    parameters: Sequence[Tensor], objective: Callable[[list[int]], Tensor], batch_size: int, micro_batch_size: int
) -> Gradient:
    """d/dtheta of the batch mean of `objective`, shaped like `parameters`; a tensor without a part gets zeros.

    Args:
        objective: row numbers of the batch to one number a row, shape (len(rows),), with gradients.
        micro_batch_size: rows differentiated at a time. It changes memory and time, not the result.
    """
    gradient = tuple(torch.zeros_like(parameter) for parameter in parameters)
    for first in range(0, batch_size, micro_batch_size):
        rows = list(range(first, min(first + micro_batch_size, batch_size)))
        share = objective(rows).sum() / batch_size
        for total, tensor in zip(gradient, torch.autograd.grad(share, parameters, materialize_grads=True), strict=True):
            total += tensor
    return gradient


def weighted_sum(gradients: Sequence[Gradient], weights: Sequence[float]) -> Gradient:
    """sum over i of weights[i] * gradients[i]."""
    return tuple(sum(weight * tensor for weight, tensor in zip(weights, tensors, strict=True)) for tensors in zip(*gradients, strict=True))
