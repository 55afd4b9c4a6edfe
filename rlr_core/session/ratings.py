"""What may be said of pictures outside a question."""

from collections.abc import Sequence
from typing import get_args

from rlr_core.errors import RLRError
from rlr_core.preference.evidence import order_problem, stars_problem
from rlr_core.session.records import RatingKind

MAX_RATER_CHARACTERS = 40


def checked_rater(rater: str) -> str:
    """The rater's name if it can be one: printable, neither empty nor long."""
    if not 0 < len(rater) <= MAX_RATER_CHARACTERS or not rater.isprintable() or rater != rater.strip():
        raise RLRError(
            f"A rater called {rater[:MAX_RATER_CHARACTERS]!r} ({len(rater)} characters) cannot be kept: give a name of 1 to "
            f"{MAX_RATER_CHARACTERS} printable characters, without space around it."
        )
    return rater


def rating_problem(kind: RatingKind, image_ids: Sequence[str], value: int) -> str | None:
    """Why this is no rating, in a sentence; None if it is one. See RatingRecord for what the value means."""
    if kind not in get_args(RatingKind):
        return f"'{kind}' is no kind of rating: rate with one of {', '.join(get_args(RatingKind))}."
    if kind == "order":
        return order_problem(image_ids, value)
    if len(image_ids) != 1:
        return f"A rating of kind {kind} is about one picture, and {len(image_ids)} were given: give one."
    if kind == "stars":
        return stars_problem(value)
    return None if value in (0, 1) else f"thumb = {value}: a thumb is 1 for up or 0 for down; give one of these."
