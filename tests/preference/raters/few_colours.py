"""A rater for evaluation: likes pictures of few colours (64 boxes of the colour cube that hold over 1 % of the subject)."""

import numpy as np


def utility(image, prompt):
    pixels = np.asarray(image.convert("RGB"), dtype=int)
    ink = pixels[pixels.min(axis=2) < 230] // 64
    counts = np.bincount(ink @ np.array([16, 4, 1]), minlength=64)
    return -0.8 * float((counts > 0.01 * max(len(ink), 1)).sum())
