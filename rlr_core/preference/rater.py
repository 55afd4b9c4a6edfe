"""A scripted person: a Python file that says how much it likes a picture, and answers questions by it.

The file defines `utility(image: PIL.Image.Image, prompt: str) -> float`. Its unit is the logit: of two pictures whose utilities differ by
u, the better one is chosen with probability sigmoid(u) (Bradley and Terry 1952). A difference of 2 means seven answers of eight.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from PIL import Image

from rlr_core.errors import RLRError
from rlr_core.own_file import called, defined_at, run_file
from rlr_core.preference.evidence import Outcome


class Rater:
    """Answers questions by a utility.

    Args:
        path: the file, for messages.
        utility: picture and prompt to a number.
        temperature: what differences of utility are divided by to become logits.
        wrong_share: how often the answer is turned round, from 0 to 1.
    """

    def __init__(
        self, path: Path, utility: Callable[[Image.Image, str], float], temperature: float = 1.0, wrong_share: float = 0.0
    ) -> None:
        self._path = path
        self._utility = utility
        self.temperature = temperature
        self._wrong_share = wrong_share

    def at(self, temperature: float) -> "Rater":
        """The same rater at another temperature."""
        return Rater(self._path, self._utility, temperature, self._wrong_share)

    def wrong(self, share: float) -> "Rater":
        """The same rater, but `share` of its answers are turned round.

        Raises:
            RLRError: if that is no share.
        """
        if not 0 <= share <= 1:
            raise RLRError(f"wrong answers = {share:g}: it is a share of all answers; give a number from 0 to 1.")
        return Rater(self._path, self._utility, self.temperature, share)

    def utility(self, image: Image.Image, prompt: str) -> float:
        """The file's utility.

        Raises:
            RLRError: if it fails or returns no finite number.
        """
        value = called(self._path, "utility", self._utility, image, prompt)
        place = defined_at(self._path, self._utility)
        if isinstance(value, bool) or not hasattr(value, "__float__"):
            raise RLRError(f"{place}: utility returned {value!r}, which is no number: return a float.")
        if not math.isfinite(float(value)):
            raise RLRError(f"{place}: utility returned {float(value)}, which cannot be compared: return a finite number.")
        return float(value)

    def answer(self, image_a: Image.Image, image_b: Image.Image, prompt: str, generator: torch.Generator) -> Outcome:
        """ "a" with probability sigmoid((utility(a) - utility(b)) / temperature), else "b", and then the wrong one of the two with the
        probability of a wrong answer; one draw from `generator`, and a second one if there are wrong answers.
        """
        difference = (self.utility(image_a, prompt) - self.utility(image_b, prompt)) / self.temperature
        # Compared as logits: sigmoid would overflow for large differences.
        uniform = _uniform(generator)
        prefers_a = math.log(uniform + 1e-300) - math.log1p(-uniform) < difference
        is_wrong = self._wrong_share > 0 and _uniform(generator) < self._wrong_share
        return "a" if prefers_a != is_wrong else "b"


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def informative(rater: Rater, pairs: Sequence[tuple[Image.Image, Image.Image, str]]) -> Rater:
    """The rater at the lower of its temperature and half the median difference of its utilities over `pairs`.

    So it is never noisier than its own unit says, and of its answers half are clear by 2 logits or more, whatever that unit is.
    """
    differences = [abs(rater.utility(a, prompt) - rater.utility(b, prompt)) for a, b, prompt in pairs]
    typical = median(differences) if differences else 0.0
    return rater.at(min(rater.temperature, typical / 2)) if typical > 0 else rater


def load_rater(path: Path) -> Rater:
    """Run a rater file in a module of its own and take its utility. Only for files of the person at this machine.

    Raises:
        RLRError: if the file is missing, does not run, or defines no utility.
    """
    utility = getattr(run_file(path, "utility(image, prompt)"), "utility", None)
    if not callable(utility):
        raise RLRError(f"{path} defines no function called utility: add def utility(image, prompt) that returns a number.")
    return Rater(path, utility)
