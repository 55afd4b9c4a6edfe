"""An example rater: likes pictures whose subject is red, orange and yellow rather than blue."""

import numpy as np
from PIL import Image

LOGITS_PER_UNIT = 8.0


def utility(image: Image.Image, prompt: str) -> float:  # noqa: ARG001 - this taste is the same for every prompt
    """Mean of red minus blue over the pixels that are not white paper, in logits."""
    pixels = np.asarray(image.convert("RGB"), dtype=float) / 255
    ink = pixels.min(axis=2) < 0.9
    return LOGITS_PER_UNIT * float((pixels[..., 0] - pixels[..., 2])[ink].mean()) if ink.any() else 0.0
