"""What a perturbation rule is.

Zeroth order looks at the reward with the parameters moved by mu * offset and gets a slope along the offset. With E[ascent offset^T] = I the
mean of slope * ascent is the gradient (of the smoothed objective). A rule chooses both, and may learn from one estimate to the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rlr_core.estimators.accumulate import weighted_sum
from rlr_core.estimators.estimate import Gradient, Memory


@dataclass(frozen=True)
class Direction:
    """One random direction, shaped like the parameters.

    Attributes:
        noise: the unit Gaussian z it was made of.
        offset: what is added to the parameters, in units of mu.
        ascent: what the slope along the offset is multiplied by.
    """

    noise: Gradient
    offset: Gradient
    ascent: Gradient


@dataclass(frozen=True)
class Probe:
    """What one roll-out (or a pair of them) along some directions told.

    Attributes:
        directions: one for every perturbed step, or a single one that all steps shared.
        seed: what the directions were drawn from.
        weight: share of the batch that was rolled out along them.
        slope: mean change of the reward along the directions, per mu.
        curvature: mean of (R^+ + R^- - 2 R) / mu^2; None if only one side was looked at.
        reward: mean reward of the unperturbed roll-outs.
    """

    directions: tuple[Direction, ...]
    seed: int
    weight: float
    slope: float
    curvature: float | None
    reward: float


class PerturbationRule(Protocol):
    """Chooses directions, and turns what they told into a gradient."""

    needs_curvature: bool

    def direction(self, parameters: Sequence[Tensor], generator: torch.Generator, memory: Memory) -> Direction:
        """The next direction."""

    def combine(self, parameters: Sequence[Tensor], probes: Sequence[Probe], memory: Memory) -> tuple[Gradient, Memory]:
        """The gradient, and the memory for the next estimate."""


def unit_normal(parameters: Sequence[Tensor], generator: torch.Generator) -> Gradient:
    """z ~ N(0, I), shaped like the parameters; drawn on the CPU, so that the device does not change it."""
    return tuple(torch.randn(each.shape, generator=generator, dtype=each.dtype).to(each.device) for each in parameters)


def mean_slope(probes: Sequence[Probe]) -> Gradient:
    """sum over probes of   weight * slope * (sum of their ascents): the plain zeroth-order gradient."""
    terms = [(direction.ascent, probe.weight * probe.slope) for probe in probes for direction in probe.directions]
    return weighted_sum([ascent for ascent, _ in terms], [weight for _, weight in terms])


def mean_of_squares(probe: Probe) -> Gradient:
    """z * z, the mean over the probe's directions."""
    squares = [tuple(tensor.square() for tensor in direction.noise) for direction in probe.directions]
    return weighted_sum(squares, [1 / len(squares)] * len(squares))
