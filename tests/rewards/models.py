"""The networks that rewards are made of, at tiny size, with random weights made from a seed, written as they are published."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    BlipConfig,
    BlipTextConfig,
    BlipVisionConfig,
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    SiglipConfig,
    SiglipModel,
    SiglipTextConfig,
    SiglipVisionConfig,
)

from tests.tiny import MAX_TOKENS, tiny_tokenizer

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
SIDE, PATCH, WIDTH, LAYERS, HEADS, DIMENSION = 16, 4, 32, 2, 4, 12
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "heart", "blue", "square", "cat", "face")


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """The module with weights of a size at which every one of them matters, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = make()
        for parameter in made.parameters():
            if parameter.ndim < 2:  # biases, scales of layer norms, single vectors
                parameter.data.add_(0.3 * torch.randn(parameter.shape))
            else:
                nn.init.normal_(parameter, std=0.3)
    return made.eval()


def clip_config() -> CLIPConfig:
    tokenizer = tiny_tokenizer()
    tower = {
        "hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "hidden_act": "gelu", "projection_dim": DIMENSION,
    }  # fmt: skip
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=MAX_TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **tower,
    )
    vision = CLIPVisionConfig(image_size=SIDE, patch_size=PATCH, **tower)
    return CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=DIMENSION)


def write_processor(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": MEAN, "image_std": STD}))


def write_clip(folder: Path, seed: int = 0) -> CLIPModel:
    """A whole CLIP as transformers saves it; the model."""
    model = seeded(lambda: CLIPModel(clip_config()), seed)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    write_processor(folder)
    return model


def write_siglip(folder: Path) -> SiglipModel:
    """A whole SigLIP as transformers saves it, without the tokenizer; the model."""
    tower = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    text = SiglipTextConfig(vocab_size=len(WORDS), max_position_embeddings=MAX_TOKENS, projection_size=WIDTH, **tower)
    vision = SiglipVisionConfig(image_size=SIDE, patch_size=PATCH, **tower)
    model = seeded(lambda: SiglipModel(SiglipConfig(text_config=text.to_dict(), vision_config=vision.to_dict())))
    model.save_pretrained(folder)
    write_processor(folder)
    return model


def write_head(path: Path, widths: tuple[int, ...], prefix: str = "", seed: int = 0) -> nn.Sequential:
    """A score head with the numbers that dropout leaves between the layers of the published ones; the module."""
    drawing = torch.Generator().manual_seed(seed)
    layers = nn.Sequential()
    for width, after in zip(widths, widths[1:], strict=False):
        layers.append(nn.Linear(width, after))
        nn.init.normal_(layers[-1].weight, std=width**-0.5, generator=drawing)
        nn.init.normal_(layers[-1].bias, generator=drawing)
    save_file(head_state(layers, prefix), path)
    return layers


def head_state(layers: nn.Sequential, prefix: str = "") -> dict[str, Tensor]:
    numbers = [*range(0, 2 * len(layers) - 2, 2), 2 * len(layers) - 3]
    return {
        f"{prefix}layers.{number}.{part}": tensor
        for number, layer in zip(numbers, layers, strict=True)
        for part, tensor in layer.state_dict().items()
    }


class OpenClipBlock(nn.Module):
    """open_clip's ResidualAttentionBlock."""

    def __init__(self) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.ln_2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(WIDTH, 2 * WIDTH))
        self.mlp.add_module("gelu", nn.GELU())
        self.mlp.add_module("c_proj", nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class OpenClipTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList([OpenClipBlock() for _ in range(LAYERS)])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for block in self.resblocks:
            x = block(x, mask)
        return x


class OpenClipVision(nn.Module):
    """open_clip's VisionTransformer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTH, PATCH, PATCH, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(WIDTH))
        self.positional_embedding = nn.Parameter(torch.zeros((SIDE // PATCH) ** 2 + 1, WIDTH))
        self.ln_pre, self.ln_post = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.transformer = OpenClipTransformer()
        self.proj = nn.Parameter(torch.zeros(WIDTH, DIMENSION))

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.conv1(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(pixels), 1, -1), patches], 1) + self.positional_embedding
        return self.ln_post(self.transformer(self.ln_pre(x))[:, 0]) @ self.proj


class OpenClip(nn.Module):
    """open_clip's CLIP, written from its description with torch's own attention; names and layout are those of its checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = OpenClipVision()
        self.transformer = OpenClipTransformer()
        self.token_embedding = nn.Embedding(len(tiny_tokenizer()), WIDTH)
        self.positional_embedding = nn.Parameter(torch.zeros(MAX_TOKENS, WIDTH))
        self.ln_final = nn.LayerNorm(WIDTH)
        self.text_projection = nn.Parameter(torch.zeros(WIDTH, DIMENSION))
        self.logit_scale = nn.Parameter(torch.zeros(()))

    def texts(self, ids: Tensor) -> Tensor:
        mask = torch.full((ids.shape[1], ids.shape[1]), -torch.inf).triu(1)
        x = self.ln_final(self.transformer(self.token_embedding(ids) + self.positional_embedding, mask))
        return x[torch.arange(len(ids)), (ids == tiny_tokenizer().eos_token_id).int().argmax(1)] @ self.text_projection


class BlipBlock(nn.Module):
    """A block of BLIP's VisionTransformer, which is timm's."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6), nn.LayerNorm(WIDTH, eps=1e-6)
        self.attn = nn.Module()
        self.attn.qkv, self.attn.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Module()
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (HEADS, WIDTH // HEADS)).transpose(1, 2) for part in self.attn.qkv(self.norm1(x)).split(WIDTH, dim=-1)
        )
        seen = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.attn.proj(seen)
        return x + self.mlp.fc2(nn.functional.gelu(self.mlp.fc1(self.norm2(x))))


class BlipPictures(nn.Module):
    """BLIP's VisionTransformer."""

    def __init__(self) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, (SIDE // PATCH) ** 2 + 1, WIDTH))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.blocks = nn.ModuleList([BlipBlock() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, pixels: Tensor) -> Tensor:
        x = torch.cat([self.cls_token.expand(len(pixels), -1, -1), self.patch_embed.proj(pixels).flatten(2).transpose(1, 2)], 1)
        x = x + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def blip_texts() -> BertModel:
    """BLIP's text encoder is a BERT with cross-attention and without token types; it looks both ways."""
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        max_position_embeddings=MAX_TOKENS, is_decoder=True, add_cross_attention=True,
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False)
    model.config.is_decoder = False
    return model


def blip_config(image_size: int = 2 * SIDE) -> BlipConfig:
    """Of a BLIP for larger pictures, as the published one that ImageReward's description is taken from."""
    text = BlipTextConfig(
        vocab_size=len(WORDS), hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        max_position_embeddings=MAX_TOKENS,
    )  # fmt: skip
    vision = BlipVisionConfig(
        hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS, image_size=image_size,
        patch_size=PATCH,
    )  # fmt: skip
    return BlipConfig(text_config=text.to_dict(), vision_config=vision.to_dict())


def write_blip_description(folder: Path) -> BertTokenizer:
    """config.json, tokenizer and preprocessor_config.json; the tokenizer."""
    write_processor(folder)
    blip_config().save_pretrained(folder)
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)}, do_lower_case=True)
    tokenizer.save_pretrained(folder)
    return tokenizer
