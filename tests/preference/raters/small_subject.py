"""A rater for evaluation: likes a subject within a small box."""

import numpy as np


def utility(image, prompt):
    pixels = np.asarray(image.convert("RGB"), dtype=float) / 255
    rows, columns = np.nonzero(pixels.min(axis=2) < 0.9)
    return -12.0 * float((np.ptp(rows) + 1) * (np.ptp(columns) + 1)) / pixels[..., 0].size if len(rows) else 0.0
