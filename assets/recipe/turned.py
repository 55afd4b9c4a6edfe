"""Make another base model out of the embedded one: the same subjects in turned colours, learned by all weights of the UNet.

    python -m assets.recipe.turned --out build/turned

Red becomes green, green blue and blue red, so faces are turquoise and leaves are blue. The embedded model draws what it is trained on; the
VAE, the text encoder and the tokenizer stay its own. The result is an ordinary diffusers folder. It does not ship: it is there to show what
holds for a base model that is not the embedded one (`launch.py bench portable`).
"""

import argparse
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from assets.recipe.attention import PlainAttention
from assets.recipe.samples import pictures
from assets.recipe.training import descend, velocity_loss
from rlr_core.paths import assets_folder

BATCH = 16
EMPTY_PROMPT_SHARE = 0.1
PEAK_LEARNING_RATE = 4e-4
WARM_UP = 20


def turned(images: Tensor) -> Tensor:
    """Red, green, blue to blue, red, green: (B, 3, H, W)."""
    return images.roll(1, 1)


def captions() -> list[str]:
    """What is drawn and learned: every shipped prompt of emoji, twice."""
    files = (assets_folder() / "prompts" / name for name in ("emoji.txt", "emoji-held-out.txt"))
    return 2 * [line for file in files for line in file.read_text().split("\n")[:-1]]


@torch.no_grad()
def prepare(pipeline: StableDiffusionPipeline) -> tuple[Tensor, Tensor]:
    """Latents of turned pictures, shape (n, C, H, W), and their captions' states with the empty prompt's last, shape (n + 1, L, D)."""
    wanted = captions()
    latents = [pipeline.vae.encode(2 * part - 1).latents for part in turned(pictures(pipeline, wanted, 0)).split(BATCH)]
    tokens = pipeline.tokenizer([*wanted, ""], padding="max_length", truncation=True, return_tensors="pt").input_ids
    return torch.cat(latents), pipeline.text_encoder(tokens).last_hidden_state


def learning_rate(update: int, updates: int) -> float:
    """Warm-up, then linearly down to nothing."""
    return PEAK_LEARNING_RATE * min(1.0, (update + 1) / WARM_UP) * (1 - update / updates)


def train(pipeline: StableDiffusionPipeline, updates: int) -> None:
    """Teach the pipeline's UNet its own pictures in turned colours."""
    latents, texts = prepare(pipeline)
    draws = torch.Generator().manual_seed(0)
    unet = pipeline.unet.requires_grad_(True).train().to(memory_format=torch.channels_last)
    unet.set_attn_processor(PlainAttention())
    optimizer = torch.optim.AdamW(unet.parameters(), betas=(0.9, 0.99), weight_decay=0.01)
    for update in range(updates):
        index = torch.randint(len(latents), (BATCH,), generator=draws)
        is_empty = torch.rand(BATCH, generator=draws) < EMPTY_PROMPT_SHARE
        text = texts[torch.where(is_empty, len(latents), index)]
        loss = velocity_loss(unet, text, latents[index], pipeline.scheduler.alphas_cumprod, draws)
        descend(optimizer, loss, learning_rate(update, updates))
        if update % 50 == 0:
            print(update, loss.item(), flush=True)
    unet.eval()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/turned"))
    parser.add_argument("--updates", type=int, default=400)
    arguments = parser.parse_args()
    pipeline = StableDiffusionPipeline.from_pretrained(assets_folder() / "emoji", dtype=torch.float32, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    train(pipeline, arguments.updates)
    pipeline.save_pretrained(arguments.out, safe_serialization=True)


if __name__ == "__main__":
    main()
