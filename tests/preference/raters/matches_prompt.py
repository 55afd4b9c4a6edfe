"""A rater for evaluation: likes pictures that show what their prompt says, by the embedded CLIP."""

from functools import cache

import torch

from rlr_core.pictures import from_pillow
from rlr_core.preference.clip import embedded_clip

read = cache(lambda: embedded_clip(torch.device("cpu")))


@torch.no_grad()
def utility(image, prompt):
    return 40.0 * float((read().images(from_pillow(image)[None]) * read().texts([prompt])).sum())
