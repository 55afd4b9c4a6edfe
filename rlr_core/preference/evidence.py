"""What a person may say of pictures. A picture is named by its row in one matrix of features; who says it, by a name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from rlr_core.errors import RLRError
from rlr_core.session.records import ME

Outcome = Literal["a", "b", "tie", "both_bad"]
Side = Literal["a", "b"]

MOST_STARS = 5


@dataclass(frozen=True)
class Answer:
    """Which of two pictures is better; `left` is the one that was shown on the left, None if that is not known.

    The two may be equal: which one was taken then tells of the position alone. An unknown outcome raises RLRError.
    """

    a: int
    b: int
    outcome: Outcome
    left: Side | None = None
    rater: str = ME

    def __post_init__(self) -> None:
        """Refuse what is no answer."""
        if self.outcome not in get_args(Outcome):
            raise RLRError(f"'{self.outcome}' answers no question: answer with one of {', '.join(get_args(Outcome))}.")

    @property
    def pictures(self) -> tuple[int, ...]:
        """The rows it is about."""
        return self.a, self.b


@dataclass(frozen=True)
class Thumb:
    """A thumb up or down for one picture."""

    picture: int
    up: bool
    rater: str = ME

    @property
    def pictures(self) -> tuple[int, ...]:
        """The row it is about."""
        return (self.picture,)


@dataclass(frozen=True)
class Stars:
    """One to five stars for one picture, more for a better one; RLRError for any other number."""

    picture: int
    stars: int
    rater: str = ME

    def __post_init__(self) -> None:
        """Refuse numbers of stars that cannot be given."""
        problem = stars_problem(self.stars)
        if problem:
            raise RLRError(problem)

    @property
    def pictures(self) -> tuple[int, ...]:
        """The row it is about."""
        return (self.picture,)


def stars_problem(stars: float) -> str | None:
    """Why a picture cannot get so many stars, in a sentence; None if it can."""
    if stars in range(1, MOST_STARS + 1):
        return None
    return f"stars = {stars}: a picture gets whole stars from 1 to {MOST_STARS}; give one of these."


@dataclass(frozen=True)
class Ranking:
    """Pictures, the first `num_ordered` of them from the best down, each better than all the rest; the rest are in no order.

    The best of four is Ranking((best, x, y, z), num_ordered=1); a full order of n pictures has num_ordered = n - 1 or n.

    Raises:
        RLRError: if there are fewer than two pictures, one is there twice, or num_ordered is not from 1 to their number.
    """

    pictures: tuple[int, ...]
    num_ordered: int
    rater: str = ME

    def __post_init__(self) -> None:
        """Refuse what cannot be an order."""
        problem = order_problem(self.pictures, self.num_ordered)
        if problem:
            raise RLRError(problem)


def order_problem(pictures: Sequence[int | str], num_ordered: int) -> str | None:
    """Why these pictures cannot be ranked, in a sentence; None if they can."""
    if len(pictures) < 2:  # noqa: PLR2004
        return f"A ranking of {len(pictures)} pictures has nothing to compare: rank 2 or more."
    twice = next((picture for picture in pictures if pictures.count(picture) > 1), None)
    if twice is not None:
        return f"Picture {twice} is in the ranking twice, so it would be better than itself: name every picture once."
    if num_ordered not in range(1, len(pictures) + 1):
        return f"num_ordered = {num_ordered}: of {len(pictures)} pictures, 1 to {len(pictures)} can be in order; give one of these."
    return None


@dataclass(frozen=True)
class Upload:
    """A picture that was brought along, liked or disliked: better or worse than the reference pictures."""

    picture: int
    liked: bool
    rater: str = ME

    @property
    def pictures(self) -> tuple[int, ...]:
        """The row it is about."""
        return (self.picture,)


Evidence = Answer | Thumb | Stars | Ranking | Upload
PICTURE_FIELDS = ("a", "b", "picture", "pictures")  # the fields that hold rows


def shifted(piece: Evidence, by: int) -> Evidence:
    """The same of the pictures that many rows further down."""
    if isinstance(piece, Answer):
        return replace(piece, a=piece.a + by, b=piece.b + by)
    if isinstance(piece, Ranking):
        return replace(piece, pictures=tuple(picture + by for picture in piece.pictures))
    return replace(piece, picture=piece.picture + by)
