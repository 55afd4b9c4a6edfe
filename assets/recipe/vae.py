"""Train the embedded model's VAE: AutoencoderTiny, 64 px <-> 8x8 latents of 16 channels with mean 0 and standard deviation 1.

    python -m assets.recipe.vae --minutes 12

Loss: L1 + L2 + L1 of the image gradients, plus a small pull of each latent channel to mean 0, standard deviation 1 (so that the scaling
factor is 1 and the diffusion's noise has the right size). Latents get a little noise before decoding, so that the decoder forgives the
generator's errors. Resumes from its checkpoint; the same command continues.
"""

import argparse
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import Tensor

from assets.recipe.data import load

LATENT_NOISE_STD = 0.05
BATCH = 32


def make_vae() -> AutoencoderTiny:
    """The untrained VAE."""
    return AutoencoderTiny(
        encoder_block_out_channels=(48, 48, 48, 48),
        decoder_block_out_channels=(48, 48, 48, 48),
        num_encoder_blocks=(0, 1, 1, 2),
        num_decoder_blocks=(2, 2, 1, 1),
        latent_channels=16,
        scaling_factor=1.0,
        force_upcast=False,
    )


def reconstruction_loss(decoded: Tensor, target: Tensor) -> Tensor:
    """L1 + 2 L2 + L1 of horizontal and vertical differences; images in [-1, 1], shape (B, 3, H, W)."""
    loss = F.l1_loss(decoded, target) + 2 * F.mse_loss(decoded, target)
    for axis in (2, 3):
        loss = loss + F.l1_loss(decoded.diff(dim=axis), target.diff(dim=axis))
    return loss


def unit_latent_penalty(latents: Tensor) -> Tensor:
    """Squared distance of each channel's mean from 0 and standard deviation from 1; latents (B, C, h, w)."""
    flat = latents.transpose(0, 1).flatten(1)
    return (flat.mean(1) ** 2 + (flat.std(1) - 1) ** 2).mean()


@torch.no_grad()
def psnr(vae: AutoencoderTiny, images: Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB of the round trip; images in [-1, 1], shape (B, 3, H, W)."""
    decoded = torch.cat([vae.decode(vae.encode(part).latents).sample for part in images.split(64)]).clamp(-1, 1)
    mse = ((decoded - images) / 2).pow(2).mean(dim=(1, 2, 3))
    return float((-10 * torch.log10(mse.clamp_min(1e-10))).mean())


def to_tensor(images) -> Tensor:  # noqa: ANN001
    """uint8 (N, H, W, 3) -> float in [-1, 1], (N, 3, H, W)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()


def train(folder: Path, minutes: float) -> None:
    """Train until `minutes` of training have been spent in all, over every run of this command."""
    images, records = load(folder)
    pixels = to_tensor(images)
    held_out = torch.tensor([record.is_held_out for record in records])
    training, validation = pixels[~held_out], pixels[held_out]
    torch.manual_seed(0)
    vae = make_vae().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=0.0)
    state = {"spent": 0.0, "update": 0, "curve": []}
    checkpoint = folder / "vae.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        vae.load_state_dict(saved["vae"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
    generator = torch.Generator().manual_seed(1 + state["update"])
    started, spent_before = time.monotonic(), state["spent"]
    while state["spent"] < minutes * 60:
        progress = min(state["spent"] / (minutes * 60), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (state["update"] + 1) / 50) * max(0.02, 1 - progress**2)
        batch = training[torch.randint(len(training), (BATCH,), generator=generator)]
        batch = batch.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            latents = vae.encode(batch).latents
            noise = torch.randn(latents.shape, generator=generator)
            decoded = vae.decode(latents + LATENT_NOISE_STD * noise).sample
        loss = reconstruction_loss(decoded.float(), batch) + 0.02 * unit_latent_penalty(latents.float())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        state["update"] += 1
        state["spent"] = spent_before + time.monotonic() - started
        if state["update"] % 200 == 0:
            _record(folder, vae, optimizer, state, validation, loss.item())
    _record(folder, vae, optimizer, state, validation, loss.item())
    vae.save_pretrained(folder / "model" / "vae")


def _record(folder: Path, vae, optimizer, state: dict, validation: Tensor, loss: float) -> None:  # noqa: ANN001, PLR0913
    state["curve"].append([state["update"], round(state["spent"]), loss, psnr(vae, validation)])
    print(*state["curve"][-1], flush=True)  # noqa: T201
    torch.save({"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "state": state}, folder / "vae.pt.new")
    (folder / "vae.pt.new").replace(folder / "vae.pt")
    (folder / "vae-curve.json").write_text(json.dumps(state["curve"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/emoji"))
    parser.add_argument("--minutes", type=float, default=12)
    arguments = parser.parse_args()
    train(arguments.folder, arguments.minutes)
