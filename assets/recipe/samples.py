"""Samples of the generator, and sheets of them."""

from collections.abc import Sequence

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import Tensor

SAMPLER = {"num_inference_steps": 25, "guidance_scale": 4.0}
BATCH = 25


def pictures(pipeline: StableDiffusionPipeline, prompts: Sequence[str], seed: int) -> Tensor:
    """Samples of the prompts, with the seeds `seed`, `seed` + 1, ..., in [0, 1], shape (n, 3, H, W)."""
    made = []
    for first in range(0, len(prompts), BATCH):
        part = list(prompts[first : first + BATCH])
        generators = [torch.Generator().manual_seed(seed + first + number) for number in range(len(part))]
        made.append(pipeline(part, generator=generators, output_type="pt", **SAMPLER).images)
    return torch.cat(made)


def sheet(pipeline: StableDiffusionPipeline, rows: Sequence[Sequence[str]], seed: int = 7) -> Image.Image:
    """A picture of each prompt; all rows are of one length."""
    made = pictures(pipeline, [prompt for row in rows for prompt in row], seed)
    _, _, height, width = made.shape
    grid = Image.new("RGB", (width * len(rows[0]), height * len(rows)), "white")
    for number, tile in enumerate(made.mul(255).round().byte().permute(0, 2, 3, 1).numpy()):
        row, column = divmod(number, len(rows[0]))
        grid.paste(Image.fromarray(tile), (width * column, height * row))
    return grid
