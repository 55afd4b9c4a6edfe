"""AdaMeZO: Adam's moments rebuilt from the seeds of the last directions instead of being stored (Cai et al. 2026, arXiv 2605.00650)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.config import setting
from rlr_core.estimators.accumulate import weighted_sum
from rlr_core.estimators.estimate import NOTHING, Gradient, Memory
from rlr_core.estimators.perturbations.gaussian import Gaussian
from rlr_core.estimators.perturbations.rule import Direction, Probe


@dataclass(frozen=True)
class AdaMeZOSettings:
    """How far back the moments reach."""

    window: int = setting(16, "Earlier directions that are drawn again from their seeds.", minimum=1, maximum=10_000, symbol="w")
    first_decay: float = setting(0.9, "Decay of the mean of the gradients.", minimum=0.0, maximum=0.9999, symbol="β1")
    second_decay: float = setting(0.99, "Decay of the mean of their squares.", minimum=0.0, maximum=0.9999, symbol="β2")


class AdaMeZO:
    """Plain directions; the result is Adam's direction over the last w of them, in the length of a gradient.

        g_i = slope_i * (sum of the directions drawn from seed_i)
        m = sum_i b1^(age of i) g_i / sum_i b1^(age of i),   v the same of g_i^2 with b2
        result = m / (sqrt(v) + 1e-12) * mean(sqrt(v))

    Memory: a seed and a slope a direction, instead of two numbers a parameter.
    Unbiased: no, because it mixes in the gradients of earlier parameters and rescales every element.
    """

    needs_curvature = False

    def __init__(self, settings: AdaMeZOSettings) -> None:
        self._settings = settings
        self._plain = Gaussian()

    def direction(self, parameters: Sequence[Tensor], generator: torch.Generator, memory: Memory) -> Direction:
        return self._plain.direction(parameters, generator, NOTHING)

    def combine(self, parameters: Sequence[Tensor], probes: Sequence[Probe], memory: Memory) -> tuple[Gradient, Memory]:
        new = {
            "seeds": torch.tensor([probe.seed for probe in probes]),
            "slopes": torch.tensor([probe.weight * probe.slope for probe in probes], dtype=torch.float64),
            "directions": torch.tensor([len(probe.directions) for probe in probes]),
        }
        kept = {name: torch.cat([memory.get(name, tensor[:0]), tensor])[-self._settings.window :] for name, tensor in new.items()}
        gradients = [
            self._replay(parameters, int(seed), int(count), float(slope))
            for seed, slope, count in zip(kept["seeds"], kept["slopes"], kept["directions"], strict=True)
        ]
        mean = _decaying_mean(gradients, self._settings.first_decay)
        squares = _decaying_mean([tuple(tensor.square() for tensor in each) for each in gradients], self._settings.second_decay)
        roots = [square.sqrt() for square in squares]
        length = float(torch.cat([root.flatten() for root in roots]).mean())
        return tuple(tensor / (root + 1e-12) * length for tensor, root in zip(mean, roots, strict=True)), kept

    def _replay(self, parameters: Sequence[Tensor], seed: int, count: int, slope: float) -> Gradient:
        generator = torch.Generator().manual_seed(seed)
        drawn = [self._plain.direction(parameters, generator, NOTHING).ascent for _ in range(count)]
        return weighted_sum(drawn, [slope] * count)


def _decaying_mean(gradients: Sequence[Gradient], decay: float) -> Gradient:
    """The mean with weights decay^age; the last is the newest."""
    weights = [decay ** (len(gradients) - 1 - index) for index in range(len(gradients))]
    return weighted_sum(gradients, [weight / sum(weights) for weight in weights])
