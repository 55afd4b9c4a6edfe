"""Some seventy numbers a person could name about a picture: its colours, its subject's size and place, its lines, its symmetry.

Each theme is one function of a `View`; all are differentiable and lie within a few units of 1. `THEMES` is their order.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-6
INK_THRESHOLD, INK_SOFTNESS = 0.12, 0.03
# Rec. 709.
LUMA_WEIGHTS = (0.2126, 0.7152, 0.0722)
# The colours people have short names for: red, orange, yellow, green, cyan, blue, purple, pink, brown, skin, grey, black, white.
PALETTE = (
    (0.85, 0.15, 0.15), (0.95, 0.55, 0.15), (1.0, 0.85, 0.25), (0.3, 0.7, 0.3), (0.3, 0.8, 0.85), (0.2, 0.4, 0.85), (0.55, 0.3, 0.75),
    (0.95, 0.5, 0.7), (0.5, 0.3, 0.2), (0.95, 0.8, 0.65), (0.6, 0.6, 0.6), (0.1, 0.1, 0.1), (1.0, 1.0, 1.0),
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """A batch of pictures with what every theme needs.

    Attributes:
        images: (B, 3, S, S) in [0, 1].
        luma: brightness of each pixel, (B, S, S).
        ink: how much each pixel differs from white paper, softly from 0 to 1, (B, S, S).
        slope: length of the colour gradient at each pixel but the last row and column, (B, S - 1, S - 1).
    """

    images: Tensor
    luma: Tensor
    ink: Tensor
    slope: Tensor

    def in_ink(self, values: Tensor) -> Tensor:
        """Mean of per-pixel values (B, ..., S, S) over the ink, shape (B, ...)."""
        ink = self.ink if values.dim() == self.ink.dim() else self.ink[:, None]
        return (values * ink).sum((-2, -1)) / (ink.sum((-2, -1)) + 1.0)


def look(images: Tensor) -> View:
    """Prepare pictures (B, 3, S, S) in [0, 1]."""
    weights = images.new_tensor(LUMA_WEIGHTS).view(3, 1, 1)
    return View(images, (images * weights).sum(1), ink_of(images), slope_of(images))


def ink_of(images: Tensor) -> Tensor:
    """0 on white, 1/2 where the darkest channel is 0.88, soon 1: (B, 3, S, S) to (B, S, S)."""
    blank = 1 / (1 + math.exp(INK_THRESHOLD / INK_SOFTNESS))
    return (torch.sigmoid((1 - images.amin(1) - INK_THRESHOLD) / INK_SOFTNESS) - blank) / (1 - blank)


def slope_of(images: Tensor) -> Tensor:
    """Root mean square over the channels of the finite colour gradient: (B, 3, S, S) to (B, S - 1, S - 1)."""
    down = images.diff(dim=2)[..., :-1]
    right = images.diff(dim=3)[..., :-1, :]
    return ((down.square() + right.square()).mean(1) + EPSILON).sqrt() - EPSILON**0.5


def mean_colour(view: View) -> Tensor:
    """Mean r, g, b of the picture and of its ink."""
    return torch.cat([view.images.mean((2, 3)), view.in_ink(view.images)], 1)


def colour_spread(view: View) -> Tensor:
    """Standard deviation of r, g, b."""
    return (view.images.var((2, 3)) + EPSILON).sqrt()


def warmth(view: View) -> Tensor:
    """Red minus blue of the picture and of its ink."""
    red_minus_blue = view.images[:, 0] - view.images[:, 2]
    return torch.stack([red_minus_blue.mean((1, 2)), view.in_ink(red_minus_blue)], 1)


def saturation(view: View) -> Tensor:
    """Largest minus smallest channel: in the picture, in its ink, and how much it varies."""
    chroma = view.images.amax(1) - view.images.amin(1)
    return torch.stack([chroma.mean((1, 2)), view.in_ink(chroma), (chroma.var((1, 2)) + EPSILON).sqrt()], 1)


def brightness(view: View) -> Tensor:
    """Brightness of the picture and of its ink."""
    return torch.stack([view.luma.mean((1, 2)), view.in_ink(view.luma)], 1)


def contrast(view: View) -> Tensor:
    """Standard deviation of the brightness, in the picture and in its ink."""
    within = view.in_ink((view.luma - view.in_ink(view.luma)[:, None, None]).square())
    return torch.stack([(view.luma.var((1, 2)) + EPSILON).sqrt(), (within + EPSILON).sqrt()], 1)


def subject_size(view: View) -> Tensor:
    """Share of ink, and its standard deviation to the sides, up and down, and in all (half the picture = 1)."""
    x, y = _axes(view)
    centre_x, centre_y = view.in_ink(x), view.in_ink(y)
    wide = view.in_ink((x - centre_x[:, None, None]).square())
    high = view.in_ink((y - centre_y[:, None, None]).square())
    radii = [(value + EPSILON).sqrt() for value in (wide, high, wide + high)]
    return torch.stack([view.ink.mean((1, 2)), *radii], 1)


def position(view: View) -> Tensor:
    """Centre of the ink, to the right and downwards, from -1 to 1."""
    x, y = _axes(view)
    return torch.stack([view.in_ink(x), view.in_ink(y)], 1)


def _axes(view: View) -> tuple[Tensor, Tensor]:
    size = view.luma.shape[-1]
    line = torch.linspace(-1, 1, size, device=view.luma.device, dtype=view.luma.dtype)
    return line.expand_as(view.luma), line[:, None].expand_as(view.luma)


def symmetry(view: View) -> Tensor:
    """Minus the mean difference from the mirror image, left-right and up-down: of the colours, and of the ink for its amount."""
    values = []
    for axis in (3, 2):
        values.append(-(view.images - view.images.flip(axis)).abs().mean((1, 2, 3)))
        difference = (view.ink - view.ink.flip(axis - 1)).abs().sum((1, 2))
        values.append(-difference / (view.ink.sum((1, 2)) + 1.0))
    return 3 * torch.stack(values, 1)


def edges(view: View) -> Tensor:
    """Mean slope at full, half and quarter size."""
    half, quarter = F.avg_pool2d(view.images, 2), F.avg_pool2d(view.images, 4)
    slopes = [view.slope, slope_of(half), slope_of(quarter)]
    return 3 * torch.stack([slope.mean((1, 2)) for slope in slopes], 1)


def texture(view: View) -> Tensor:
    """Within the ink: mean slope, share of flat pixels, share of strong edges, share of soft shading."""
    ink = view.ink[:, :-1, :-1]
    amount = ink.sum((1, 2)) + 1.0
    flat = torch.exp(-view.slope / 0.02)
    strong = torch.sigmoid((view.slope - 0.15) / 0.03)
    kinds = [view.slope * 3, flat, strong, 1 - flat - strong * (1 - flat)]
    return torch.stack([(kind * ink).sum((1, 2)) / amount for kind in kinds], 1)


def dark_ink(view: View) -> Tensor:
    """Share of dark pixels in the picture and in its ink, and of nearly black ones in the picture."""
    dark = torch.sigmoid((0.35 - view.luma) / 0.05)
    black = torch.sigmoid((0.18 - view.luma) / 0.03)
    return torch.stack([dark.mean((1, 2)), view.in_ink(dark), black.mean((1, 2))], 1)


def palette(view: View) -> Tensor:
    """Share of the ink in each colour of PALETTE."""
    return view.in_ink(_palette_shares(view))


def number_of_colours(view: View) -> Tensor:
    """Within the ink: entropy in nats of the palette and of the 64 boxes of the colour cube, and the share of boxes in use."""
    boxes = _colour_boxes(view)
    in_use = torch.sigmoid((boxes - 0.01) / 0.003) - torch.sigmoid(boxes.new_tensor(-0.01 / 0.003))
    return torch.stack([_entropy(palette(view)), _entropy(boxes), 4 * in_use.mean(1)], 1)


def _entropy(shares: Tensor) -> Tensor:
    shares = (shares + EPSILON) / (shares + EPSILON).sum(1, keepdim=True)
    return -(shares * shares.log()).sum(1)


def _colour_boxes(view: View) -> Tensor:
    """Share of the ink in each of the 4 x 4 x 4 boxes of the colour cube, with soft walls: shape (B, 64)."""
    centres = torch.linspace(0.125, 0.875, 4, device=view.images.device, dtype=view.images.dtype)
    distance = (view.images.flatten(2)[:, :, None] - centres[:, None]).square()
    red, green, blue = torch.softmax(-distance / 0.005, 2).unbind(1)
    ink = view.ink.flatten(1)[:, None]
    pairs = (red[:, :, None] * green[:, None]).flatten(1, 2)
    return (pairs @ (blue * ink).transpose(1, 2)).flatten(1) / (ink.sum(2) + 1.0)


def _palette_shares(view: View) -> Tensor:
    colours = view.images.new_tensor(PALETTE)
    distance = (view.images[:, None] - colours[None, :, :, None, None]).square().sum(2)
    return torch.softmax(-distance / 0.02, 1)


def layout(view: View) -> Tensor:
    """Ink in each ninth of the picture, row by row, then along its border."""
    ninths = F.adaptive_avg_pool2d(view.ink[:, None], 3).flatten(1)
    margin = view.ink.shape[-1] // 16
    inner = view.ink[:, margin:-margin, margin:-margin].sum((1, 2))
    border = (view.ink.sum((1, 2)) - inner) / (view.ink[0].numel() - view.ink[0, margin:-margin, margin:-margin].numel())
    return torch.cat([ninths, border[:, None]], 1)


def light_layout(view: View) -> Tensor:
    """Brightness of each ninth of the picture, row by row."""
    return F.adaptive_avg_pool2d(view.luma[:, None], 3).flatten(1)


THEMES: dict[str, Callable[[View], Tensor]] = {
    "mean colour": mean_colour,
    "colour spread": colour_spread,
    "warmth": warmth,
    "saturation": saturation,
    "brightness": brightness,
    "contrast": contrast,
    "subject size": subject_size,
    "position": position,
    "symmetry": symmetry,
    "edges": edges,
    "texture": texture,
    "dark ink": dark_ink,
    "palette": palette,
    "number of colours": number_of_colours,
    "layout": layout,
    "light layout": light_layout,
}
