"""Move a chain's parameters for a while and put them back exactly."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from rlr_core.estimators.estimate import Gradient


@contextmanager
def moved(parameters: Sequence[Tensor], offset: Gradient, factor: float) -> Iterator[None]:
    """Within it, each parameter is itself + factor * its offset; afterwards it is bit for bit what it was."""
    kept = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, step in zip(parameters, offset, strict=True):
            parameter.add_(step.to(parameter.dtype), alpha=factor)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)
