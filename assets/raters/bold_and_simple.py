"""An example rater with a mixed taste: strong colours, a large subject, and little going on in it."""

import numpy as np
from PIL import Image

LOGITS = {"saturation": 8.0, "size": 6.0, "detail": -20.0}


def utility(image: Image.Image, prompt: str) -> float:  # noqa: ARG001 - this taste is the same for every prompt
    """Weighted sum of the subject's saturation, its share of the picture and the mean step between neighbouring pixels, in logits."""
    pixels = np.asarray(image.convert("RGB"), dtype=float) / 255
    ink = pixels.min(axis=2) < 0.9
    chroma = pixels.max(axis=2) - pixels.min(axis=2)
    parts = {
        "saturation": float(chroma[ink].mean()) if ink.any() else 0.0,
        "size": float(ink.mean()),
        "detail": float(np.abs(np.diff(pixels, axis=1)).mean()),
    }
    return sum(LOGITS[name] * value for name, value in parts.items())
