"""Train the embedded CLIP: a small image tower and a small text tower that agree on which caption is true of which picture.

    python -m assets.recipe.clip --minutes 35

Every batch holds two styles of each of its concepts. A caption is true of a picture of its concept and, if it names a style, of its style;
the loss is the cross-entropy between the towers' similarities and the true pairs, in both directions. Pictures are moved, scaled, flipped,
tinted, blurred and made noisy, and every second one has been through the VAE, so that the model also understands generated pictures.

One picture of every tenth concept (the style rotates) is never trained on: the curve reports how often the right name is found for it among
100 names. The same command resumes from its checkpoint; a larger `--minutes` continues.
"""

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from assets.recipe.data import IMAGE_SIZE, STYLES, Record, load
from assets.recipe.generator import CAPTION_WEIGHTS, captions_of
from assets.recipe.tokenizer import train_tokenizer
from assets.recipe.training import Training, descend

CONCEPTS_IN_BATCH = 96
STYLES_IN_BATCH = 2
PEAK_LEARNING_RATE = 1e-3
WARM_UP_UPDATES = 100
MAX_TOKENS = 24
MEAN, STD = 0.75, 0.3  # of the pictures' pixels, roughly: most of a picture is white
CHECKPOINT_SECONDS = 120
CANDIDATES = 100


def make_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """The untrained model."""
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 512,
        "projection_dim": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "hidden_size": 192,
        "intermediate_size": 768,
        "projection_dim": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": IMAGE_SIZE,
        "patch_size": 16,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


@dataclass
class Data:
    """The pictures, uint8 (N, 3, 64, 64), those seen through the VAE, their records, and each caption's token ids."""

    pictures: Tensor
    decoded: Tensor
    records: list[Record]
    concepts: dict[str, list[int]]
    tokens: dict[str, Tensor]
    held_out: list[int]


def held_out_pictures(concepts: dict[str, list[int]]) -> list[int]:
    """One picture of every tenth concept that has all three styles, the style rotating."""
    complete = [rows for rows in concepts.values() if len(rows) == len(STYLES)]
    return [rows[number % len(STYLES)] for number, rows in enumerate(complete[::10])]


@torch.no_grad()
def through_vae(pictures: Tensor, vae_folder: Path) -> Tensor:
    """Encode and decode; uint8 (N, 3, H, W) to the same."""
    vae = AutoencoderTiny.from_pretrained(vae_folder)
    parts = [vae.decode(vae.encode(part.float() / 127.5 - 1).latents).sample for part in pictures.split(64)]
    return ((torch.cat(parts).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def prepare(folder: Path, vae_folder: Path) -> tuple[Data, CLIPTokenizer]:
    """Read the pictures; make the tokenizer if there is none yet."""
    images, records = load(folder)
    captions = sorted({caption for record in records for caption in captions_of(record)})
    model_folder = folder.parent / "emoji-clip" / "model"
    if (model_folder / "vocab.json").exists():
        tokenizer = CLIPTokenizer.from_pretrained(model_folder)
    else:
        tokenizer = train_tokenizer(captions, model_folder, vocab_size=2048, max_length=MAX_TOKENS)
    ids = tokenizer(captions, padding="max_length", truncation=True, max_length=MAX_TOKENS, return_tensors="pt").input_ids
    concepts: dict[str, list[int]] = {}
    for row, record in enumerate(records):
        concepts.setdefault(record.name, []).append(row)
    pictures = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    held_out = held_out_pictures(concepts)
    decoded = through_vae(pictures, vae_folder)
    return Data(pictures, decoded, records, concepts, dict(zip(captions, ids, strict=True)), held_out), tokenizer


def uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Uniform draws."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move, scale, turn, flip, tint, blur and disturb; images in [0, 1] on white, shape (B, 3, H, W), to the same."""
    size = len(images)
    angle, scale = uniform(-0.2, 0.2, (size,), generator), uniform(0.8, 1.5, (size,), generator)
    shift = uniform(-0.15, 0.15, (size, 2), generator)
    flip = 1 - 2 * torch.randint(2, (size,), generator=generator)
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([torch.stack([flip * cosine, -sine], 1), torch.stack([flip * sine, cosine], 1)], 1)
    grid = F.affine_grid(torch.cat([matrix, shift[:, :, None]], 2), list(images.shape), align_corners=False)
    images = 1 - F.grid_sample(1 - images, grid, align_corners=False)  # what comes in from outside is white
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * uniform(0.6, 1.4, (size, 1, 1, 1), generator)
    images = images * uniform(0.9, 1.1, (size, 3, 1, 1), generator)
    images = 0.7 + (images - 0.7) * uniform(0.7, 1.2, (size, 1, 1, 1), generator)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    images = images + (blurred - images) * uniform(-0.5, 1.0, (size, 1, 1, 1), generator).clamp_min(0)
    noise_std = uniform(-0.08, 0.08, (size, 1, 1, 1), generator).clamp_min(0)
    return (images + noise_std * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def normalise(images: Tensor) -> Tensor:
    """Images in [0, 1] to what the model sees."""
    return (images - MEAN) / STD


def draw_batch(data: Data, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Augmented pictures (B, 3, H, W), one caption's ids for each (B, tokens), and which caption is true of which picture (B, B)."""
    names = list(data.concepts)
    hidden = set(data.held_out)
    rows: list[int] = []
    for number in torch.randperm(len(names), generator=generator)[:CONCEPTS_IN_BATCH].tolist():
        known = [row for row in data.concepts[names[number]] if row not in hidden]
        order = torch.randperm(len(known), generator=generator)[:STYLES_IN_BATCH].tolist()
        rows += [known[place] for place in order]
    weights = torch.tensor([*CAPTION_WEIGHTS, 1 - sum(CAPTION_WEIGHTS)])
    kinds = torch.multinomial(weights, len(rows), replacement=True, generator=generator).tolist()
    captions = []
    for row, kind in zip(rows, kinds, strict=True):
        known_captions = captions_of(data.records[row])
        synonym = int(torch.randint(100, (1,), generator=generator)) % max(1, len(known_captions) - 3)
        captions.append(known_captions[min(kind + synonym if kind == 3 else kind, len(known_captions) - 1)])  # noqa: PLR2004
    concept = [data.records[row].name for row in rows]
    style = [data.records[row].style for row in rows]
    is_style_free = [kind == 2 for kind in kinds]  # noqa: PLR2004
    true = torch.tensor(
        [[concept[i] == concept[j] and (is_style_free[j] or style[i] == style[j]) for j in range(len(rows))] for i in range(len(rows))]
    )
    index = torch.tensor(rows)
    is_decoded = torch.rand(len(rows), generator=generator) < 0.5  # noqa: PLR2004
    pictures = torch.where(is_decoded.view(-1, 1, 1, 1), data.decoded[index], data.pictures[index])
    ids = torch.stack([data.tokens[caption] for caption in captions])
    ids = ids[:, : int((ids == ids.max()).int().argmax(1).max()) + 1]  # nothing after the longest caption's end
    return augment(pictures.float() / 255, generator), ids, true.float()


def embed(clip: CLIPModel, images: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Unit embeddings of pictures in [0, 1] and of captions, each shape (B, 128)."""
    seen = clip.get_image_features(normalise(images)).pooler_output
    read = clip.get_text_features(ids).pooler_output
    return F.normalize(seen.float(), dim=-1), F.normalize(read.float(), dim=-1)


def contrastive_loss(similarity: Tensor, true: Tensor) -> Tensor:
    """Cross-entropy towards the true pairs, shared equally among several, from pictures to captions and back; both (B, B)."""
    there = -(true / true.sum(1, keepdim=True) * similarity.log_softmax(1)).sum(1).mean()
    back = -(true / true.sum(0, keepdim=True) * similarity.log_softmax(0)).sum(0).mean()
    return (there + back) / 2


@torch.no_grad()
def retrieval(clip: CLIPModel, data: Data) -> dict[str, float]:
    """Shares of held-out pictures whose right name comes first among 100, and whose right style does among three."""
    clip.eval()
    names = [data.records[row].name for row in data.held_out]
    found = {}
    for kind, pictures in (("plain", data.pictures), ("vae", data.decoded)):
        images = pictures[data.held_out].float() / 255
        seen, read = embed(clip, images, torch.stack([data.tokens[name] for name in names]))
        similarity = seen @ read.T
        groups = [[(row + step) % len(names) for step in range(CANDIDATES)] for row in range(len(names))]
        found[kind] = sum(float(similarity[row, group].argmax() == 0) for row, group in enumerate(groups)) / len(names)
    styled = torch.stack([data.tokens[f"{style} style, {name}"] for name in names for style in STYLES])
    read = F.normalize(clip.get_text_features(styled).pooler_output, dim=-1).view(len(names), len(STYLES), -1)
    right = torch.tensor([STYLES.index(data.records[row].style) for row in data.held_out])
    found["style"] = float(((seen[:, None] * read).sum(-1).argmax(1) == right).float().mean())
    clip.train()
    return found


def learning_rate(progress: float, update: int) -> float:
    """Warm-up, then half a cosine over the time."""
    return PEAK_LEARNING_RATE * min(1.0, (update + 1) / WARM_UP_UPDATES) * max(0.02, 0.5 + 0.5 * math.cos(math.pi * progress))


def save(clip: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the transformers folder: float16 weights, tokenizer, and what an image processor has to do."""
    clip.half().save_pretrained(folder)
    clip.float()
    tokenizer.save_pretrained(folder)
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        "resample": 3,
        "do_center_crop": False,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [MEAN] * 3,
        "image_std": [STD] * 3,
        "do_convert_rgb": True,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2) + "\n")


def train(folder: Path, vae_folder: Path, minutes: float) -> None:
    """Train until `minutes` have been spent in all, over every run of this command."""
    out = folder.parent / "emoji-clip"
    data, tokenizer = prepare(folder, vae_folder)
    torch.manual_seed(0)
    clip = make_clip(tokenizer).train()
    clip.set_attn_implementation("eager")  # twice as fast as the fused one for so few patches in bfloat16 on a CPU
    optimizer = torch.optim.AdamW(clip.parameters(), betas=(0.9, 0.98), weight_decay=0.1)
    parts = {"clip": clip, "optimizer": optimizer}
    training = Training(out / "clip.pt", out / "curve.json", minutes, CHECKPOINT_SECONDS, parts)

    def step(share: float, update: int) -> float:
        images, ids, true = draw_batch(data, training.generator)
        with torch.autocast("cpu", torch.bfloat16):
            seen, read = embed(clip, images, ids)
        loss = contrastive_loss(clip.logit_scale.clamp(max=math.log(100)).exp() * seen @ read.T, true)
        descend(optimizer, loss, learning_rate(share, update))
        return loss.item()

    training.run(step, lambda update, seconds, loss: {"update": update, "seconds": seconds, "loss": loss, **retrieval(clip, data)})
    save(clip.eval(), tokenizer, out / "model")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/emoji"))
    parser.add_argument("--vae", type=Path, default=Path("build/emoji/model/vae"))
    parser.add_argument("--minutes", type=float, default=35)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train(arguments.folder, arguments.vae, arguments.minutes)
