"""A rater for evaluation: likes pictures that show what their prompt says.

The embedded CLIP looks at a mirrored, a moved and an enlarged copy, so that what is liked is not just what a taste has a feature of.
"""

from functools import cache

import torch
import torch.nn.functional as F

from rlr_core.pictures import from_pillow
from rlr_core.preference.clip import embedded_clip

read = cache(lambda: embedded_clip(torch.device("cpu")))


@torch.no_grad()
def utility(image, prompt):
    picture = from_pillow(image)[None]
    moved = F.pad(picture, (2, 0, 2, 0), value=1.0)[..., :-2, :-2]
    enlarged = F.interpolate(picture[..., 3:-3, 3:-3], size=picture.shape[-2:], mode="bicubic").clamp(0, 1)
    copies = torch.cat([picture.flip(3), moved, enlarged])
    return 40.0 * float((read().images(copies) @ read().texts([prompt]).T).mean())
