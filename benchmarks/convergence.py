"""Reward against divergence, network evaluations and seconds while a model is tuned, for every estimator, over several seeds.

    python3 launch.py bench convergence --seconds 120 --seeds 3 --json out.json --plot out.png

All runs share prompts (two, so that every picture has others of its prompt to be compared with), sampler, optimizer and batch size; only
the estimator differs. The anchor is off, since it would steer the very divergence at which rewards are compared: a fast optimizer only
reaches the end of its reward sooner, so the fair figure is the reward at equal divergence. An update's reward is the mean of its own fresh
batch; no extra sampling is needed. Reward and logarithm of the divergence are smoothed alike, over five updates, so that a steady climb is
not shifted. Runs that --json holds already are not run again.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.scenes import PROMPTS
from benchmarks.variants import Variant, parse
from rlr_core.chain import MeteredChain
from rlr_core.config import AdapterConfig, RoundConfig, SamplerConfig
from rlr_core.errors import RLRError
from rlr_core.pipelines.loading import load_base_model
from rlr_core.pipelines.quiet import quiet_libraries
from rlr_core.pipelines.stable_diffusion import BaseModel
from rlr_core.plugin import find
from rlr_core.rewards.registry import REWARDS
from rlr_core.rewards.resources import embedded_resources
from rlr_core.rng import derive_seed
from rlr_core.round import Round

COMPARED = (
    "full_backprop",
    "rlr_antithetic",
    "antithetic_half_order",
    "truncated_backprop",
    "first_order",
    "score_function",
    "ppo",
    "half_order",
    "rlr",
    "zeroth_order",
)
KL_LEVELS = (30.0, 100.0, 300.0, 1000.0, 3000.0)
SMOOTHED_OVER = 5
GRID_POINTS = 60


@dataclass(frozen=True)
class Curve:
    """One run: a point an update."""

    estimator: str
    seed: int
    rewards: list[float]
    kl: list[float]
    network_evaluations: list[int]
    seconds: list[float]
    outcome: str


def run(model: BaseModel, variant: Variant, reward: str, config: RoundConfig, seconds: float, seed: int) -> Curve:
    """Tune a fresh adapter for so many seconds."""
    model.reset_adapter(derive_seed(seed, "adapter"))
    sampler = SamplerConfig()
    chain = MeteredChain(model.chain(sampler), evaluations_per_step=model.evaluations_per_step(sampler))
    plugin = find(REWARDS, "reward", reward)
    made = plugin.factory(plugin.settings(), embedded_resources(chain.device))
    estimator = variant.make(chain, made)
    round_ = Round(model, chain, lambda texts: model.condition(texts, sampler), PROMPTS, made, estimator, config)
    curve = Curve(variant.title, seed, [], [], [], [], "")
    evaluations, elapsed, outcome = 0, 0.0, "spent its time"
    try:
        for _, report in round_.updates(round_.start(model.adapter_state(), 0.0)):
            evaluations += report.network_evaluations
            elapsed += report.seconds
            curve.rewards.append(report.reward_mean)
            curve.kl.append(report.kl)
            curve.network_evaluations.append(evaluations)
            curve.seconds.append(elapsed)
            if elapsed >= seconds:
                break
        else:
            outcome = "spent its budget"
    except RLRError as problem:
        outcome = str(problem)
    return Curve(**{**asdict(curve), "outcome": outcome})


def smoothed(values: Sequence[float]) -> list[float]:
    """Each value with the ones before it, the mean of up to SMOOTHED_OVER."""
    return [sum(window) / len(window) for window in (values[max(0, end - SMOOTHED_OVER) : end] for end in range(1, len(values) + 1))]


def distances(curve: Curve) -> list[float]:
    """The smoothed logarithm of the divergence, log(1 + nats)."""
    return smoothed([math.log1p(max(kl, 0.0)) for kl in curve.kl])


def reward_at(curve: Curve, level: float) -> float | None:
    """The reward where the divergence first reaches `level` nats, on a straight line between two updates; None if it never does."""
    rewards, far, goal = smoothed(curve.rewards), distances(curve), math.log1p(level)
    after = next((index for index, distance in enumerate(far) if distance >= goal), None)
    if after is None or after == 0:
        return None if after is None else rewards[0]
    share = (goal - far[after - 1]) / (far[after] - far[after - 1])
    return rewards[after - 1] + share * (rewards[after] - rewards[after - 1])


def spread(values: Sequence[float | None]) -> str:
    """Mean and range over the seeds that have a value."""
    known = [value for value in values if value is not None]
    if not known:
        return "not reached"
    return f"{sum(known) / len(known):.4f} ({min(known):.4f} … {max(known):.4f})" + (
        "" if len(known) == len(values) else f" [{len(known)}]"
    )


def table(curves: Sequence[Curve]) -> str:
    """Reward at the start, at the end and at equal divergence, by estimator; in brackets the seeds that reached it, where not all did."""
    names = list(dict.fromkeys(curve.estimator for curve in curves))
    head = ["estimator", "updates", "evaluations an update", "reward at the end", *(f"at {level:g} nats" for level in KL_LEVELS)]
    rows = [head, ["---"] * len(head)]
    for name in names:
        own = [curve for curve in curves if curve.estimator == name]
        updates = [len(curve.rewards) for curve in own]
        each = sum(curve.network_evaluations[-1] / len(curve.rewards) for curve in own) / len(own)
        ends = [smoothed(curve.rewards)[-1] for curve in own]
        at_levels = [spread([reward_at(curve, level) for curve in own]) for level in KL_LEVELS]
        rows.append([name, f"{min(updates)} … {max(updates)}", f"{each:.0f}", spread(ends), *at_levels])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def band(curves: Sequence[Curve], abscissae: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """A grid as far as every seed went, and their rewards on it, shape (seeds, points); where an abscissa falls, its maximum so far."""
    grids = [np.maximum.accumulate(each) for each in abscissae]
    grid = np.linspace(max(each[0] for each in grids), min(each[-1] for each in grids), GRID_POINTS)
    return grid, np.stack([np.interp(grid, each, smoothed(curve.rewards)) for each, curve in zip(grids, curves, strict=True)])


def plot(curves: Sequence[Curve], path: Path, title: str) -> None:
    """Three panels: reward against nats, evaluations and seconds; for each estimator the seeds' mean and their range as a band."""
    from matplotlib import colormaps  # noqa: PLC0415 - only a plot needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(14, 6), layout="constrained")
    panels = (
        ("nats from the base model", distances),
        ("network evaluations", lambda curve: curve.network_evaluations),
        ("seconds", lambda curve: curve.seconds),
    )
    for axes, (label, abscissa) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        for index, name in enumerate(dict.fromkeys(curve.estimator for curve in curves)):
            own = [curve for curve in curves if curve.estimator == name]
            grid, rewards = band(own, [abscissa(curve) for curve in own])
            grid = np.expm1(grid) if abscissa is distances else grid
            colour = colormaps["tab20"](2 * index % 20 + (index >= 10))  # noqa: PLR2004 - the dark half of its colours first
            axes.plot(grid, rewards.mean(0), color=colour, linewidth=1.5, label=name)
            axes.fill_between(grid, rewards.min(0), rewards.max(0), color=colour, alpha=0.18, linewidth=0)
        axes.set_xlabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("reward of fresh samples")
    figure.axes[0].set(xscale="symlog", xlim=(0, None))
    figure.legend(*figure.axes[0].get_legend_handles_labels(), fontsize=8, frameon=False, ncols=3, loc="outside lower center")
    figure.suptitle(title)
    figure.savefig(path, dpi=110)


def read_curves(path: Path | None) -> list[Curve]:
    """The runs that an earlier call finished."""
    if path is None or not path.exists():
        return []
    return [Curve(**each) for each in json.loads(path.read_text(encoding="utf-8"))["curves"]]


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing, write after each, print the table."""
    parser = argparse.ArgumentParser(prog="launch.py bench convergence", description=__doc__.splitlines()[0])
    parser.add_argument("--base-model", default="emoji")
    parser.add_argument("--estimators", nargs="+", default=list(COMPARED), metavar="NAME[:KEY=VALUE,...]")
    parser.add_argument("--reward", default="colourfulness")
    parser.add_argument("--seconds", type=float, default=120.0, help="Of updates, a run. Default 120.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="Needs matplotlib.")
    arguments = parser.parse_args(argv)
    quiet_libraries()
    model = load_base_model(arguments.base_model, AdapterConfig())
    curves = read_curves(arguments.json)
    for seed in range(arguments.seeds):
        for variant in parse(arguments.estimators):
            if any(curve.estimator == variant.title and curve.seed == seed for curve in curves):
                continue
            config = RoundConfig(reward=arguments.reward, num_updates=1000, batch_size=8, learning_rate=3e-3, kl_budget=1e6, seed=seed)
            curves.append(run(model, variant, arguments.reward, config, arguments.seconds, seed))
            print(f"{variant.title}, seed {seed}: {len(curves[-1].rewards)} updates, {curves[-1].outcome}", flush=True)
            if arguments.json:
                written = {"reward": arguments.reward, "seconds": arguments.seconds, "curves": [asdict(curve) for curve in curves]}
                arguments.json.write_text(json.dumps(written) + "\n")
    print(table(curves))
    if arguments.plot:
        plot(curves, arguments.plot, f"{arguments.base_model}, {arguments.reward}")


if __name__ == "__main__":
    main()
