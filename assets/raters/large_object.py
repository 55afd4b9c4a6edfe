"""An example rater: likes a subject that fills the picture."""

import numpy as np
from PIL import Image

LOGITS_PER_UNIT = 12.0


def utility(image: Image.Image, prompt: str) -> float:  # noqa: ARG001 - this taste is the same for every prompt
    """Share of the picture that is not white paper, in logits."""
    pixels = np.asarray(image.convert("RGB"), dtype=float) / 255
    return LOGITS_PER_UNIT * float((pixels.min(axis=2) < 0.9).mean())
