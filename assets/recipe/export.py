"""Write the trained generator as the embedded model: a diffusers folder in half precision, its figures, sample grid and model card.

    python -m assets.recipe.export --out assets/emoji

May be run at any checkpoint of `generator`. Figures: PSNR of the VAE on held-out pictures, and text-to-image retrieval (is the right
concept first among 100?) by the embedded CLIP, which is trained apart from the generator.
"""

import argparse
import json
import random
import shutil
from pathlib import Path

import matplotlib
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import nn

from assets.recipe.data import STYLES, load
from assets.recipe.generator import BATCH, Networks, grid_prompts, make_pipeline, prepare
from assets.recipe.samples import pictures, sheet
from assets.recipe.vae import psnr, to_tensor
from rlr_core.preference.clip import embedded_clip

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 - the backend has to be chosen first

GRID_SUBJECTS = ("cat face", "dog face", "horse", "red apple", "pizza", "red heart", "rocket", "smiling face", "butterfly", "tulip")
NUM_CONCEPTS = 100


def retrieval(pipeline: StableDiffusionPipeline, concepts: list[str]) -> dict[str, float]:
    """Share of the concepts whose sample the embedded CLIP finds most like its own name among all, by style."""
    encoder = embedded_clip(torch.device("cpu"))
    found: dict[str, float] = {}
    for style in STYLES:
        captions = [f"{style} style, {concept}" for concept in concepts]
        with torch.no_grad():
            scores = encoder.images(pictures(pipeline, captions, 0)) @ encoder.texts(captions).T
        found[style] = round(float((scores.argmax(1) == torch.arange(len(concepts))).double().mean()), 2)
    return found


def plot_curves(folder: Path, path: Path) -> None:
    """Both learning curves over minutes of training."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    vae = json.loads((folder / "vae-curve.json").read_text())
    left.plot([row[1] / 60 for row in vae], [row[3] for row in vae])
    left.set(title="VAE: PSNR on held-out pictures", xlabel="minutes", ylabel="dB")
    generator = json.loads((folder / "generator-curve.json").read_text())
    right.plot([row[1] / 60 for row in generator], [row[2] for row in generator])
    right.set(title="Generator: v-prediction loss", xlabel="minutes", ylabel="mean squared error")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def export(folder: Path, out: Path) -> None:
    """Write model, figures, grid, curves and card."""
    data, tokenizer = prepare(folder)
    networks: nn.Module = Networks(tokenizer)
    checkpoint = torch.load(folder / "generator.pt", weights_only=True)
    networks.load_state_dict(checkpoint["average"])
    pipeline = make_pipeline(folder, networks.eval(), tokenizer)
    pipeline.set_progress_bar_config(disable=True)
    nn.Module.half(pipeline.unet), nn.Module.half(pipeline.text_encoder), nn.Module.half(pipeline.vae)
    pipeline.save_pretrained(out, safe_serialization=True)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(folder / "model" / "tokenizer" / name, out / "tokenizer" / name)
    shipped = StableDiffusionPipeline.from_pretrained(out, torch_dtype=torch.float32)
    shipped.set_progress_bar_config(disable=True)
    samples = sheet(shipped, grid_prompts(GRID_SUBJECTS))
    samples.resize((samples.width * 2, samples.height * 2), Image.Resampling.LANCZOS).save(out / "samples.png")
    plot_curves(folder, out / "curves.png")
    images, records = load(folder)
    held_out = to_tensor(images[[record.is_held_out for record in records]])
    concepts = random.Random(0).sample(sorted({record.name for record in data.records}), NUM_CONCEPTS)
    figures = {
        "vae_psnr_held_out_db": round(psnr(shipped.vae, held_out), 2),
        "retrieval_first_of_100": retrieval(shipped, concepts),
        "generator_updates": checkpoint["state"]["update"],
        "generator_samples": checkpoint["state"]["update"] * BATCH,
        "generator_minutes": round(checkpoint["state"]["spent"] / 60, 1),
        "pictures": len(data.records),
        "concepts": len({record.name for record in data.records}),
        "unet_parameters": sum(p.numel() for p in shipped.unet.parameters()),
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    (out / "README.md").write_text(card(figures))
    print(json.dumps(figures, indent=2))


def card(figures: dict) -> str:
    """The model card."""
    rows = "\n".join(f"| {style} | {share:.0%} |" for style, share in figures["retrieval_first_of_100"].items())
    return f"""---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---
# Emoji: the model that ships with RLR Studio

A small text-to-image model (64 x 64 pixels) that runs on two CPU cores, trained by this project from openly licensed emoji. It is an
ordinary `StableDiffusionPipeline` folder.

![samples](samples.png)

Rows: Noto, Twemoji, Fluent style; all columns with fixed seeds, none chosen.

## Data and licences

{figures["pictures"]} pictures of {figures["concepts"]} concepts (listed in `assets/recipe/concepts.txt`) for the generator;
the VAE saw all kinds but flags. Put on white, 64 pixels. Noto Emoji (Google, Apache-2.0), Twemoji (Twitter and contributors,
CC-BY 4.0), Fluent Emoji (Microsoft, MIT); names from emoji-datasource and emojilib (MIT). See NOTICE.
It can draw what is in the list, in these styles, and hardly anything else.

## Settings

| part | configuration |
|---|---|
| VAE | AutoencoderTiny, 48 channels, 64 px to 8 x 8 latents of 16 channels |
| UNet | UNet2DConditionModel (96, 192), 1 layer a block, {figures["unet_parameters"] / 1e6:.1f} M parameters |
| text encoder | CLIPTextModel, 3 layers x 160, own BPE vocabulary, 24 tokens, trained with the UNet |
| training | v-prediction, zero-terminal-SNR scaled-linear betas, batch {BATCH}, AdamW, EMA, bfloat16 on two CPU cores |
| length | {figures["generator_updates"]} updates, {figures["generator_samples"]} samples, {figures["generator_minutes"]} minutes |

Reproduce: `python -m assets.recipe.data`, `.vae`, `.generator`, `.clip`, `.export`; each resumes from its checkpoint.

![curves](curves.png)

## Figures

VAE, PSNR on pictures of concepts it never saw: {figures["vae_psnr_held_out_db"]} dB.

Text-to-image retrieval: the share of 100 randomly chosen concepts whose sample the embedded CLIP, trained apart from the generator, finds
most like its own name among the 100 (chance 1 %).

| style | right concept first |
|---|---|
{rows}
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/emoji"))
    parser.add_argument("--out", type=Path, default=Path("assets/emoji"))
    arguments = parser.parse_args()
    export(arguments.folder, arguments.out)
