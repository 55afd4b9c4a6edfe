"""All kinds of evidence as one: choices, in each of which one competitor beat one rival or more.

    P(i is chosen among C) = exp(u_i) / sum over j in C of exp(u_j)                        (Luce 1959; of two: Bradley and Terry 1952)

A competitor is a picture, whose utility the features explain, or a cut point, whose utility is a parameter of its own:

* an answer is a choice between two pictures; a tie is half a win for each; "both bad" is a tie in which both also lose against references;
* a thumb is a choice between the picture and its rater's threshold;
* k stars say that the picture beat cut point k - 1 and lost against cut point k. The ordered logit (McCullagh 1980) is just that:
  sigmoid(c_k - u) - sigmoid(c_k-1 - u) = sigmoid(c_k - u) sigmoid(u - c_k-1) (1 - exp(c_k-1 - c_k)); the last factor keeps the order;
* a ranking is one choice after the other, each among what is left (Plackett 1975);
* a liked upload beat reference pictures, a disliked one lost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rlr_core.preference.evidence import MOST_STARS, Answer, Evidence, Ranking, Stars, Thumb

BOTH_BAD_WEIGHT = 0.5
UPLOAD_WEIGHT = 1.0
THUMB = 0  # the number of a thumb's threshold among its rater's cut points; those of the stars are 1 to MOST_STARS - 1
# Each of the middle stars counts as given so often before the first: cut points without a picture between them keep their order.
IMAGINED_STARS = 0.5


@dataclass(frozen=True)
class Names:
    """What the columns beyond the features stand for.

    Attributes:
        raters: everybody who said something, in order of appearance.
        cuts: rater and number of every cut point.
        sided: raters of whom it is known which picture was on the left; each has a position bias.
    """

    raters: tuple[str, ...]
    cuts: tuple[tuple[str, int], ...]
    sided: tuple[str, ...]

    @property
    def num_contrasts(self) -> int:
        """Of one rater fewer than there are the consistency is free: what all share is the scale of the utility."""
        return len(self.raters) - 1


@dataclass(frozen=True)
class Choices:
    """R rows, each one rival that lost in one of C choices.

    Attributes:
        differences: rival minus winner, shape (R, F + cuts): features, then cut points.
        positions: in the column of a rater with a position bias, 1 if the rival was on the left, -1 if on the right; shape (R, sided).
        raters: whose choice it is, as that rater's row of `contrasts`; shape (R, contrasts).
        choice: the number of the row's choice, shape (R,), ascending.
        weights: how much each choice counts, shape (C,).
        sources: the number of the evidence each choice came from, shape (C,).
        gaps: upper minus lower cut point of every middle star of every rater who gave stars, shape (G, F + cuts).
        gap_raters: whose gap it is, in the same way, shape (G, contrasts).
        gap_counts: how often that star was given, shape (G,).
        names: of the columns.
    """

    differences: Tensor
    positions: Tensor
    raters: Tensor
    choice: Tensor
    weights: Tensor
    sources: Tensor
    gaps: Tensor
    gap_raters: Tensor
    gap_counts: Tensor
    names: Names

    def without(self, hidden: Sequence[int]) -> "Choices":
        """The choices of all evidence but that of these numbers, which must be answers."""
        kept = ~torch.isin(self.sources, torch.tensor(hidden, dtype=torch.long))
        rows = kept[self.choice]
        return Choices(
            self.differences[rows],
            self.positions[rows],
            self.raters[rows],
            (kept.cumsum(0) - 1)[self.choice[rows]],
            self.weights[kept],
            self.sources[kept],
            self.gaps,
            self.gap_raters,
            self.gap_counts,
            self.names,
        )


def make_choices(pictures: Tensor, evidence: Sequence[Evidence], references: Tensor) -> Choices:
    """Evidence as choices.

    Args:
        pictures: standardised features of all pictures that the evidence names, shape (N, F).
        evidence: one piece or more.
        references: standardised features of those that uploads and "both bad" are compared with, shape (r, F), r >= 1.
    """
    names = _names(evidence)
    num_cuts, first_cut = len(names.cuts), len(pictures) + len(references)
    rows = _Rows(
        references=range(len(pictures), first_cut),
        cuts={name: first_cut + number for number, name in enumerate(names.cuts)},
    )
    for source, piece in enumerate(evidence):
        rows.add(source, piece)
    competitors = torch.block_diag(torch.cat([pictures, references]), torch.eye(num_cuts, dtype=pictures.dtype))
    winner, rival, choice, side = (torch.tensor(column) for column in zip(*rows.rows, strict=True))
    rater = [evidence[source].rater for source in rows.sources]
    gaps = [name for name in names.cuts if name[1] > 1]
    given = _middle_stars(evidence)
    return Choices(
        differences=competitors[rival] - competitors[winner],
        positions=_one_hot(rater, names.sided, pictures)[choice] * side[:, None].to(pictures.dtype),
        raters=(_one_hot(rater, names.raters, pictures) @ contrasts(len(names.raters)))[choice],
        choice=choice,
        weights=torch.tensor(rows.weights, dtype=pictures.dtype),
        sources=torch.tensor(rows.sources),
        gaps=competitors[[rows.cuts[rater, k] for rater, k in gaps]] - competitors[[rows.cuts[rater, k - 1] for rater, k in gaps]],
        gap_raters=_one_hot([rater for rater, _ in gaps], names.raters, pictures) @ contrasts(len(names.raters)),
        gap_counts=pictures.new_tensor([given.get(name, 0) + IMAGINED_STARS for name in gaps]),
        names=names,
    )


def _names(evidence: Sequence[Evidence]) -> Names:
    cuts: dict[tuple[str, int], None] = {}
    for piece in evidence:
        if isinstance(piece, Thumb):
            cuts[piece.rater, THUMB] = None
        elif isinstance(piece, Stars):
            cuts |= {(piece.rater, number): None for number in range(1, MOST_STARS)}
    sided = [piece.rater for piece in evidence if isinstance(piece, Answer) and piece.left is not None]
    return Names(tuple(dict.fromkeys(piece.rater for piece in evidence)), tuple(cuts), tuple(dict.fromkeys(sided)))


def contrasts(count: int) -> Tensor:
    """An orthonormal basis of what `count` numbers with the sum 0 can be, shape (count, count - 1)."""
    centred = torch.eye(count, dtype=torch.float64) - 1 / count
    return torch.linalg.qr(centred[:, : count - 1]).Q


def _middle_stars(evidence: Sequence[Evidence]) -> dict[tuple[str, int], int]:
    """How often each rater gave each number of stars, by rater and number."""
    counts: dict[tuple[str, int], int] = {}
    for piece in evidence:
        if isinstance(piece, Stars):
            counts[piece.rater, piece.stars] = counts.get((piece.rater, piece.stars), 0) + 1
    return counts


def _one_hot(values: Sequence[str], columns: Sequence[str], like: Tensor) -> Tensor:
    """Shape (values, columns): a one where a value is a column's; a row of zeros for one that has no column."""
    number = {name: place for place, name in enumerate(columns)}
    places = torch.tensor([number.get(value, len(columns)) for value in values], dtype=torch.long)
    return torch.eye(len(columns) + 1, len(columns), dtype=like.dtype)[places]


class _Rows:
    """Collects choices; competitors are numbered: the pictures, then `references`, then `cuts`."""

    def __init__(self, references: range, cuts: dict[tuple[str, int], int]) -> None:
        self.references = references
        self.cuts = cuts
        self.rows: list[tuple[int, int, int, int]] = []  # winner, rival, choice, side
        self.weights: list[float] = []
        self.sources: list[int] = []

    def add(self, source: int, piece: Evidence) -> None:
        """The choices of one piece of evidence."""
        if isinstance(piece, Answer):
            self._answer(source, piece)
        elif isinstance(piece, Thumb):
            threshold = self.cuts[piece.rater, THUMB]
            self._choice(source, *((piece.picture, threshold) if piece.up else (threshold, piece.picture)))
        elif isinstance(piece, Stars):
            if piece.stars > 1:
                self._choice(source, piece.picture, self.cuts[piece.rater, piece.stars - 1])
            if piece.stars < MOST_STARS:
                self._choice(source, self.cuts[piece.rater, piece.stars], piece.picture)
        elif isinstance(piece, Ranking):
            for place in range(min(piece.num_ordered, len(piece.pictures) - 1)):
                self._choice(source, *piece.pictures[place:])
        else:
            self._against_references(source, piece.picture, piece.liked, UPLOAD_WEIGHT)

    def _answer(self, source: int, answer: Answer) -> None:
        b_is_left = 0 if answer.left is None else (1 if answer.left == "b" else -1)
        if answer.outcome in ("a", "b"):
            self._choice(
                source, *((answer.a, answer.b) if answer.outcome == "a" else (answer.b, answer.a)), side=self._of(answer, b_is_left)
            )
            return
        self._choice(source, answer.a, answer.b, weight=0.5, side=b_is_left)
        self._choice(source, answer.b, answer.a, weight=0.5, side=-b_is_left)
        if answer.outcome == "both_bad":
            for picture in answer.pictures:
                self._against_references(source, picture, False, BOTH_BAD_WEIGHT)

    @staticmethod
    def _of(answer: Answer, b_is_left: int) -> int:
        """The side of the rival: b's if a won, else a's."""
        return b_is_left if answer.outcome == "a" else -b_is_left

    def _against_references(self, source: int, picture: int, won: bool, weight: float) -> None:
        for reference in self.references:
            self._choice(source, *((picture, reference) if won else (reference, picture)), weight=weight / len(self.references))

    def _choice(self, source: int, winner: int, *rivals: int, weight: float = 1.0, side: int = 0) -> None:
        self.rows += [(winner, rival, len(self.weights), side) for rival in rivals]
        self.weights.append(weight)
        self.sources.append(source)
