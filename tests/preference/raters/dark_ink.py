"""A rater for evaluation: likes much dark ink."""

import numpy as np


def utility(image, prompt):
    brightness = np.asarray(image.convert("L"), dtype=float) / 255
    return 28.0 * float((brightness < 0.35).mean())
