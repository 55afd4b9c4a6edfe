"""Train the embedded model's VAE: AutoencoderTiny, 64 px <-> 8x8 latents of 16 channels with mean 0 and standard deviation 1.

    python -m assets.recipe.vae --minutes 12

Loss: L1 + L2 + L1 of the image gradients, plus a small pull of each latent channel to mean 0, standard deviation 1 (so that the scaling
factor is 1 and the diffusion's noise has the right size). Latents get a little noise before decoding, so that the decoder forgives the
generator's errors. Resumes from its checkpoint; the same command continues.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny
from torch import Tensor

from assets.recipe.data import load
from assets.recipe.training import Training, descend

LATENT_NOISE_STD = 0.05
BATCH = 32
CHECKPOINT_SECONDS = 30


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
    seen, validation = pixels[~held_out], pixels[held_out]
    torch.manual_seed(0)
    vae = make_vae().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=0.0)
    parts = {"vae": vae, "optimizer": optimizer}
    training = Training(folder / "vae.pt", folder / "vae-curve.json", minutes, CHECKPOINT_SECONDS, parts)

    def step(share: float, update: int) -> float:
        batch = seen[torch.randint(len(seen), (BATCH,), generator=training.generator)]
        batch = batch.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            latents = vae.encode(batch).latents
            noise = torch.randn(latents.shape, generator=training.generator)
            decoded = vae.decode(latents + LATENT_NOISE_STD * noise).sample
        loss = reconstruction_loss(decoded.float(), batch) + 0.02 * unit_latent_penalty(latents.float())
        descend(optimizer, loss, 2e-3 * min(1, (update + 1) / 50) * max(0.02, 1 - share**2))
        return loss.item()

    training.run(step, lambda update, seconds, loss: [update, seconds, loss, psnr(vae, validation)])
    vae.save_pretrained(folder / "model" / "vae")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/emoji"))
    parser.add_argument("--minutes", type=float, default=12)
    arguments = parser.parse_args()
    train(arguments.folder, arguments.minutes)
