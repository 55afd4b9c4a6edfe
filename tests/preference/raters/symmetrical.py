"""A rater for evaluation: likes pictures that equal their mirror image."""

import numpy as np


def utility(image, prompt):
    pixels = np.asarray(image.convert("RGB"), dtype=float) / 255
    return -28.0 * float(np.abs(pixels - pixels[:, ::-1]).mean())
