"""An example rater: likes cool colours, but warm ones where the prompt names an animal."""

import numpy as np
from PIL import Image

LOGITS_PER_UNIT = 8.0
ANIMALS = frozenset(
    "bear beetle butterfly cat chicken cow crab crocodile dog dolphin duck elephant fish flamingo fox frog giraffe hedgehog honeybee "
    "horse koala lion monkey mouse octopus owl panda parrot penguin pig rabbit snail tiger turtle whale wolf zebra".split()
)


def utility(image: Image.Image, prompt: str) -> float:
    """Mean of blue minus red over the pixels that are not white paper, in logits; of red minus blue for an animal."""
    pixels = np.asarray(image.convert("RGB"), dtype=float) / 255
    ink = pixels.min(axis=2) < 0.9
    coolness = float((pixels[..., 2] - pixels[..., 0])[ink].mean()) if ink.any() else 0.0
    return LOGITS_PER_UNIT * (-coolness if ANIMALS & set(prompt.lower().split()) else coolness)
