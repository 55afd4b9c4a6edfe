"""Where a pipeline runs and in which number formats: the one place that decides.

device    cuda, else mps, else cpu
weights   float32 on cpu and mps (half precision gives NaN on mps); bfloat16 on cuda, float16 where cuda has no bfloat16
rewards   bfloat16 on cuda where it has it, else float32: the derivatives by pixels are too small for float16; their scores float32
VAE       float32 where its configuration says `force_upcast`, whatever the weights' format
states, LoRA parameters and their gradients   float32; float64 under float64 weights
"""

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from torch import nn


def best_device() -> torch.device:
    """The fastest device of this machine."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def weight_dtype(device: torch.device) -> torch.dtype:
    """The number format of the base model's weights."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def reward_dtype(device: torch.device) -> torch.dtype:
    """The number format of the weights of networks that judge pictures."""
    dtype = weight_dtype(device)
    return dtype if dtype == torch.bfloat16 else torch.float32


def state_dtype(weights: torch.dtype) -> torch.dtype:
    """The number format of states and trained parameters under weights of format `weights`."""
    return torch.float64 if weights == torch.float64 else torch.float32


def place(pipeline: StableDiffusionPipeline, device: torch.device, dtype: torch.dtype | None = None) -> StableDiffusionPipeline:
    """Move a float32 pipeline to the device and into the device's number formats, or into `dtype`."""
    dtype = dtype or weight_dtype(device)
    vae_dtype = torch.float32 if pipeline.vae.config.force_upcast else dtype
    for part, wanted in ((pipeline.unet, dtype), (pipeline.text_encoder, dtype), (pipeline.vae, vae_dtype)):
        nn.Module.to(part, device, wanted)  # diffusers' own `to` warns of every cast
    if isinstance(pipeline.vae, AutoencoderKL):
        pipeline.vae.enable_slicing()  # decodes one picture at a time: eight of 512 pixels at once take 8 GB
    return pipeline
