"""The gauges of drift: from pictures to numbers, and from two sets of pictures to a `Drift`.

All pure functions. The statistics are those a taste is learned from (`rlr_core/preference/statistics.py`), taken at the picture's own size,
because a cheating model may write its grid into single pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import torch
import torch.nn.functional as F
from torch import Tensor

from rlr_core.drift import GAUGES, Drift, DriftSettings, Reading, read
from rlr_core.preference.statistics import View, contrast, dark_ink, look, number_of_colours, saturation, slope_of

EDGE_SLOPE = 0.08
# A square of a grid of this many is blank if its colours' standard deviation is below BLANK_SPREAD: two steps of 8 bits are still noise.
BLANK_GRID = 8
BLANK_SPREAD = 0.02
Adapter = Mapping[str, Tensor]


@dataclass(frozen=True)
class PictureSet:
    """What is known of one set of pictures.

    Attributes:
        images: in [0, 1], shape (n, 3, H, W).
        prompts: n of them.
        features: CLIP's unit vectors of the pictures, shape (n, D); without them there is no diversity.
        text_margins: cosine with the own prompt minus the mean cosine with others, shape (n,); without them there is no text match.
        adapter: the LoRA's tensors by name; none for the base model.
    """

    images: Tensor
    prompts: tuple[str, ...]
    features: Tensor | None = None
    text_margins: Tensor | None = None
    adapter: Adapter | None = None


def measure_drift(
    start: PictureSet, now: PictureSet, settings: DriftSettings, factor: float = 1.0, accepted: Mapping[str, float] | None = None
) -> Drift:
    """How far `now` is from `start`, the same prompts and seeds in the same order.

    Args:
        factor: every limit is multiplied by it.
        accepted: sizes of changes that a person went on in spite of, by gauge; limits count from there.
    """
    before, after = gauge_values(start), gauge_values(now)
    known = accepted or {}
    limits = {name: factor * getattr(settings, name) for name in GAUGES}
    limits = {name: limit + known.get(name, 0.0) if limit > 0 else 0.0 for name, limit in limits.items()}
    return Drift(
        tuple(_compare(name, before[name], after[name], limits[name], settings.margin) for name in GAUGES if name in before.keys() & after)
    )


def _compare(name: str, start: Tensor, now: Tensor, limit: float, margin: float) -> Reading:
    """start and now: one value a picture (or prompt), shape (n,).

    The change is a ratio of two means, so its error is that of the ratio estimator: sd(difference - change * start) / (sqrt(n) |mean|).
    Colours that became half as strong again in every picture have none, however colourful each was. Cochran (1977), section 6.4.
    """
    start, now = start.double(), now.double()
    difference, mean, floor = now - start, float(start.mean()), GAUGES[name].floor
    change = float(difference.mean()) / max(abs(mean), floor)
    unexplained = difference - difference.mean() / mean * start if abs(mean) > floor else difference
    error = inf if len(difference) < 2 else float(unexplained.std()) / len(difference) ** 0.5 / max(abs(mean), floor)  # noqa: PLR2004
    return read(name, mean, float(now.mean()), (change, 0.0 if GAUGES[name].is_exact else error), limit, margin)


@torch.no_grad()
def gauge_values(pictures: PictureSet) -> dict[str, Tensor]:
    """Every gauge that can be measured, by name: one value a picture, shape (n,); a prompt, for diversity; or one, for the norm."""
    # One picture at a time: the shares of colours of a large one take many times its own memory.
    rows = [picture_gauges(image[None].float()) for image in pictures.images]
    values = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    if pictures.features is not None:
        values["diversity"] = diversity(pictures.features, pictures.prompts)
    if pictures.text_margins is not None:
        values["text_match"] = pictures.text_margins
    if pictures.adapter is not None:
        values["lora_norm"] = torch.tensor([lora_norm(pictures.adapter)])
    return {name: each for name, each in values.items() if len(each)}


def picture_gauges(images: Tensor) -> dict[str, Tensor]:
    """The gauges of single pictures: (B, 3, H, W) in [0, 1] to (B,) each."""
    view = look(images)
    return {
        "saturation": saturation(view)[:, 0],
        "contrast": contrast(view)[:, 0],
        "edges": edge_share(view),
        "colours": colour_entropy(view),
        "dark": dark_ink(view)[:, 0],
        "blank": blank_share(images),
    }


def edge_share(view: View) -> Tensor:
    """Share of pixels where the brightness changes by more than EDGE_SLOPE to the next, (B,); colours alone make no edge."""
    return (slope_of(view.luma[:, None]) > EDGE_SLOPE).double().mean((1, 2))


def colour_entropy(view: View) -> Tensor:
    """Entropy in nats of the shares of the colour cube's 64 boxes, in the whole picture and not its ink alone, (B,)."""
    whole = replace(view, ink=torch.ones_like(view.ink))
    return number_of_colours(whole)[:, 1]


def blank_share(images: Tensor) -> Tensor:
    """Share of the BLANK_GRID x BLANK_GRID squares of a picture that show a plain colour: (B, 3, H, W) to (B,)."""
    mean, mean_square = (F.adaptive_avg_pool2d(values.double(), BLANK_GRID) for values in (images, images.square()))
    spread = (mean_square - mean.square()).clamp_min(0).mean(1).sqrt()
    return (spread < BLANK_SPREAD).double().mean((1, 2))


def diversity(features: Tensor, prompts: Sequence[str]) -> Tensor:
    """Mean distance 1 - cosine between the pictures of a prompt, for each prompt that has several: unit vectors (n, D) to (p,)."""
    groups = [[row for row, each in enumerate(prompts) if each == prompt] for prompt in dict.fromkeys(prompts)]
    distances = [_mean_distance(features[rows]) for rows in groups if len(rows) > 1]
    return torch.stack(distances) if distances else features.new_zeros(0)


def _mean_distance(features: Tensor) -> Tensor:
    """Over all pairs of rows, shape ()."""
    cosines = features @ features.T
    first, second = torch.triu_indices(len(features), len(features), offset=1)
    return (1 - cosines[first, second]).mean()


def lora_norm(adapter: Adapter) -> float:
    """Length of all that the LoRA adds to the weights, sqrt(sum over layers of |B A|_F^2); 0 for a fresh or an absent one.

    |B A|_F^2 = <B^T B, A A^T>, so that the weights' own size is never made.
    """
    total = 0.0
    for name, a in adapter.items():
        if ".lora_A." in name:
            a, b = a.double(), adapter[name.replace(".lora_A.", ".lora_B.")].double()
            total += float(((b.T @ b) * (a @ a.T)).sum())
    return max(total, 0.0) ** 0.5
