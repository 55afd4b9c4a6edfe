"""What a taste is fitted to: all that was said of some pictures; and the material of several sessions as one."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.preference.evidence import PICTURE_FIELDS, Evidence, shifted
from rlr_core.preference.features import EMBEDDED_FEATURES
from rlr_core.preference.taste import Taste, fit_taste


@dataclass(frozen=True)
class Material:
    """All that was said of some pictures.

    Attributes:
        features: of the pictures that were spoken of, shape (N, F).
        evidence: pictures are rows of `features`.
        reference: features of pictures of the base model it was said about, shape (r, F).
        features_name: which features they are (`FeatureEncoder.name`).
    """

    features: Tensor
    evidence: tuple[Evidence, ...]
    reference: Tensor
    features_name: str = EMBEDDED_FEATURES

    def fit(self) -> Taste:
        """The taste that explains it; raises RLRError as `fit_taste` does."""
        return fit_taste(self.features, self.evidence, self.reference, self.features_name)


def joined(parts: Sequence[Material]) -> Material:
    """The material of all, its pictures in the order of the parts.

    What several parts have in common counts once, so a taste may come back to where it was taken from, or come again with later answers. A
    picture is known by its features. The reference pictures of all are the standard together: a utility learned from the pictures of one
    base model has to tell apart those of another, and both lie within it. All parts are of the same features.
    """
    names = [[row.numpy().tobytes() for row in part.features] for part in parts]
    said = [[_saying(piece, rows) for piece in part.evidence] for part, rows in zip(parts, names, strict=True)]
    shown = [[row.numpy().tobytes() for row in part.reference] for part in parts]
    evidence: list[Evidence] = []
    first = 0
    for part, new in zip(parts, _news(said), strict=True):
        evidence += [shifted(part.evidence[number], first) for number in new]
        first += len(part.features)
    return Material(
        torch.cat([part.features for part in parts]),
        tuple(evidence),
        torch.cat([part.reference[new] for part, new in zip(parts, _news(shown), strict=True)]),
        parts[-1].features_name,
    )


def _saying(piece: Evidence, names: Sequence[bytes]) -> Hashable:
    """What was said, by whom, and of which pictures, whatever their rows."""
    opinion = tuple(value for field, value in vars(piece).items() if field not in PICTURE_FIELDS)
    return type(piece), tuple(names[row] for row in piece.pictures), opinion


def _news(parts: Sequence[Sequence[Hashable]]) -> list[list[int]]:
    """Of each part the numbers of the entries that earlier parts do not hold as well; what a part holds twice counts twice."""
    most: Counter[Hashable] = Counter()
    found = []
    for part in parts:
        seen: Counter[Hashable] = Counter()
        new = []
        for number, entry in enumerate(part):
            seen[entry] += 1
            if seen[entry] > most[entry]:
                new.append(number)
        most |= seen
        found.append(new)
    return found
