"""An example rater: likes flat areas of one colour, dislikes shading and fine texture."""

import numpy as np
from PIL import Image

LOGITS_PER_UNIT = 12.0
FLAT = 0.02  # largest change of a channel between neighbouring pixels that still counts as one colour


def utility(image: Image.Image, prompt: str) -> float:  # noqa: ARG001 - this taste is the same for every prompt
    """Share of the subject's pixels that have the colour of their right and lower neighbours, in logits."""
    pixels = np.asarray(image.convert("RGB"), dtype=float) / 255
    right = np.abs(np.diff(pixels, axis=1))[:-1].max(axis=2)
    down = np.abs(np.diff(pixels, axis=0))[:, :-1].max(axis=2)
    ink = pixels[:-1, :-1].min(axis=2) < 0.9
    return LOGITS_PER_UNIT * float((np.maximum(right, down) < FLAT)[ink].mean()) if ink.any() else 0.0
