"""Blending two adapters of one shape.

A layer's adapter changes its weights by B A. The blend's change is the weighted sum of the two changes,

    D = (1 - share) B_1 A_1 + share B_2 A_2,

whose rank is up to twice the adapters' rank r, and a session's adapters all have rank r. So D is brought back to rank r by the singular
value decomposition D = U S V^T: keeping the r largest singular values is the nearest matrix of rank r there is (Eckart and Young 1936), and
what was lost is reported. The weighted sums of the A and of the B would be cheaper and wrong: their product has cross terms B_1 A_2.

D itself, shape (out, in), is never formed. With the thin QR decompositions [B_1 B_2] = Q_b R_b and [A_1; A_2]^T = Q_a R_a,

    D = Q_b (R_b diag((1 - share) I, share I) R_a^T) Q_a^T,

and only the matrix in brackets, at most 2r by 2r, is decomposed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

DOWN, UP = ".lora_A.", ".lora_B."


@dataclass(frozen=True)
class Blend:
    """A blended adapter.

    Attributes:
        adapter: its tensors by PEFT's names, shaped as the two it was made of.
        error: the length of what rank r could not hold, relative to the length of the exact sum, both over all layers; 0 is exact.
    """

    adapter: dict[str, Tensor]
    error: float


def blend(first: Mapping[str, Tensor], second: Mapping[str, Tensor], share: float) -> Blend:
    """The nearest adapter to (1 - share) times the first's change plus `share` times the second's.

    Args:
        first, second: adapters by PEFT's names, A shape (r, in) under "<layer>.lora_A.weight" and B shape (out, r) under
            "<layer>.lora_B.weight"; of the same names and shapes.
        share: of the second, from 0 to 1.
    """
    adapter: dict[str, Tensor] = {}
    lost = whole = 0.0
    for name in first:
        if DOWN not in name:
            continue
        up = name.replace(DOWN, UP)
        down_blend, up_blend, dropped, total = _blend_layer((first[name], first[up]), (second[name], second[up]), share)
        adapter[name], adapter[up] = down_blend.to(first[name]), up_blend.to(first[up])
        lost, whole = lost + dropped, whole + total
    return Blend(adapter, (lost / whole) ** 0.5 if whole > 0 else 0.0)


def _blend_layer(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], share: float) -> tuple[Tensor, Tensor, float, float]:
    """A and B of the blend, the squared length of what they lack, and that of the exact sum."""
    (down_1, up_1), (down_2, up_2) = ((down.double(), up.double()) for down, up in (first, second))
    rank = down_1.shape[0]
    basis_up, factor_up = torch.linalg.qr(torch.cat([(1 - share) * up_1, share * up_2], 1))
    basis_down, factor_down = torch.linalg.qr(torch.cat([down_1, down_2]).T)
    left, singular, right = torch.linalg.svd(factor_up @ factor_down.T, full_matrices=False)
    squared = singular.square()
    # All singular values go into B, as training does it: A keeps the length of the first's, so that no direction of it stands still.
    scale = float(down_1.norm()) / rank**0.5 or 1.0
    up = basis_up @ left[:, :rank] * (singular[:rank] / scale)
    down = scale * right[:rank] @ basis_down.T
    missing = rank - down.shape[0]
    return pad(down, (0, 0, 0, missing)), pad(up, (0, missing)), float(squared[rank:].sum()), float(squared.sum())
