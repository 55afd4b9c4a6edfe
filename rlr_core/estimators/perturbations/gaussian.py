"""The plain rule: every parameter is perturbed alike (MeZO, arXiv 2305.17333; SPSA with Gaussian directions)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.estimators.estimate import NOTHING, Gradient, Memory
from rlr_core.estimators.perturbations.rule import Direction, Probe, mean_slope, unit_normal


@dataclass(frozen=True)
class GaussianSettings:
    """Nothing to set."""


class Gaussian:
    """offset = ascent = z ~ N(0, I). Unbiased: for the smoothed objective yes, because the Gaussian's score is z / mu."""

    needs_curvature = False

    def direction(self, parameters: Sequence[Tensor], generator: torch.Generator, memory: Memory) -> Direction:
        noise = unit_normal(parameters, generator)
        return Direction(noise, noise, noise)

    def combine(self, parameters: Sequence[Tensor], probes: Sequence[Probe], memory: Memory) -> tuple[Gradient, Memory]:
        return mean_slope(probes), NOTHING
