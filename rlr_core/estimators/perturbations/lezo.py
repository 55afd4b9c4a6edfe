"""LeZO: perturb a random part of the layers at a time (arXiv 2410.09823)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.config import setting
from rlr_core.estimators.estimate import NOTHING, Gradient, Memory
from rlr_core.estimators.perturbations.rule import Direction, Probe, mean_slope, unit_normal


@dataclass(frozen=True)
class LeZOSettings:
    """How many layers are perturbed together."""

    active_share: float = setting(0.25, "Share of the trained matrices that a direction moves.", minimum=1e-3, maximum=1.0)


class LeZO:
    """offset = z on the drawn matrices and 0 elsewhere; ascent = offset / p, p the share that is drawn.

    Unbiased: for the smoothed objective yes, because every matrix is drawn with probability p and weighted by 1 / p (the paper leaves the
    weight out, which only rescales the step).
    """

    needs_curvature = False

    def __init__(self, settings: LeZOSettings) -> None:
        self._share = settings.active_share

    def direction(self, parameters: Sequence[Tensor], generator: torch.Generator, memory: Memory) -> Direction:
        noise = unit_normal(parameters, generator)
        count = math.ceil(self._share * len(noise))
        active = set(torch.randperm(len(noise), generator=generator)[:count].tolist())
        offset = tuple(z if index in active else torch.zeros_like(z) for index, z in enumerate(noise))
        return Direction(noise, offset, tuple(z * len(noise) / count for z in offset))

    def combine(self, parameters: Sequence[Tensor], probes: Sequence[Probe], memory: Memory) -> tuple[Gradient, Memory]:
        return mean_slope(probes), NOTHING
