"""HiZOO: perturb flat directions further than steep ones (Zhao et al. 2024, arXiv 2402.15173)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.config import setting
from rlr_core.estimators.estimate import Gradient, Memory
from rlr_core.estimators.perturbations.rule import Direction, Probe, mean_of_squares, mean_slope, unit_normal


@dataclass(frozen=True)
class HiZOOSettings:
    """How fast the curvature is learned, and what is done with it."""

    smoothing: float = setting(1e-3, "Weight of the newest curvature in the running one.", minimum=0.0, maximum=1.0, symbol="α")
    is_preconditioned: bool = setting(
        False, "Return HiZOO's own step, the gradient divided by the curvature, instead of the gradient; biased as a gradient."
    )


class HiZOO:
    """A running diagonal curvature H, learned from the same two roll-outs and the unperturbed one.

        offset = H^{-1/2} z,   ascent = H^{1/2} z     (preconditioned: ascent = H^{-1/2} z, the step of the paper)
        H <- (1 - alpha) H + alpha |R^+ + R^- - 2 R| / (2 mu^2) * H z^2,   H = 1 at first

    Unbiased: for the smoothed objective yes, because H depends on earlier estimates only and E[ascent offset^T] = I; preconditioned no.
    """

    needs_curvature = True

    def __init__(self, settings: HiZOOSettings) -> None:
        self._settings = settings

    def direction(self, parameters: Sequence[Tensor], generator: torch.Generator, memory: Memory) -> Direction:
        noise = unit_normal(parameters, generator)
        roots = [curvature.sqrt() for curvature in _curvatures(parameters, memory)]
        offset = tuple(z / root for z, root in zip(noise, roots, strict=True))
        if self._settings.is_preconditioned:
            return Direction(noise, offset, offset)
        return Direction(noise, offset, tuple(z * root for z, root in zip(noise, roots, strict=True)))

    def combine(self, parameters: Sequence[Tensor], probes: Sequence[Probe], memory: Memory) -> tuple[Gradient, Memory]:
        curvatures = _curvatures(parameters, memory)
        for probe in probes:
            factor = self._settings.smoothing * abs(probe.curvature or 0.0) / 2
            curvatures = [
                (1 - self._settings.smoothing) * curvature + factor * curvature * square
                for curvature, square in zip(curvatures, mean_of_squares(probe), strict=True)
            ]
        # Where the reward is flat the running curvature decays for ever; the square root is divided by.
        kept = {str(index): curvature.clamp(min=1e-8).cpu() for index, curvature in enumerate(curvatures)}
        return mean_slope(probes), kept


def _curvatures(parameters: Sequence[Tensor], memory: Memory) -> list[Tensor]:
    return [memory[str(index)].to(each.device) if str(index) in memory else torch.ones_like(each) for index, each in enumerate(parameters)]
