"""A taste from answers whose pictures are given side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rlr_core.preference.evidence import Answer, Evidence, Outcome, Upload
from rlr_core.preference.taste import Taste, fit_taste


def fit_answers(
    a: Tensor, b: Tensor, outcomes: Sequence[Outcome], reference: Tensor, liked: Tensor | None = None, disliked: Tensor | None = None
) -> Taste:
    """Each outcome is of a row of `a` and one of `b`, shape (n, F); `liked` and `disliked` are features of uploads."""
    evidence: list[Evidence] = [Answer(row, len(a) + row, outcome) for row, outcome in enumerate(outcomes)]
    parts = [a, b]
    for pictures, is_liked in ((liked, True), (disliked, False)):
        if pictures is not None:
            evidence += [Upload(sum(map(len, parts)) + row, is_liked) for row in range(len(pictures))]
            parts.append(pictures)
    return fit_taste(torch.cat(parts), evidence, reference)
