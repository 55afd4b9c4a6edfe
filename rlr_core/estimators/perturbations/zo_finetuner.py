"""ZO Fine-tuner: a tiny network for each matrix predicts how far to perturb it (arXiv 2510.00419)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.config import setting
from rlr_core.estimators.estimate import Gradient, Memory
from rlr_core.estimators.perturbations.rule import Direction, Probe, mean_of_squares, mean_slope, unit_normal

INPUTS, HIDDEN = 4, 8
# The ascent is divided by s: a scale that could shrink without end would drown the gradient in noise.
LARGEST_LOG_SCALE = 2.0
LARGEST_SQUARE = 10.0
FORGETTING = 0.1
WEIGHTS = {"w1": (HIDDEN, INPUTS), "b1": (HIDDEN,), "w2": (HIDDEN,)}


@dataclass(frozen=True)
class ZOFinetunerSettings:
    """How fast the networks learn."""

    learning_rate: float = setting(0.05, "Step size of the networks' own learning.", minimum=0.0, maximum=10.0)


class ZOFinetuner:
    """Matrix b is perturbed by s_b z_b, where s_b comes from its own network; the whole keeps the length of a plain perturbation.

        log s_b = 2 tanh(w2_b . tanh(W1_b x_b + b1_b) / 2),   x_b = (mean and log spread of the matrix, the last two rewards)
        s normalised so that   sum_b d_b s_b^2 = d   (||Sigma||_F = sqrt(d)),   offset = s z,   ascent = z / s

    The networks climb the expected squared slope, sum_b s_b^2 ||grad_b||^2, whose unknown terms follow from the slopes themselves:
    E[slope^2 (||z_b||^2 - d_b)] = 2 s_b^2 ||grad_b||^2. Slopes count in units of the earlier estimates' mean square: in units of its own, a
    single slope would tell nothing. (The paper trains them beforehand by backpropagation through a loss, which a black box does not have.)
    They start out at s = 1.
    Unbiased: for the smoothed objective yes, because s depends on earlier estimates only and E[ascent offset^T] = I.
    """

    needs_curvature = False

    def __init__(self, settings: ZOFinetunerSettings) -> None:
        self._learning_rate = settings.learning_rate

    def direction(self, parameters: Sequence[Tensor], generator: torch.Generator, memory: Memory) -> Direction:
        noise = unit_normal(parameters, generator)
        scales = _scales(parameters, memory, _networks(len(noise), memory)).tolist()
        offset = tuple(z * scale for z, scale in zip(noise, scales, strict=True))
        return Direction(noise, offset, tuple(z / scale for z, scale in zip(noise, scales, strict=True)))

    def combine(self, parameters: Sequence[Tensor], probes: Sequence[Probe], memory: Memory) -> tuple[Gradient, Memory]:
        sizes = _sizes(parameters)
        newest = torch.tensor([sum(probe.weight * probe.slope**2 for probe in probes)], dtype=torch.float64)
        typical = memory.get("mean_square", newest)
        unit = max(float(typical), 1e-300)
        # E[||z_b||^2 - d_b] = 0, so the 1 is a baseline, and an outlier may be cut: any rising function of slope^2 tells the same way.
        excess = torch.stack([
            probe.weight * (min(probe.slope**2 / unit, LARGEST_SQUARE) - 1) * (_sums(mean_of_squares(probe)) - sizes) for probe in probes
        ]).sum(0)  # fmt: skip
        networks = {name: tensor.requires_grad_() for name, tensor in _networks(len(sizes), memory).items()}
        # d/d log s_b of the expected squared slope.
        objective = (excess * _scales(parameters, memory, networks).log()).sum()
        ascent = torch.autograd.grad(objective, list(networks.values()))
        length = max(float(sum(tensor.square().sum() for tensor in ascent)) ** 0.5, 1.0)
        kept = {
            name: (tensor + self._learning_rate * step / length).detach()
            for (name, tensor), step in zip(networks.items(), ascent, strict=True)
        }
        reward = torch.tensor([sum(probe.weight * probe.reward for probe in probes)], dtype=torch.float64)
        kept["mean_square"] = (1 - FORGETTING) * typical + FORGETTING * newest
        return mean_slope(probes), {**kept, "rewards": torch.cat([_rewards(memory), reward])[-2:]}


def _networks(count: int, memory: Memory) -> dict[str, Tensor]:
    """The networks of all matrices, first axis the matrix; hidden weights from a fixed seed, output weights zero, so that s = 1."""
    drawing = torch.Generator().manual_seed(0)
    fresh = {name: 0.5 * torch.randn(count, *shape, generator=drawing, dtype=torch.float64) for name, shape in WEIGHTS.items()}
    fresh["w2"].zero_()
    return {name: memory.get(name, tensor).clone() for name, tensor in fresh.items()}


def _scales(parameters: Sequence[Tensor], memory: Memory, networks: dict[str, Tensor]) -> Tensor:
    """s, one a matrix, shape (matrices,), differentiable in the networks."""
    inputs = _inputs(parameters, memory)
    hidden = torch.tanh(torch.einsum("bhi,bi->bh", networks["w1"], inputs) + networks["b1"])
    raw = (LARGEST_LOG_SCALE * torch.tanh((networks["w2"] * hidden).sum(1) / LARGEST_LOG_SCALE)).exp()
    sizes = _sizes(parameters)
    return raw * (sizes.sum() / (sizes * raw.square()).sum()).sqrt()


def _inputs(parameters: Sequence[Tensor], memory: Memory) -> Tensor:
    """x, shape (matrices, INPUTS)."""
    means = torch.stack([each.detach().double().mean().cpu() for each in parameters])
    spreads = torch.stack([each.detach().double().square().mean().sqrt().cpu() for each in parameters])
    return torch.stack([means, (spreads + 1e-6).log() / 10, *_rewards(memory).tanh().unsqueeze(1).expand(-1, len(means))], 1)


def _rewards(memory: Memory) -> Tensor:
    """The last two mean rewards, shape (2,); zeros before there are any."""
    return memory.get("rewards", torch.zeros(2, dtype=torch.float64))


def _sizes(parameters: Sequence[Tensor]) -> Tensor:
    return torch.tensor([float(each.numel()) for each in parameters], dtype=torch.float64)


def _sums(gradient: Gradient) -> Tensor:
    return torch.stack([tensor.double().sum().cpu() for tensor in gradient])
