"""Train the embedded model's UNet and text encoder on the emoji latents, and write a diffusers folder.

    python -m assets.recipe.generator --minutes 100

v-prediction on a zero-terminal-SNR schedule; text encoder and UNet are trained together; the exponential moving average of both is
what is written. Learning rate: warm-up, constant until 70 % of the time, then linearly down. Every few minutes a checkpoint, a
learning-curve point and a sample grid; the same command resumes, a larger `--minutes` continues.
"""

import argparse
import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from assets.recipe.attention import PlainAttention
from assets.recipe.data import STYLES, Record, load
from assets.recipe.samples import sheet
from assets.recipe.tokenizer import train_tokenizer
from assets.recipe.training import Training, descend, velocity_loss
from assets.recipe.vae import to_tensor

BATCH = 32
PEAK_LEARNING_RATE = 8e-4
MAX_TOKENS = 24
EMA_DECAY = 0.998
EMPTY_PROMPT_SHARE = 0.1
CHECKPOINT_SECONDS = 240
GRID_SUBJECTS = ("cat face", "dog face", "horse", "red apple", "pizza", "red heart", "rocket", "smiling face")


class Networks(nn.Module):
    """UNet and text encoder in one module, so that one optimizer and one moving average hold both."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel(
            sample_size=8,
            in_channels=16,
            out_channels=16,
            layers_per_block=1,
            block_out_channels=(96, 192),
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=160,
            attention_head_dim=4,
            norm_num_groups=16,
        )
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=160,
                intermediate_size=640,
                num_hidden_layers=3,
                num_attention_heads=4,
                max_position_embeddings=MAX_TOKENS,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )


def make_scheduler() -> DDIMScheduler:
    """The sampling scheduler that ships with the model."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def captions_of(record: Record) -> list[str]:
    """The captions one picture is trained with, in order of weight: style and name, name alone, name with a synonym."""
    style = f"{record.style} style"
    captions = [f"{style}, {record.name}", f"{record.name}, {style}", record.name]
    return captions + [f"{style}, {record.name}, {synonym}" for synonym in record.synonyms]


CAPTION_WEIGHTS = (0.4, 0.2, 0.25)  # the synonyms share the rest


def draw_caption(record: Record, uniform: float) -> str:
    """The caption at quantile `uniform` of [0, 1): empty for the last tenth."""
    if uniform >= 1 - EMPTY_PROMPT_SHARE:
        return ""
    uniform /= 1 - EMPTY_PROMPT_SHARE
    captions = captions_of(record)
    for caption, weight in zip(captions, CAPTION_WEIGHTS, strict=False):
        if uniform < weight:
            return caption
        uniform -= weight
    rest = captions[len(CAPTION_WEIGHTS) :] or captions[:1]
    return rest[min(int(uniform / (1 - sum(CAPTION_WEIGHTS)) * len(rest)), len(rest) - 1)]


@dataclass
class Data:
    """The training set: latents (N, 16, 8, 8), and for every record all its captions as token ids."""

    latents: Tensor
    records: list[Record]
    tokens: dict[str, Tensor]


def prepare(folder: Path) -> tuple[Data, CLIPTokenizer]:
    """Encode the pictures once; make the tokenizer if there is none yet."""
    images, records = load(folder)
    chosen = [index for index, record in enumerate(records) if record.is_generated]
    tokenizer_folder = folder / "model" / "tokenizer"
    every_caption = sorted({caption for record in records for caption in captions_of(record)})
    if (tokenizer_folder / "vocab.json").exists():
        tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    else:
        tokenizer = train_tokenizer(every_caption, tokenizer_folder, vocab_size=2048, max_length=MAX_TOKENS)
    vae = AutoencoderTiny.from_pretrained(folder / "model" / "vae")
    with torch.no_grad():
        latents = torch.cat([vae.encode(part).latents for part in to_tensor(images[chosen]).split(64)])
    records = [records[index] for index in chosen]
    needed = sorted({caption for record in records for caption in captions_of(record)} | {""})
    ids = tokenizer(needed, padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt").input_ids
    return Data(latents, records, dict(zip(needed, ids, strict=True))), tokenizer


def learning_rate(progress: float, update: int) -> float:
    """Warm-up over 200 updates, constant until 70 % of the time, then linearly down to 2 %."""
    decay = 1.0 if progress < 0.7 else max(0.02, (1 - progress) / 0.3)
    return PEAK_LEARNING_RATE * min(1.0, (update + 1) / 200) * decay


def loss_of(networks: Networks, data: Data, alphas: Tensor, generator: torch.Generator) -> Tensor:
    """`velocity_loss` of a batch of pictures with captions drawn for them."""
    index = torch.randint(len(data.records), (BATCH,), generator=generator)
    quantiles = torch.rand(BATCH, generator=generator).tolist()
    captions = [draw_caption(data.records[i], q) for i, q in zip(index.tolist(), quantiles, strict=True)]
    ids = torch.stack([data.tokens[caption] for caption in captions])
    with torch.autocast("cpu", torch.bfloat16):
        text = networks.text_encoder(ids).last_hidden_state
    return velocity_loss(networks.unet, text, data.latents[index], alphas, generator)


@torch.no_grad()
def update_average(average: nn.Module, networks: nn.Module, update: int) -> None:
    """Exponential moving average with a warm-up: decay = min(EMA_DECAY, (1 + u) / (10 + u))."""
    decay = min(EMA_DECAY, (1 + update) / (10 + update))
    for old, new in zip(average.parameters(), networks.parameters(), strict=True):
        old.lerp_(new, 1 - decay)


def make_pipeline(folder: Path, networks: Networks, tokenizer: CLIPTokenizer) -> StableDiffusionPipeline:
    """The ordinary pipeline around the trained parts."""
    return StableDiffusionPipeline(
        vae=AutoencoderTiny.from_pretrained(folder / "model" / "vae"),
        text_encoder=networks.text_encoder,
        tokenizer=tokenizer,
        unet=networks.unet,
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def train(folder: Path, minutes: float) -> None:
    """Train until `minutes` have been spent in all, then write the pipeline folder."""
    data, tokenizer = prepare(folder)
    torch.manual_seed(0)
    networks = Networks(tokenizer).to(memory_format=torch.channels_last)
    networks.unet.set_attn_processor(PlainAttention())
    average = copy.deepcopy(networks).requires_grad_(False)
    optimizer = torch.optim.AdamW(networks.parameters(), betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    parts = {"networks": networks, "average": average, "optimizer": optimizer}
    training = Training(folder / "generator.pt", folder / "generator-curve.json", minutes, CHECKPOINT_SECONDS, parts)
    alphas = make_scheduler().alphas_cumprod

    def step(share: float, update: int) -> float:
        loss = loss_of(networks, data, alphas, training.generator)
        descend(optimizer, loss, learning_rate(share, update))
        update_average(average, networks, update)
        return loss.item()

    def point(update: int, seconds: int, loss: float) -> list[float]:
        pipeline = make_pipeline(folder, average, tokenizer)
        pipeline.set_progress_bar_config(disable=True)
        sheet(pipeline, grid_prompts(GRID_SUBJECTS)).save(folder / "grid.png")
        return [update, seconds, loss]

    training.run(step, point)
    pipeline = make_pipeline(folder, average.eval(), tokenizer)
    pipeline.save_pretrained(folder / "model", safe_serialization=True)


def grid_prompts(subjects: Sequence[str]) -> list[list[str]]:
    """One row a style, one column a subject."""
    return [[f"{style} style, {subject}" for subject in subjects] for style in STYLES]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/emoji"))
    parser.add_argument("--minutes", type=float, default=100)
    arguments = parser.parse_args()
    train(arguments.folder, arguments.minutes)
