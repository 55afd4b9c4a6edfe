"""Randomness by name: every consumer has its own generator, derived from a seed and the path that names the consumer.

    generator(seed, "round", 3, "update", 7, "image", 0)

Nothing draws from the global generator, so a resumed run repeats an uninterrupted one bit for bit, and the batch size never changes a
picture. Draws are made on the CPU and moved, so the device does not change them either.
"""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def derive_seed(seed: int, *path: int | str) -> int:
    """A 63-bit seed for the consumer named by `path`: the first bytes of SHA-256 of seed and path."""
    text = "/".join([str(seed), *(str(part) for part in path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *path: int | str) -> torch.Generator:
    """A CPU generator for the consumer named by `path`."""
    return torch.Generator().manual_seed(derive_seed(seed, *path))


def image_generators(seed: int, *path: int | str, count: int, first: int = 0) -> list[torch.Generator]:
    """One generator an image: for images `first` to `first + count - 1` of the consumer named by `path`."""
    return [generator(seed, *path, "image", index) for index in range(first, first + count)]


def standard_normal(event_shape: Sequence[int], generators: Sequence[torch.Generator], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Unit Gaussian noise, shape (B, *event): row i is drawn from generators[i] alone."""
    rows = [torch.randn(tuple(event_shape), generator=each, dtype=dtype) for each in generators]
    return torch.stack(rows).to(device)
