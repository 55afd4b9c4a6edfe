"""Bias, variance and cost of gradient estimators, side by side on the same trajectories.

    python3 launch.py bench gradients --chain emoji --reward colourfulness --steps 20 --json out.json --plot out.png

Every estimator gets the same batches of trajectories. With g_b its estimate from batch b of B trajectories, f_b full backpropagation's on
the same batch, and F the mean gradient of a batch's prompt:

    relative variance   B E||g_b - E g_b||^2 / ||F||^2      per sample; ||F||^2 from products of different batches, so it has no bias
    bias_z              mean over b of (g_b - f_b) . u_b in its standard errors, u_b the mean of f over the other batches
                        (linear-gaussian: the largest |mean - exact| of any parameter, in its standard errors)
    cosine              of the mean estimate and F; none where the estimate is too noisy to tell
    variance_seconds    relative variance * seconds a sample: what a given accuracy costs; lower is better

A reward without derivative has no reference: the relative variance is then in terms of the estimator's own mean, and there is no bias_z
and no cosine.

Seconds and network evaluations include the sampling of the trajectory, which every estimator needs. Errors are standard errors from the
jackknife over batches.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.scenes import Scene, base_model, linear_gaussian
from benchmarks.variants import Variant, parse
from rlr_core.errors import RLRError
from rlr_core.estimators.estimate import Estimate, Gradient
from rlr_core.linear_gaussian import QuadraticReward
from rlr_core.peak_memory import peak_bytes
from rlr_core.rng import generator
from rlr_core.sampling import Trajectory


@dataclass(frozen=True)
class Figures:
    """One estimator's line; None where a figure cannot be had."""

    estimator: str
    unbiased: bool
    bias_z: float | None
    relative_variance: float
    relative_variance_error: float
    cosine: float | None
    network_evaluations: float
    seconds_per_sample: float
    peak_bytes: int
    variance_seconds: float


@dataclass(frozen=True)
class Batches:
    """The trajectories that all estimators get, what sampling one cost, and full backpropagation's estimates, shape (n, P), if any."""

    trajectories: tuple[Trajectory, ...]
    seconds_per_sample: float
    evaluations_per_sample: float
    reference: Tensor | None

    @property
    def size(self) -> int:
        """B."""
        return len(self.trajectories[0])


@dataclass(frozen=True)
class Run:
    """One estimator's estimates, shape (n, P), and what they cost."""

    estimates: Tensor
    last: Estimate
    seconds_per_sample: float
    evaluations_per_sample: float
    peak_bytes: int


def flat(gradient: Gradient) -> Tensor:
    """One vector in float64 on the CPU."""
    return torch.cat([tensor.flatten() for tensor in gradient]).double().cpu()


def draw_batches(scene: Scene, seed: int, count: int, size: int) -> Batches:
    """Sample the batches and take the reference on them."""
    started, before = time.perf_counter(), scene.chain.network_evaluations
    trajectories = tuple(scene.batch(seed, number, size) for number in range(count))
    seconds = (time.perf_counter() - started) / (count * size)
    evaluations = (scene.chain.network_evaluations - before) / (count * size)
    if not scene.reward.is_differentiable:
        return Batches(trajectories, seconds, evaluations, None)
    estimator = Variant("full_backprop").make(scene.chain, scene.reward)
    reference = [flat(estimator.estimate(scene.chain, each, scene.reward, generator(seed, "reference")).gradient) for each in trajectories]
    return Batches(trajectories, seconds, evaluations, torch.stack(reference))


def run_variant(scene: Scene, batches: Batches, variant: Variant, seed: int) -> Run:
    """Estimate from every batch, each with the memory of the one before; then once more to see the memory in use."""
    estimator = variant.make(scene.chain, scene.reward)
    estimates, memory = [], {}
    before, seconds = scene.chain.network_evaluations, 0.0
    for number, trajectory in enumerate(batches.trajectories):
        started = time.perf_counter()
        last = estimator.estimate(scene.chain, trajectory, scene.reward, generator(seed, "estimator", number), memory)
        estimates.append(flat(last.gradient))
        seconds += time.perf_counter() - started
        memory = last.memory
    samples = len(batches.trajectories) * batches.size
    evaluations = (scene.chain.network_evaluations - before) / samples
    peak = peak_bytes(
        lambda: estimator.estimate(scene.chain, batches.trajectories[0], scene.reward, generator(seed, "peak")), scene.chain.device
    )
    return Run(
        torch.stack(estimates),
        last,
        seconds / samples + batches.seconds_per_sample,
        evaluations + batches.evaluations_per_sample,
        peak // batches.size,
    )


def by_prompt(rows: Tensor, batches: Batches) -> list[Tensor]:
    """The rows of each prompt's batches."""
    prompts = [trajectory.condition.prompts[0] for trajectory in batches.trajectories]
    return [rows[[index for index, each in enumerate(prompts) if each == prompt]] for prompt in dict.fromkeys(prompts)]


def squared_length(rows: Tensor) -> float:
    """||E row||^2 from products of different rows, shape (n, P): no bias, and below zero where noise hides it."""
    count = len(rows)
    return float((rows.sum(0).square().sum() - rows.square().sum()) / (count * (count - 1)))


def scatter(rows: Tensor) -> float:
    """E||row - E row||^2."""
    return float(rows.var(0).sum())


def relative_variance(estimates: Tensor, batches: Batches) -> tuple[float, float]:
    """B E||g - E g||^2 / ||F||^2 over the prompts, and its jackknife error."""
    reference = estimates if batches.reference is None else batches.reference
    groups = list(zip(by_prompt(estimates, batches), by_prompt(reference, batches), strict=True))

    def value(left_out: int | None) -> float:
        kept = [(_without(g, left_out), _without(f, left_out)) for g, f in groups]
        return batches.size * sum(scatter(g) for g, _ in kept) / sum(squared_length(f) for _, f in kept)

    count = min(len(g) for g, _ in groups)
    folds = torch.tensor([value(index) for index in range(count)], dtype=torch.float64)
    return value(None), float(((count - 1) / count * (folds - folds.mean()).square().sum()).sqrt())


def _without(rows: Tensor, index: int | None) -> Tensor:
    return rows if index is None else torch.cat([rows[:index], rows[index + 1 :]])


def bias_z(scene: Scene, estimates: Tensor, batches: Batches) -> float | None:
    """How many standard errors the mean lies from the truth; None where there is nothing to compare with."""
    count = len(estimates)
    if isinstance(scene.reward, QuadraticReward):
        exact = flat(scene.chain.unmetered.exact_gradient(scene.reward))
        return float(((estimates.mean(0) - exact).abs() / (estimates.std(0) / count**0.5 + 1e-12)).max())
    if batches.reference is None:
        return None
    along = []
    for own, reference in zip(by_prompt(estimates, batches), by_prompt(batches.reference, batches), strict=True):
        for index in range(len(own)):
            direction = _without(reference, index).mean(0)
            along.append((own[index] - reference[index]) @ direction / direction.norm())
    differences = torch.stack(along)
    return float(differences.mean() / (differences.std() / len(differences) ** 0.5 + 1e-30))


def cosine(estimates: Tensor, batches: Batches) -> float | None:
    """Of the estimates' mean and the reference's, prompt by prompt; None where the mean's length cannot be told from noise."""
    if batches.reference is None:
        return None
    found = []
    for own, reference in zip(by_prompt(estimates, batches), by_prompt(batches.reference, batches), strict=True):
        length, full = squared_length(own), squared_length(reference)
        if length <= scatter(own) / len(own) or full <= 0:
            return None
        crossed = len(own) * own.mean(0) @ reference.mean(0) - (own * reference).sum(1).mean()
        found.append(float(crossed) / (len(own) - 1) / math.sqrt(length * full))
    return sum(found) / len(found)


def figures(scene: Scene, batches: Batches, variant: Variant, seed: int) -> Figures:
    """All of one estimator's figures."""
    run = run_variant(scene, batches, variant, seed)
    variance, error = relative_variance(run.estimates, batches)
    return Figures(
        estimator=variant.title,
        unbiased=variant.is_unbiased(scene.chain, run.last.covered_steps),
        bias_z=bias_z(scene, run.estimates, batches),
        relative_variance=variance,
        relative_variance_error=error,
        cosine=cosine(run.estimates, batches),
        network_evaluations=run.evaluations_per_sample,
        seconds_per_sample=run.seconds_per_sample,
        peak_bytes=run.peak_bytes,
        variance_seconds=variance * run.seconds_per_sample,
    )


HEAD = f"{'estimator':58} {'unbiased':8} {'bias z':>8} {'rel. var.':>12} {'±':>9} {'cos':>6} {'evals':>6} {'s':>7} {'MB':>6} {'var·s':>11}"


def line(row: Figures) -> str:
    """A line of the table."""
    similar = "–" if row.cosine is None else f"{row.cosine:.2f}"
    bias = "–" if row.bias_z is None else f"{row.bias_z:.1f}"
    return (
        f"{row.estimator[:58]:58} {'yes' if row.unbiased else 'no':8} {bias:>8} {row.relative_variance:12.4g} "
        f"{row.relative_variance_error:9.2g} {similar:>6} {row.network_evaluations:6.0f} {row.seconds_per_sample:7.3f} "
        f"{row.peak_bytes / 1e6:6.1f} {row.variance_seconds:11.4g}"
    )


def plot(rows: Sequence[Figures], path: Path, title: str) -> None:
    """Variance times seconds of each estimator, on a logarithmic axis, the best on top."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only a plot needs it

    rows = sorted((row for row in rows if row.variance_seconds > 0), key=lambda row: -row.variance_seconds)
    figure = Figure(figsize=(9, 0.36 * len(rows) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    colours = ["#4f46e5" if row.unbiased else "#b8b8c8" for row in rows]
    axes.barh([row.estimator for row in rows], [row.variance_seconds for row in rows], color=colours)
    axes.set_xscale("log")
    axes.set_xlabel("relative variance × seconds (grey: biased)")
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def make_scene(arguments: argparse.Namespace) -> Scene:
    """The chain and reward that were asked for."""
    if arguments.chain == "linear-gaussian":
        return linear_gaussian(arguments.steps)
    return base_model(arguments.chain, arguments.reward, arguments.steps, arguments.seed)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="launch.py bench gradients", description=__doc__.splitlines()[0])
    made.add_argument("--chain", default="emoji", help="linear-gaussian, or a base model. Default emoji.")
    made.add_argument("--estimators", nargs="+", default=[], metavar="NAME[:KEY=VALUE,...]", help="Default: one line for each kind.")
    made.add_argument("--reward", default="colourfulness", help="Of the built-in ones. Default colourfulness.")
    made.add_argument("--steps", type=int, default=20, help="Denoising steps. Default 20.")
    made.add_argument("--samples", type=int, default=128, help="Trajectories an estimator gets. Default 128.")
    made.add_argument("--batch-size", type=int, default=8, help="Trajectories an estimate is made from. Default 8.")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--json", type=Path, metavar="FILE")
    made.add_argument("--plot", type=Path, metavar="FILE.png", help="Draw variance times seconds; needs matplotlib.")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    arguments = parser().parse_args(argv)
    scene = make_scene(arguments)
    count = arguments.samples // arguments.batch_size
    if count < 3 * len(scene.prompts):
        raise RLRError(
            f"samples = {arguments.samples}: that makes {count} batches, too few to see their spread. "
            f"Use at least {3 * len(scene.prompts) * arguments.batch_size}."
        )
    variants = parse(arguments.estimators)
    for variant in variants:
        variant.make(scene.chain, scene.reward)  # what cannot work is refused before minutes are spent
    batches = draw_batches(scene, arguments.seed, count, arguments.batch_size)
    print(HEAD)
    rows = []
    for variant in variants:
        rows.append(figures(scene, batches, variant, arguments.seed))
        print(line(rows[-1]), flush=True)
    if arguments.json:
        settings = {
            name: value for name, value in vars(arguments).items() if name in ("chain", "reward", "steps", "samples", "batch_size", "seed")
        }
        arguments.json.write_text(json.dumps({**settings, "estimators": [asdict(row) for row in rows]}, indent=2) + "\n")
    if arguments.plot:
        plot(rows, arguments.plot, f"{arguments.chain}, {arguments.reward}, {arguments.steps} steps")


if __name__ == "__main__":
    main()
