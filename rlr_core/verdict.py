"""What a blind comparison says: a win rate with its Wilson interval, and a plain sentence."""

import math
from dataclasses import dataclass
from typing import Literal

Conclusion = Literal["better", "worse", "no difference yet"]
Z_95 = 1.959963984540054
# Of the win rate over one half: to be sure of less would take more than 384 answers.
LEAST_ADVANTAGE = 0.05


def wilson_interval(successes: float, trials: int, z: float = Z_95) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson 1927, eq. for p); (0, 1) without trials.

    Args:
        successes: 0 <= successes <= trials; ties may count as halves.
        z: the normal quantile, 1.96 for 95 %.
    """
    if trials == 0:
        return 0.0, 1.0
    share, spread = successes / trials, z * z / trials
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True)
class Verdict:
    """The outcome of blind questions between an earlier and a later round; a win is the later one's."""

    wins: int
    losses: int
    ties: int

    @property
    def num_questions(self) -> int:
        """All questions asked."""
        return self.wins + self.losses + self.ties

    @property
    def win_rate(self) -> float:
        """Wins and half the ties among all; 0.5 before the first question."""
        return (self.wins + self.ties / 2) / self.num_questions if self.num_questions else 0.5

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson 95 % interval of the win rate."""
        return wilson_interval(self.wins + self.ties / 2, self.num_questions)

    @property
    def conclusion(self) -> Conclusion:
        """Better or worse only when the interval leaves one half out."""
        low, high = self.interval
        if low > 0.5:
            return "better"
        return "worse" if high < 0.5 else "no difference yet"

    @property
    def num_needed(self) -> int | None:
        """Further answers after which there would be a conclusion if they came out as those so far; None if that is beyond sight.

        The interval leaves one half out exactly if (p - 1/2)^2 > z^2 / (4 n): Wilson's interval is the set of shares that the score test
        does not reject.
        """
        advantage = abs(self.win_rate - 0.5)
        if self.num_questions == 0 or advantage < LEAST_ADVANTAGE:
            return None
        total = math.floor(Z_95**2 / (4 * advantage**2)) + 1
        return max(0, total - self.num_questions)
