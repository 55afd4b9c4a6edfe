"""Our sampling loop against the stock pipeline's: same model, prompts, noises and settings, taken in turn in one process.

    python3 launch.py bench sampling --source emoji

Prints both times and their ratio; below 1 ours is the faster. Also what switching the adapter off and on costs, since the KL anchor does it
at every step.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from diffusers import DDIMScheduler

from rlr_core.config import AdapterConfig, SamplerConfig
from rlr_core.pipelines.loading import load_base_model
from rlr_core.pipelines.stable_diffusion import BaseModel
from rlr_core.rng import image_generators
from rlr_core.sampling import sample

PROMPT = "a red heart"


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call, the accelerator's work included."""
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def sample_ours(model: BaseModel, sampler: SamplerConfig, prompts: list[str]) -> torch.Tensor:
    """Pictures by our loop."""
    return sample(model.chain(sampler), model.condition(prompts, sampler), image_generators(0, count=len(prompts))).images


def sample_stock(model: BaseModel, sampler: SamplerConfig, prompts: list[str]) -> torch.Tensor:
    """Pictures by the pipeline's own loop."""
    return model.pipeline(
        prompts,
        num_inference_steps=sampler.num_inference_steps,
        guidance_scale=sampler.guidance_scale,
        eta=sampler.eta,
        generator=image_generators(0, count=len(prompts)),
        output_type="pt",
    ).images


def switch(model: BaseModel, sampler: SamplerConfig, times: int) -> None:
    """Switch the adapter off and on."""
    chain = model.chain(sampler)
    for _ in range(times):
        with chain.reference():
            pass


def measure(model: BaseModel, sampler: SamplerConfig, batch_size: int, repeats: int) -> dict[str, float]:
    """Medians over `repeats` pairs, after one pair to warm up."""
    model.pipeline.scheduler = DDIMScheduler.from_config(model.pipeline.scheduler.config)
    prompts = [PROMPT] * batch_size
    difference = float((sample_ours(model, sampler, prompts) - sample_stock(model, sampler, prompts)).abs().max())
    pairs = []
    for _ in range(repeats):
        ours = seconds(lambda: sample_ours(model, sampler, prompts))
        pairs.append((ours, seconds(lambda: sample_stock(model, sampler, prompts))))
    return {
        "ours_seconds": statistics.median(ours for ours, _ in pairs),
        "stock_seconds": statistics.median(stock for _, stock in pairs),
        "ratio": statistics.median(ours / stock for ours, stock in pairs),
        "largest_difference": difference,
        "switch_seconds": seconds(lambda: switch(model, sampler, 100)) / 100,
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default="emoji", help="a base model, as for tuning")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(argv)
    model = load_base_model(arguments.source, AdapterConfig())
    figures = measure(model, SamplerConfig(num_inference_steps=arguments.steps), arguments.batch_size, arguments.repeats)
    for name, value in figures.items():
        print(f"{name:>20} {value:.6g}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
